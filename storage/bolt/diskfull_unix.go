//go:build unix

package bolt

import (
	"errors"
	"syscall"
)

// diskFull tells whether a write failed for want of room, which passes.
func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
