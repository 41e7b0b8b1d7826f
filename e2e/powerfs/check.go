//go:build power && linux

package powerfs

import (
	"fmt"
	"os"
)

// Check says in a sentence why nothing can be mounted here; nil: it can.
func Check() error {
	showConnections()
	return check("/dev/fuse")
}

func check(device string) error {
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("the power cannot be cut on this machine, since FUSE is not to be had (%w): run the test where /dev/fuse is, as root or with fusermount3 installed", err)
	}
	return f.Close()
}
