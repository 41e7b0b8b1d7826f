//go:build power && linux

package powerfs

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// sector is what a disk writes whole or not at all.
const sector = 512

// fate is how what was not synced is treated at a cut.
type fate struct {
	names, data float64 // the share that is kept
	torn        bool    // data by sectors, and files may have their length without it
}

// fates are the ways of a cut: each is likely to show another mistake.
var fates = []fate{
	{0, 0, false},    // nothing that was not synced is there
	{1, 0, false},    // names without content
	{0, 1, false},    // content without names
	{1, 0.5, true},   // names with torn content
	{0.5, 0.5, true}, // anything
	{1, 1, false},    // all of it: as if a process was killed
}

// Survive returns the disk as it is found after the cut. The seed says what of
// the unsynced is there.
func (d *Disk) Survive(seed uint64) *Disk {
	d.Cut()
	d.mu.Lock()
	defer d.mu.Unlock()
	r := rand.New(rand.NewPCG(seed, 2))
	f := fates[r.IntN(len(fates))]
	for _, c := range d.names {
		if r.Float64() < f.names {
			apply(c.edits, durably)
		}
	}
	out := New()
	out.root.mode = d.root.mode
	copies := map[*node]*node{d.root: out.root}
	out.take(d.root, copies, f, r)
	return out
}

// take copies what a directory of another disk durably holds, links as links.
func (d *Disk) take(from *node, copies map[*node]*node, f fate, r *rand.Rand) {
	to := copies[from]
	names := make([]string, 0, len(from.kept))
	for name := range from.kept {
		names = append(names, name)
	}
	slices.Sort(names) // the seed decides, not the map
	for _, name := range names {
		n := from.kept[name]
		if copies[n] == nil {
			c := d.make(n.mode)
			c.modified = n.modified
			copies[n] = c
			if n.isDir() {
				d.take(n, copies, f, r)
			} else {
				c.data = n.survivor(f, r)
				c.durable = slices.Clone(c.data)
			}
		}
		to.entries[name], to.kept[name] = copies[n], copies[n]
	}
}

// survivor is a file's content after the cut.
func (n *node) survivor(f fate, r *rand.Rand) []byte {
	content := slices.Clone(n.durable)
	if f.torn && r.IntN(3) == 0 && len(n.data) > len(content) {
		content = resized(content, int64(len(n.data)))
	}
	for _, c := range n.changes {
		switch {
		case f.torn && c.data != nil:
			content = tear(content, c, f, r)
		case r.Float64() < f.data:
			content = c.apply(content)
		}
	}
	return content
}

// tear writes some sectors of a change.
func tear(content []byte, c change, f fate, r *rand.Rand) []byte {
	for at, data := c.at, c.data; len(data) > 0; {
		k := min(int64(len(data)), sector-at%sector)
		if r.Float64() < f.data {
			content = written(content, at, data[:k])
		}
		at, data = at+k, data[k:]
	}
	return content
}

// Export writes what is on the disk into a folder, without its sockets.
func (d *Disk) Export(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return export(d.root, dir)
}

func export(n *node, path string) error {
	switch n.mode & syscall.S_IFMT {
	case syscall.S_IFDIR:
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		for name, child := range n.entries {
			if err := export(child, filepath.Join(path, name)); err != nil {
				return err
			}
		}
		return nil
	case syscall.S_IFREG:
		return os.WriteFile(path, n.data, 0o600)
	case syscall.S_IFSOCK:
		return nil
	default:
		return fmt.Errorf("%s has the mode %o", path, n.mode)
	}
}
