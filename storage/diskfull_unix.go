//go:build unix

package storage

import (
	"errors"
	"syscall"
)

// DiskFull tells whether a write failed for want of room, which passes.
func DiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
