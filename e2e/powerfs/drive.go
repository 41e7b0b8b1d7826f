//go:build power && linux

package powerfs

import (
	"bytes"
	"errors"
	"fmt"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// Drive is a [Disk] that is mounted on a folder and served by a process of its
// own. That the test's process is another one matters: it starts programs that
// use the disk, and it must be able to end them whatever the disk does. When
// that process ends, for whatever reason, the kernel fails all calls to the disk.
//
// A drive that hangs is taken away from the kernel: then Gone is closed and
// every method fails with a [HangError].
type Drive struct {
	dir     string
	cmd     *exec.Cmd
	log     bytes.Buffer
	process *rpc.Client
	dead    chan struct{} // the process is
	ended   chan struct{} // Close was called
	watched sync.WaitGroup

	mu         sync.Mutex
	connection connection
	gone       chan struct{} // closed when the power is cut
	cut        bool          // gone is closed
	hang       error
}

// Start mounts an empty disk on an empty folder. The binary that calls it calls
// [ServeIfAsked] too.
func Start(dir string) (*Drive, error) { return start(dir, hangLimit) }

func start(dir string, limit time.Duration) (*Drive, error) {
	dir, err := filepath.EvalSymlinks(dir) // as the kernel knows it
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	d := &Drive{dir: dir, cmd: exec.Command(self), dead: make(chan struct{}), ended: make(chan struct{}), gone: make(chan struct{})}
	d.cmd.Env = append(os.Environ(), serveVariable+"="+dir)
	d.cmd.Stderr = &d.log
	in, err := d.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	d.process = rpc.NewClient(pipes{out, in})
	go func() {
		_ = d.cmd.Wait() // ProcessState has it
		close(d.dead)
	}()
	// The first answer comes when it is mounted.
	d.pulse(hangLimit)
	err = d.ask("Pulse", struct{}{}, &Pulse{}) // what the first one failed for
	if err == nil {
		err = d.begin(0)
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	d.watched.Go(func() { d.watch(limit) })
	return d, nil
}

// begin awaits the cut of a generation.
func (d *Drive) begin(generation int) error {
	at, err := connectionAt(d.dir)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.connection = at
	if d.cut {
		d.gone, d.cut = make(chan struct{}), false
	}
	gone := d.gone
	cut := d.process.Go("Disk.AwaitCut", generation, &struct{}{}, make(chan *rpc.Call, 1))
	go func() {
		<-cut.Done // a process that is dead has cut it too
		d.went(gone)
	}()
	return nil
}

// went tells whoever waits for the cut that it came.
func (d *Drive) went(gone <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if gone == d.gone && !d.cut {
		d.cut = true
		close(d.gone)
	}
}

// ask calls the process. One that is dead, or was aborted, says why.
func (d *Drive) ask(method string, args, reply any) error {
	err := d.process.Call("Disk."+method, args, reply)
	if err == nil {
		return nil
	}
	if hang := d.hung(); hang != nil {
		return hang
	}
	var refused rpc.ServerError
	if errors.As(err, &refused) {
		return fmt.Errorf("the disk on %s: %w", d.dir, err)
	}
	<-d.dead
	return fmt.Errorf("the process that serves %s ended (%w): %s", d.dir, err, d.log.String())
}

func (d *Drive) hung() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.hang
}

// Gone is closed when the power is cut.
func (d *Drive) Gone() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.gone
}

// CutAt sets the rule for the steps from now on.
func (d *Drive) CutAt(rule Rule) error { return d.ask("CutAt", rule, &struct{}{}) }

// Cut cuts the power now. Every call hangs from here on, so that a program
// cannot tell anybody what it makes of it; kill it, then Release.
func (d *Drive) Cut() error {
	gone := d.Gone()
	err := d.ask("Cut", struct{}{}, &struct{}{})
	d.went(gone)
	return err
}

// Release lets the calls that hang fail.
func (d *Drive) Release() error { return d.ask("Release", struct{}{}, &struct{}{}) }

// Resume goes on after a Cut at which nothing was lost: the programs that used
// the disk are dead, and what they had written is still in the memory of the
// kernel.
func (d *Drive) Resume() error {
	var generation int
	if err := d.ask("Resume", struct{}{}, &generation); err != nil {
		return err
	}
	return d.begin(generation)
}

// Replace cuts the power, unless that has happened, and mounts what survived.
// Whoever used the disk must be dead. The seed says what of the unsynced is
// there.
func (d *Drive) Replace(seed uint64) error {
	var generation int
	if err := d.ask("Replace", seed, &generation); err != nil {
		return err
	}
	return d.begin(generation)
}

// Export writes what is on the disk into a folder on another one.
func (d *Drive) Export(folder string) error {
	return d.ask("Export", Copy{Folder: folder}, &struct{}{})
}

// ExportSurvivor writes what a cut now would leave; the power is cut.
func (d *Drive) ExportSurvivor(folder string, seed uint64) error {
	return d.ask("Export", Copy{Folder: folder, Survivor: true, Seed: seed}, &struct{}{})
}

// closeLimit is how long the process may take to end.
const closeLimit = 10 * time.Second

// Close unmounts the disk and ends its process. It fails if the disk hung.
func (d *Drive) Close() error {
	close(d.ended)
	d.watched.Wait()
	err := d.process.Close()
	if errors.Is(err, rpc.ErrShutdown) {
		err = nil // it ended before
	}
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	select {
	case <-d.dead:
	case <-limit.C:
		_ = d.Abort("its process did not end") // told below
		<-d.dead
	}
	if hang := d.hung(); hang != nil {
		return hang
	}
	if code := d.cmd.ProcessState.ExitCode(); code != 0 {
		err = errors.Join(err, fmt.Errorf("the process that served %s ended with %d: %s", d.dir, code, d.log.String()))
	}
	return err
}

// Abort takes a disk that hangs away from the kernel, so that whoever waits for
// it gets an error, and ends its process. It returns the [HangError].
func (d *Drive) Abort(why string) error {
	err := &HangError{Dir: d.dir, Why: why, Waiting: waiting()} // before they are let go
	d.mu.Lock()
	if d.hang == nil {
		d.hang = err
	}
	at, gone := d.connection, d.gone
	d.mu.Unlock()
	at.abort()
	_ = d.cmd.Process.Kill() // it may be dead already
	_ = syscall.Unmount(d.dir, syscall.MNT_DETACH)
	d.went(gone)
	return d.hung()
}
