//go:build linux || darwin

package room

import "syscall"

// Free tells how many bytes are free for this user on a folder's disk.
func Free(dir string) (int64, error) {
	var s syscall.Statfs_t
	for {
		switch err := syscall.Statfs(dir, &s); err {
		case nil:
			return int64(min(s.Bavail*uint64(s.Bsize), 1<<62)), nil
		case syscall.EINTR:
		default:
			return 0, err
		}
	}
}
