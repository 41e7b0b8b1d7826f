//go:build !linux && !darwin

package room

import "errors"

var errUnsupported = errors.New("this system does not tell how much room a disk has")

// Free is not there on this system.
func Free(string) (int64, error) { return 0, errUnsupported }
