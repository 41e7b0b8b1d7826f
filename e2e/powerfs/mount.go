//go:build power && linux

package powerfs

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// mount is a mounted disk.
type mount struct {
	dir    string
	disk   *Disk
	server *fuse.Server
}

const (
	// mostWrite and readAhead bound the pages that one call keeps locked.
	mostWrite = 128 << 10
	readAhead = 16 << 10
	// mostBackground bounds the calls that nobody waits for.
	mostBackground = 12
)

// mountAt mounts a disk on an empty folder. The process that does it must start
// no other one afterwards and touch nothing in the folder: a child would inherit
// the connection to the kernel, which then outlives whoever serves it, and a
// process that waits for itself waits for ever.
func (d *Disk) mountAt(dir string) (*mount, error) {
	server, err := fuse.NewServer(&calls{RawFileSystem: fuse.NewDefaultRawFileSystem(), disk: d}, dir, &fuse.MountOptions{
		FsName: "powerfs", Name: "powerfs", DirectMount: true, DisableXAttrs: true,
		ExplicitDataCacheControl: true, DisableReadDirPlus: true,
		MaxWrite: mostWrite, MaxReadAhead: readAhead, MaxBackground: mostBackground,
	})
	if err != nil {
		return nil, fmt.Errorf("mounting on %s: %w", dir, err)
	}
	// WaitMount would open a file in the folder. What it is there for, that this
	// process can poll files on its own disk, never happens.
	go server.Serve()
	return &mount{dir, d, server}, nil
}

// unmount ends it. Whoever used it must be dead. The kernel may hold on to it
// for a moment longer, so it is detached, and then waited for.
func (m *mount) unmount() error {
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
