//go:build power && linux

package powerfs

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// Mount is a mounted disk.
type Mount struct {
	dir    string
	disk   *Disk
	server *fuse.Server
}

// Check says in a sentence why nothing can be mounted here; nil: it can.
func Check() error { return check("/dev/fuse") }

func check(device string) error {
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("the power cannot be cut on this machine, since FUSE is not to be had (%w): run the test where /dev/fuse is, as root or with fusermount3 installed", err)
	}
	return f.Close()
}

// MountAt mounts a disk on an empty folder. No goroutine of the process that
// mounts it may touch the folder, or both may wait for each other for ever.
func (d *Disk) MountAt(dir string) (*Mount, error) {
	server, err := fuse.NewServer(&calls{RawFileSystem: fuse.NewDefaultRawFileSystem(), disk: d}, dir, &fuse.MountOptions{
		FsName: "powerfs", Name: "powerfs", DirectMount: true, DisableXAttrs: true,
		ExplicitDataCacheControl: true, DisableReadDirPlus: true, MaxWrite: 1 << 20,
	})
	if err != nil {
		return nil, fmt.Errorf("mounting on %s: %w", dir, err)
	}
	go server.Serve()
	if err := server.WaitMount(); err != nil {
		return nil, fmt.Errorf("mounting on %s: %w", dir, err)
	}
	return &Mount{dir, d, server}, nil
}

// Unmount ends it. Whoever used it must be dead. The kernel may hold on to it
// for a moment longer, so it is detached, and then waited for.
func (m *Mount) Unmount() error {
	m.disk.Release()
	err := syscall.Unmount(m.dir, syscall.MNT_DETACH)
	if errors.Is(err, syscall.EPERM) {
		err = m.server.Unmount() // by fusermount
	}
	if err != nil {
		return fmt.Errorf("unmounting %s: %w", m.dir, err)
	}
	m.server.Wait()
	return nil
}
