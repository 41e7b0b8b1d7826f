//go:build power && linux

package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/promptforge/promptforge/e2e/judge"
	"github.com/promptforge/promptforge/e2e/powerfs"
	"github.com/promptforge/promptforge/e2e/witness"
)

// stageError says that the test itself failed, and not what it tests.
type stageError struct{ cause error }

func (e *stageError) Error() string { return "the stage broke: " + e.cause.Error() }
func (e *stageError) Unwrap() error { return e.cause }

// powered is a stage whose disk can lose its power.
type powered struct {
	*stage
	dir   string // where the disk is mounted
	disk  *powerfs.Disk
	mount *powerfs.Mount
	cuts  int
	armed atomic.Pointer[trigger]
}

// trigger is an acknowledgement after which the power is cut.
type trigger struct {
	kind string
	left atomic.Int64
}

// build is the program that a schedule tries, and what its environment adds.
type build struct {
	program string
	env     []string
}

// newPowered prepares a stage in a folder, with the data folder two folders
// deep on an empty disk, none of them there.
func newPowered(b build, seed uint64, dir string) (*powered, error) {
	mountpoint := filepath.Join(dir, "mnt")
	if err := os.Mkdir(mountpoint, 0o755); err != nil {
		return nil, &stageError{err}
	}
	s, err := newStage(seed, filepath.Join(mountpoint, "srv", "promptforge"))
	if err != nil {
		return nil, &stageError{err}
	}
	s.program = b.program
	s.env = append(s.env, b.env...)
	p := &powered{stage: s, dir: mountpoint, disk: powerfs.New()}
	if err := p.plugIn(); err != nil {
		s.close()
		return nil, err
	}
	return p, nil
}

func (p *powered) plugIn() (err error) {
	if p.mount, err = p.disk.MountAt(p.dir); err != nil {
		return &stageError{err}
	}
	return nil
}

// powerOff cuts the power, unless that has happened, ends the program that runs
// on it, nil for none, and mounts what survived.
func (p *powered) powerOff(l *life) error {
	p.disk.Cut()
	if l != nil {
		l.cmd.Process.Signal(syscall.SIGKILL)
		p.disk.Release()
		<-l.dead
	}
	if err := p.mount.Unmount(); err != nil {
		return &stageError{err}
	}
	p.cuts++
	p.disk = p.disk.Survive(p.seed + uint64(p.cuts)<<32)
	if err := p.plugIn(); err != nil {
		return err
	}
	p.armed.Store(nil)
	if l == nil {
		return nil
	}
	return p.died(l)
}

func (p *powered) unplug() {
	if p.now != nil {
		p.now.cmd.Process.Signal(syscall.SIGKILL)
		p.disk.Release()
		<-p.now.dead
	}
	p.close()
	if err := p.mount.Unmount(); err != nil {
		fmt.Fprintln(os.Stderr, "unmount:", err)
	}
}

// command runs one of the binary's commands on the disk, which may lose its
// power meanwhile; then cut is true.
func (p *powered) command(args ...string) (cut bool, out string, err error) {
	l, err := startLife(p.program, p.env, args...)
	if err != nil {
		return false, "", &stageError{err}
	}
	select {
	case <-l.dead:
	case <-p.disk.Gone():
		return true, "", p.powerOff(l)
	}
	if code := l.cmd.ProcessState.ExitCode(); code != 0 {
		return false, "", fmt.Errorf("%s ended with %d: %s", args[0], code, l.log.String())
	}
	return false, l.out.String(), nil
}

// atStep cuts the power at the n-th step of any kind, of at most so many.
func (p *powered) atStep(most int) {
	n, done := 1+p.random.IntN(most), p.random.IntN(2) == 0
	p.disk.CutAt(func(s powerfs.Step) bool { return s.N == n && s.Done == done })
}

// atKind cuts it at the n-th step of one kind.
func (p *powered) atKind(kind string, n int, done bool) {
	p.disk.CutAt(func(s powerfs.Step) bool {
		if s.Kind == kind && s.Done == done {
			n--
		}
		return n == 0
	})
}

// arm draws when the power is cut next. What never comes is cut when the crowd
// is done.
func (p *powered) arm(ctx context.Context) {
	r := p.random
	p.disk.CutAt(nil)
	switch r.IntN(6) {
	case 0, 1: // right after somebody was told something
		t := &trigger{kind: []string{"init", "upload", "upload", "status", "outcome", "outcome", "cancel", "delete"}[r.IntN(8)]}
		most := int64(3)
		if t.kind == "outcome" || t.kind == "status" {
			most = 200
		}
		t.left.Store(1 + r.Int64N(most))
		p.armed.Store(t)
	case 2:
		p.atStep(600)
	case 3:
		p.atKind([]string{"link", "mkdir", "create", "unlink", "fsyncdir"}[r.IntN(5)], 1+r.IntN(5), r.IntN(2) == 0)
	case 4:
		p.atKind("fsync", 1+r.IntN(100), r.IntN(2) == 0)
	case 5: // when the crowd is done
	}
}

// acked cuts the power after the acknowledgement that it waits for.
func (p *powered) acked(kind string) {
	if t := p.armed.Load(); t != nil && t.kind == kind && t.left.Add(-1) == 0 {
		p.disk.Cut()
	}
}

// serve plays one seed: a crowd at work, a server, and 1 to 3 cuts; now
// and then one before anybody has a key, and the operator's compact in between.
func (b build) serve(seed uint64, dir string, sum *tally) error {
	p, err := newPowered(b, seed, dir)
	if err != nil {
		return err
	}
	defer p.unplug()
	ctx, stop := context.WithTimeout(context.Background(), scheduleLimit)
	defer stop()
	if err := p.cradle(ctx); err != nil {
		return err
	}
	if err := p.invite(ctx, witness.Sizes{Clients: 2, Jobs: 2, MinPrompts: 20, MaxPrompts: 120}); err != nil {
		return err
	}
	p.crowd.OnAck(p.acked)
	if p.random.IntN(6) == 0 { // keys were handed out, and nothing else
		if err := p.again(ctx); err != nil {
			return err
		}
	}
	worked, done := make(chan error, 1), make(chan struct{})
	p.arm(ctx)
	go func() {
		worked <- p.crowd.Work(ctx)
		close(done)
	}()
	for range p.random.IntN(3) {
		select {
		case <-p.disk.Gone():
		case <-done:
		case <-p.now.dead:
			return fmt.Errorf("the server ended by itself: %s", p.now.log.String())
		}
		if err := p.again(ctx); err != nil {
			return err
		}
		p.arm(ctx)
	}
	select {
	case <-p.disk.Gone():
		if err := p.again(ctx); err != nil {
			return err
		}
		<-done
	case <-done:
	}
	if err := p.again(ctx); err != nil { // with everything settled
		return err
	}
	if err := p.finish(ctx, worked); err != nil {
		return err
	}
	sum.add(p.stage, p.cuts)
	return p.checkDisk(ctx)
}

// cradle starts the server for the first time, which may be cut.
func (p *powered) cradle(ctx context.Context) error {
	if p.random.IntN(3) == 0 {
		p.atStep(80)
	}
	if err := p.start(); err != nil {
		return &stageError{err}
	}
	select {
	case <-p.now.listening:
	case <-p.now.dead:
	case <-p.disk.Gone():
		if err := p.powerOff(p.now); err != nil {
			return err
		}
		if err := p.start(); err != nil {
			return &stageError{err}
		}
	}
	p.disk.CutAt(nil)
	return p.now.up(ctx)
}

// again cuts the power and starts the server on what survived, sometimes after
// compacting it.
func (p *powered) again(ctx context.Context) error {
	if err := p.powerOff(p.now); err != nil {
		return err
	}
	if p.random.IntN(3) == 0 {
		if p.random.IntN(2) == 0 {
			p.atStep(120)
		}
		if _, _, err := p.command("compact", "--data-dir", p.data); err != nil {
			return err
		}
		p.disk.CutAt(nil)
	}
	if err := p.start(); err != nil {
		return &stageError{err}
	}
	return p.now.up(ctx)
}

// checkDisk reads what is on the disk after a last cut.
func (p *powered) checkDisk(ctx context.Context) error {
	out, err := os.MkdirTemp(filepath.Dir(p.dir), "survived")
	if err != nil {
		return &stageError{err}
	}
	if err := p.disk.Survive(p.seed).Export(out); err != nil {
		return &stageError{err}
	}
	return judge.CheckFolder(ctx, filepath.Join(out, "srv", "promptforge"))
}

// needPower fails a test where there is no FUSE.
func needPower(t *testing.T) {
	t.Helper()
	if err := powerfs.Check(); err != nil {
		t.Fatal(err)
	}
}

// TestPowerSchedules plays PROMPTFORGE_CUTS schedules.
func TestPowerSchedules(t *testing.T) {
	needPower(t)
	begin := time.Now()
	sum := schedules(t, count("PROMPTFORGE_CUTS", 40), build{program: binary}.all)
	t.Logf("%s, in %s", sum, time.Since(begin).Round(time.Millisecond))
}
