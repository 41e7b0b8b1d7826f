//go:build power && linux

package powerfs

import (
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// calls answers the kernel.
type calls struct {
	fuse.RawFileSystem
	disk *Disk
}

// asLongAsItTakes: nobody but the kernel changes anything.
const asLongAsItTakes = time.Hour

func (c *calls) String() string { return "powerfs" }

func status(e syscall.Errno) fuse.Status { return fuse.Status(e) }

// on runs an operation on a node.
func (c *calls) on(kind string, id uint64, op func(n *node) syscall.Errno) fuse.Status {
	return status(c.disk.do(kind, func() syscall.Errno {
		n := c.disk.nodes[id]
		if n == nil {
			return syscall.ENOENT
		}
		return op(n)
	}))
}

func fill(a *fuse.Attr, n *node) {
	a.Ino, a.Mode, a.Size = n.id, n.mode, uint64(len(n.data))
	a.Blocks, a.Blksize, a.Nlink = (a.Size+511)/512, 4096, 1
	a.SetTimes(&n.modified, &n.modified, &n.modified)
}

func enter(out *fuse.EntryOut, n *node) syscall.Errno {
	out.NodeId, out.Generation = n.id, 1
	out.SetEntryTimeout(asLongAsItTakes)
	out.SetAttrTimeout(asLongAsItTakes)
	fill(&out.Attr, n)
	return 0
}

func (c *calls) Lookup(_ <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	return c.on("", h.NodeId, func(dir *node) syscall.Errno {
		n := dir.entries[name]
		if n == nil {
			return syscall.ENOENT
		}
		return enter(out, n)
	})
}

func (c *calls) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	return c.on("", in.NodeId, func(n *node) syscall.Errno {
		out.SetTimeout(asLongAsItTakes)
		fill(&out.Attr, n)
		return 0
	})
}

func (c *calls) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	size, resizes := in.GetSize()
	kind := ""
	if resizes {
		kind = "truncate"
	}
	return c.on(kind, in.NodeId, func(n *node) syscall.Errno {
		if mode, ok := in.GetMode(); ok {
			n.mode = n.mode&syscall.S_IFMT | mode&0o7777
		}
		if at, ok := in.GetMTime(); ok {
			n.modified = at
		}
		if resizes {
			n.truncate(int64(size))
		}
		out.SetTimeout(asLongAsItTakes)
		fill(&out.Attr, n)
		return 0
	})
}

// create puts a new node under a name.
func (c *calls) create(kind string, dir uint64, name string, mode uint32, out *fuse.EntryOut) fuse.Status {
	return c.on(kind, dir, func(d *node) syscall.Errno {
		if d.entries[name] != nil {
			return syscall.EEXIST
		}
		n := c.disk.make(mode)
		c.disk.name(edit{d, name, n})
		return enter(out, n)
	})
}

func (c *calls) Mknod(_ <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	return c.create("create", in.NodeId, name, in.Mode, out)
}

func (c *calls) Mkdir(_ <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	return c.create("mkdir", in.NodeId, name, in.Mode&0o7777|syscall.S_IFDIR, out)
}

func (c *calls) Create(_ <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE
	return c.create("create", in.NodeId, name, in.Mode&0o7777|syscall.S_IFREG, &out.EntryOut)
}

// remove takes a name away.
func (c *calls) remove(kind string, dir uint64, name string, check func(n *node) syscall.Errno) fuse.Status {
	return c.on(kind, dir, func(d *node) syscall.Errno {
		n := d.entries[name]
		if n == nil {
			return syscall.ENOENT
		}
		if err := check(n); err != 0 {
			return err
		}
		c.disk.name(edit{dir: d, name: name})
		return 0
	})
}

func (c *calls) Unlink(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return c.remove("unlink", h.NodeId, name, func(n *node) syscall.Errno {
		if n.isDir() {
			return syscall.EISDIR
		}
		return 0
	})
}

func (c *calls) Rmdir(_ <-chan struct{}, h *fuse.InHeader, name string) fuse.Status {
	return c.remove("rmdir", h.NodeId, name, func(n *node) syscall.Errno {
		if !n.isDir() {
			return syscall.ENOTDIR
		}
		if len(n.entries) > 0 {
			return syscall.ENOTEMPTY
		}
		return 0
	})
}

func (c *calls) Link(_ <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	return c.on("link", in.NodeId, func(d *node) syscall.Errno {
		n := c.disk.nodes[in.Oldnodeid]
		if n == nil {
			return syscall.ENOENT
		}
		if d.entries[name] != nil {
			return syscall.EEXIST
		}
		c.disk.name(edit{d, name, n})
		return enter(out, n)
	})
}

func (c *calls) Rename(_ <-chan struct{}, in *fuse.RenameIn, oldName, newName string) fuse.Status {
	if in.Flags != 0 {
		return fuse.EINVAL
	}
	return c.on("rename", in.NodeId, func(from *node) syscall.Errno {
		to, n := c.disk.nodes[in.Newdir], from.entries[oldName]
		if to == nil || n == nil {
			return syscall.ENOENT
		}
		c.disk.name(edit{dir: from, name: oldName}, edit{to, newName, n})
		return 0
	})
}

func (c *calls) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	out.OpenFlags = fuse.FOPEN_KEEP_CACHE
	return c.on("", in.NodeId, func(*node) syscall.Errno { return 0 })
}

func (c *calls) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	length := 0
	code := c.on("", in.NodeId, func(n *node) syscall.Errno {
		if in.Offset < uint64(len(n.data)) {
			length = copy(buf[:min(len(buf), int(in.Size))], n.data[in.Offset:])
		}
		return 0
	})
	return fuse.ReadResultData(buf[:length]), code
}

func (c *calls) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	code := c.on("write", in.NodeId, func(n *node) syscall.Errno {
		n.write(int64(in.Offset), data)
		return 0
	})
	return uint32(len(data)), code
}

func (c *calls) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.OK }

func (c *calls) Release(<-chan struct{}, *fuse.ReleaseIn) {}

func (c *calls) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return c.on("fsync", in.NodeId, func(n *node) syscall.Errno {
		c.disk.sync(n)
		return 0
	})
}

func (c *calls) FsyncDir(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	return c.on("fsyncdir", in.NodeId, func(n *node) syscall.Errno {
		c.disk.sync(n)
		return 0
	})
}

func (c *calls) OpenDir(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	return c.on("", in.NodeId, func(n *node) syscall.Errno {
		c.disk.last++
		out.Fh = c.disk.last
		c.disk.dirs[out.Fh] = c.disk.list(n)
		return 0
	})
}

func (c *calls) ReadDir(_ <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	return c.on("", in.NodeId, func(*node) syscall.Errno {
		list := c.disk.dirs[in.Fh]
		for i := int(in.Offset); i < len(list); i++ {
			if !out.AddDirEntry(fuse.DirEntry{Name: list[i].name, Mode: list[i].node.mode, Ino: list[i].node.id, Off: uint64(i + 1)}) {
				break
			}
		}
		return 0
	})
}

func (c *calls) ReleaseDir(in *fuse.ReleaseIn) {
	c.disk.mu.Lock()
	defer c.disk.mu.Unlock()
	delete(c.disk.dirs, in.Fh)
}

func (c *calls) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	const blocks = 1 << 28 // of 4 KiB: a TiB
	out.Blocks, out.Bfree, out.Bavail, out.Bsize, out.Frsize = blocks, blocks, blocks, 4096, 4096
	out.Files, out.Ffree, out.NameLen = 1<<20, 1<<20, 255
	return fuse.OK
}
