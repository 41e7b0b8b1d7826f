package room

import (
	"errors"
	"os"
	"syscall"
)

// allocate takes a file's blocks without writing them.
func allocate(file *os.File, size int64) error {
	if size == 0 {
		return nil
	}
	for {
		err := syscall.Fallocate(int(file.Fd()), 0, 0, size)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
