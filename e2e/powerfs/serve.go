//go:build power && linux

package powerfs

import (
	"fmt"
	"io"
	"net/rpc"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// serveVariable tells a process that it is to serve a disk, and where.
const serveVariable = "PROMPTFORGE_POWERFS_SERVE"

// lockOnFault is MCL_ONFAULT: pages are locked once they are used, not the
// whole address space that Go reserves.
const lockOnFault = 4

// ServeIfAsked serves a disk, and never returns, in the process that [Start]
// makes of the test's own binary. To be called from an init function.
func ServeIfAsked() {
	dir := os.Getenv(serveVariable)
	if dir == "" {
		return
	}
	if err := serve(dir, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serve mounts an empty disk and does what it is told until there is nobody who
// could tell.
func serve(dir string, in io.Reader, out io.WriteCloser) error {
	// A page of this program that must be read from a busy disk keeps everybody
	// waiting. Where it may not be locked, they wait.
	_ = syscall.Mlockall(syscall.MCL_CURRENT | syscall.MCL_FUTURE | lockOnFault)
	// Who asked may be dead when it is answered, and the disk is still to be
	// unmounted.
	signal.Ignore(syscall.SIGPIPE)
	p := &plug{dir: dir, disk: New()}
	var err error
	if p.mount, err = p.disk.mountAt(dir); err != nil {
		return err
	}
	server := rpc.NewServer()
	if err := server.RegisterName("Disk", p); err != nil {
		return err
	}
	server.ServeConn(pipes{hangup{in, p.release}, out})
	return p.end()
}

// pipes are a connection of two.
type pipes struct {
	io.Reader
	io.WriteCloser
}

// hangup notices when there is nobody any more at the other end. A call that
// awaits a cut would wait for ever.
type hangup struct {
	io.Reader
	do func()
}

func (h hangup) Read(b []byte) (int, error) {
	n, err := h.Reader.Read(b)
	if err != nil {
		h.do()
	}
	return n, err
}

// plug is what a [Drive] tells the process that serves it. Its methods are
// net/rpc's.
type plug struct {
	dir string

	mu         sync.Mutex
	disk       *Disk
	mount      *mount
	generation int
}

func (p *plug) now() *Disk {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.disk
}

func (p *plug) release() { p.now().Release() }

// Pulse is what the process tells of itself.
type Pulse struct {
	Calls   uint64 // answered so far
	Hanging bool   // calls hang, as they are meant to
}

// Pulse tells that the process is alive.
func (p *plug) Pulse(_ struct{}, out *Pulse) error {
	out.Calls, out.Hanging = p.now().progress()
	return nil
}

// CutAt is [Disk.CutAt].
func (p *plug) CutAt(rule Rule, _ *struct{}) error {
	p.now().CutAt(rule)
	return nil
}

// Cut is [Disk.Cut].
func (p *plug) Cut(struct{}, *struct{}) error {
	p.now().Cut()
	return nil
}

// AwaitCut returns when the power is cut, or is on again in another generation.
func (p *plug) AwaitCut(generation int, _ *struct{}) error {
	p.mu.Lock()
	gone := p.disk.Gone()
	current := generation == p.generation
	p.mu.Unlock()
	if current {
		<-gone
	}
	return nil
}

// Release is [Disk.Release].
func (p *plug) Release(struct{}, *struct{}) error {
	p.release()
	return nil
}

// Resume is [Disk.Resume]; it begins a generation.
func (p *plug) Resume(_ struct{}, generation *int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disk.Resume()
	p.generation++
	*generation = p.generation
	return nil
}

// Replace mounts what survives a cut; it begins a generation.
func (p *plug) Replace(seed uint64, generation *int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disk.Release()
	if err := p.mount.unmount(); err != nil {
		return err
	}
	p.disk = p.disk.Survive(seed)
	var err error
	if p.mount, err = p.disk.mountAt(p.dir); err != nil {
		return err
	}
	p.generation++
	*generation = p.generation
	return nil
}

// Copy says what of a disk is to be written where.
type Copy struct {
	Folder   string
	Survivor bool // what a cut leaves by the seed, instead of what is there
	Seed     uint64
}

// Export writes what is on the disk into a folder on another one.
func (p *plug) Export(c Copy, _ *struct{}) error {
	disk := p.now()
	if c.Survivor {
		disk = disk.Survive(c.Seed)
	}
	return disk.Export(c.Folder)
}

// end unmounts the disk. What still uses it gets errors.
func (p *plug) end() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disk.Release()
	// The end of this process ends the connection, so nobody is waited for.
	if err := syscall.Unmount(p.dir, syscall.MNT_DETACH); err != nil {
		return p.mount.server.Unmount()
	}
	return nil
}
