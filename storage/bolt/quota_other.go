//go:build !unix

package bolt

import "errors"

var errQuota = errors.New("no such error here")
