//go:build !failpoint

package e2e

// buildTags are those of the binary: none, as it is shipped.
const buildTags = ""
