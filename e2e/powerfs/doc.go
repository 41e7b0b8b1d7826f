// Package powerfs is a file system in memory whose power can be cut: a [Disk]
// is mounted through FUSE, keeps apart what was synced, the content of files and
// the names in directories each for itself, and at the cut drops, tears and
// reorders what was not. It takes the build tag power, and Linux with /dev/fuse.
//
// It is as strict as POSIX allows, which is stricter than most file systems are:
// a sync of a file says nothing about its name, names are kept or lost in any
// order, and of a write that was not synced any sectors may be kept. A sector
// of 512 bytes is written whole or not at all, and so is a rename.
//
// A test has it as a [Drive]: mounted, served by a process of its own, and taken
// away from the kernel when it hangs.
//
// mmap works, and sees what is written, since the kernel caches pages.
package powerfs
