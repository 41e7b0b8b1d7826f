//go:build power && linux

package powerfs

import (
	"maps"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Disk is the file system. It serves one mount in its life; what survives a cut
// is another Disk. A [Drive] has it in a process of its own.
type Disk struct {
	mu    sync.Mutex
	nodes map[uint64]*node
	root  *node
	last  uint64 // node id or handle
	dirs  map[uint64][]dirEntry
	names []*naming // not synced, in order
	rule  Rule
	left  int    // of the rule's steps
	calls uint64 // answered

	frozen   bool
	cut      chan struct{} // closed at the cut
	released chan struct{} // closed when calls that hang may fail
}

// node is a file, a directory or a socket.
type node struct {
	id       uint64
	mode     uint32
	modified time.Time

	data    []byte
	durable []byte
	changes []change // of data, not synced, in order

	entries map[string]*node // of a directory
	kept    map[string]*node // the durable ones
}

// change is a write, or where data is nil a truncation to at.
type change struct {
	at   int64
	data []byte
}

// naming is a change of names that happens as one.
type naming struct{ edits []edit }

// edit gives a name in a directory to a node; nil takes it away.
type edit struct {
	dir  *node
	name string
	to   *node
}

type dirEntry struct {
	name string
	node *node
}

// Rule says at which step the power is cut: the N-th of a kind, counted from
// when the rule is set.
type Rule struct {
	// N counts from 1; 0: at none.
	N int
	// Kind is write, truncate, create, mkdir, link, rename, unlink, rmdir,
	// fsync or fsyncdir; empty: any of them.
	Kind string
	// Done cuts when the step has happened and nobody was told, instead of when
	// it is about to.
	Done bool
}

// New returns an empty disk.
func New() *Disk {
	d := &Disk{
		nodes: map[uint64]*node{}, dirs: map[uint64][]dirEntry{},
		cut: make(chan struct{}), released: make(chan struct{}),
	}
	d.root = d.make(syscall.S_IFDIR | 0o755)
	return d
}

func (d *Disk) make(mode uint32) *node {
	d.last++
	n := &node{id: d.last, mode: mode, modified: time.Now()}
	if n.isDir() {
		n.entries, n.kept = map[string]*node{}, map[string]*node{}
	}
	d.nodes[n.id] = n
	return n
}

func (n *node) isDir() bool { return n.mode&syscall.S_IFMT == syscall.S_IFDIR }

// CutAt sets the rule for the steps from now on.
func (d *Disk) CutAt(rule Rule) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rule, d.left = rule, rule.N
}

// progress is how many calls were answered, and whether they hang now because
// the power is cut.
func (d *Disk) progress() (calls uint64, hanging bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.released:
		return d.calls, false
	default:
		return d.calls, d.frozen
	}
}

// Cut cuts the power now. Every call hangs from here on, so that a program
// cannot tell anybody what it makes of it; kill it, then Release.
func (d *Disk) Cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.freeze()
}

func (d *Disk) freeze() {
	if !d.frozen {
		d.frozen = true
		close(d.cut)
	}
}

// Gone is closed when the power is cut.
func (d *Disk) Gone() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cut
}

// Release lets the calls that hang fail.
func (d *Disk) Release() {
	d.Cut()
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-d.released:
	default:
		close(d.released)
	}
}

// Resume goes on after a Cut at which nothing was lost: the program that used
// the disk is dead, its calls that hung have failed, and what it had written is
// still in the memory of the kernel.
func (d *Disk) Resume() {
	d.Release()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frozen, d.rule, d.left = false, Rule{}, 0
	d.cut, d.released = make(chan struct{}), make(chan struct{})
}

// do runs an operation as a step; before and after it the power may be cut.
func (d *Disk) do(kind string, op func() syscall.Errno) syscall.Errno {
	d.mu.Lock()
	d.pass(kind, false)
	if !d.frozen {
		err := op()
		d.pass(kind, true)
		if !d.frozen {
			d.calls++
			d.mu.Unlock()
			return err
		}
	}
	released := d.released
	d.mu.Unlock()
	<-released
	return syscall.EIO
}

// pass cuts the power where the rule says so. What changes nothing has no kind.
func (d *Disk) pass(kind string, done bool) {
	if d.frozen || d.left == 0 || kind == "" || done != d.rule.Done || d.rule.Kind != "" && d.rule.Kind != kind {
		return
	}
	d.left--
	if d.left == 0 {
		d.freeze()
	}
}

// name does a change of names.
func (d *Disk) name(edits ...edit) {
	apply(edits, func(n *node) map[string]*node { return n.entries })
	d.names = append(d.names, &naming{edits})
}

func apply(edits []edit, of func(*node) map[string]*node) {
	for _, e := range edits {
		if e.to == nil {
			delete(of(e.dir), e.name)
		} else {
			of(e.dir)[e.name] = e.to
		}
	}
}

func durably(n *node) map[string]*node { return n.kept }

// sync makes the content of a file durable, or the names in a directory.
func (d *Disk) sync(n *node) {
	if !n.isDir() {
		for _, c := range n.changes { // a copy of it all at each sync costs more than the store does
			n.durable = c.apply(n.durable)
		}
		n.changes = nil
		return
	}
	d.names = slices.DeleteFunc(d.names, func(c *naming) bool {
		if !slices.ContainsFunc(c.edits, func(e edit) bool { return e.dir == n }) {
			return false
		}
		apply(c.edits, durably)
		return true
	})
}

// write changes a file's content.
func (n *node) write(at int64, data []byte) {
	n.changes = append(n.changes, change{at, slices.Clone(data)})
	n.data = written(n.data, at, data)
	n.modified = time.Now()
}

func (n *node) truncate(size int64) {
	n.changes = append(n.changes, change{at: size})
	n.data = resized(n.data, size)
	n.modified = time.Now()
}

// apply does the whole change.
func (c change) apply(content []byte) []byte {
	if c.data == nil {
		return resized(content, c.at)
	}
	return written(content, c.at, c.data)
}

func written(content []byte, at int64, data []byte) []byte {
	if end := at + int64(len(data)); end > int64(len(content)) {
		content = resized(content, end)
	}
	copy(content[at:], data)
	return content
}

func resized(content []byte, size int64) []byte {
	if size <= int64(len(content)) {
		clear(content[size:]) // what grows again is zero
		return content[:size]
	}
	return append(content, make([]byte, size-int64(len(content)))...)
}

func (d *Disk) list(n *node) []dirEntry {
	var out []dirEntry
	for _, name := range slices.Sorted(maps.Keys(n.entries)) {
		out = append(out, dirEntry{name, n.entries[name]})
	}
	return out
}
