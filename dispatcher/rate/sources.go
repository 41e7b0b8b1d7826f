package rate

import "embed"

// Sources are this package's own, so that whoever keeps what was measured of a
// Controller can tell by which. A program that does not ask for them does not
// hold them.
//
//go:embed *.go
var Sources embed.FS
