//go:build power && linux

package e2e

import (
	"context"
	"errors"
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

// The test's own binary also is the process that serves a disk.
func init() { powerfs.ServeIfAsked() }

// powered is a stage whose disk can lose its power.
type powered struct {
	*stage
	dir   string // where the disk is mounted
	disk  *powerfs.Drive
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
	disk, err := powerfs.Start(mountpoint)
	if err != nil {
		s.close()
		return nil, &stageError{err}
	}
	return &powered{stage: s, dir: mountpoint, disk: disk}, nil
}

// powerOff cuts the power, unless that has happened, ends the program that runs
// on it, nil for none, and mounts what survived.
func (p *powered) powerOff(l *life) error {
	if err := p.disk.Cut(); err != nil {
		return &stageError{err}
	}
	if l != nil {
		if err := p.bury(l); err != nil {
			return err
		}
	}
	p.cuts++
	if err := p.disk.Replace(p.seed + uint64(p.cuts)<<32); err != nil {
		return &stageError{err}
	}
	p.armed.Store(nil)
	if l == nil {
		return nil
	}
	return p.died(l)
}

// burialLimit is how long a program that was killed may take to be dead.
const burialLimit = 30 * time.Second

// bury ends a program whose calls to the disk hang.
func (p *powered) bury(l *life) error {
	l.cmd.Process.Signal(syscall.SIGKILL)
	if err := p.disk.Release(); err != nil { // it is aborted, so they fail too
		<-l.dead
		return &stageError{err}
	}
	limit := time.NewTimer(burialLimit)
	defer limit.Stop()
	select {
	case <-l.dead:
		return nil
	case <-limit.C:
		err := p.disk.Abort(fmt.Sprintf("a program that was killed was not dead after %s", burialLimit))
		<-l.dead
		return &stageError{err}
	}
}

// unplug ends what is left. A disk that hung fails the schedule.
func (p *powered) unplug(result *error) {
	var err error
	if p.now != nil {
		err = p.bury(p.now)
	}
	p.close()
	if closed := p.disk.Close(); closed != nil {
		err = &stageError{closed}
	}
	*result = errors.Join(*result, err)
}

// command runs one of the binary's commands on the disk, which may lose its
// power meanwhile; then cut is true.
func (p *powered) command(args ...string) (cut bool, out string, err error) {
	l, err := startLife(p.program, p.env, args...)
	if err != nil {
		return false, "", &stageError{err}
	}
	limit := time.NewTimer(scheduleLimit)
	defer limit.Stop()
	select {
	case <-l.dead:
	case <-p.disk.Gone():
		return true, "", p.powerOff(l)
	case <-limit.C:
		return false, "", errors.Join(fmt.Errorf("%s did not end within %s: %w", args[0], scheduleLimit, context.DeadlineExceeded), p.bury(l))
	}
	if code := l.cmd.ProcessState.ExitCode(); code != 0 {
		return false, "", fmt.Errorf("%s ended with %d: %s", args[0], code, l.log.String())
	}
	return false, l.out.String(), nil
}

// cutAt sets where the power is cut next. A disk that does not take it says so
// at the next call that is checked.
func (p *powered) cutAt(rule powerfs.Rule) { _ = p.disk.CutAt(rule) }

// stay takes back where the power was to be cut, and tells whether that came
// first.
func (p *powered) stay() (cut bool) {
	p.cutAt(powerfs.Rule{})
	select {
	case <-p.disk.Gone():
		return true
	default:
		return false
	}
}

// atStep cuts the power at the n-th step of any kind, of at most so many.
func (p *powered) atStep(most int) {
	p.cutAt(powerfs.Rule{N: 1 + p.random.IntN(most), Done: p.random.IntN(2) == 0})
}

// arm draws when the power is cut next. What never comes is cut when the crowd
// is done.
func (p *powered) arm() {
	r := p.random
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
		kind := []string{"link", "mkdir", "create", "unlink", "fsyncdir"}[r.IntN(5)]
		p.cutAt(powerfs.Rule{Kind: kind, N: 1 + r.IntN(5), Done: r.IntN(2) == 0})
	case 4:
		p.cutAt(powerfs.Rule{Kind: "fsync", N: 1 + r.IntN(100), Done: r.IntN(2) == 0})
	case 5: // when the crowd is done
	}
}

// acked cuts the power after the acknowledgement that it waits for.
func (p *powered) acked(kind string) {
	if t := p.armed.Load(); t != nil && t.kind == kind && t.left.Add(-1) == 0 {
		_ = p.disk.Cut() // else powerOff says why not
	}
}

// serve plays one seed: a crowd at work, a server, and 1 to 3 cuts; now
// and then one before anybody has a key, and the operator's compact in between.
func (b build) serve(seed uint64, dir string, sum *tally) (err error) {
	p, err := newPowered(b, seed, dir)
	if err != nil {
		return err
	}
	defer p.unplug(&err)
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
	p.arm()
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
		p.arm()
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
	}
	if p.stay() { // it may listen and be cut right after
		if err := p.powerOff(p.now); err != nil {
			return err
		}
		if err := p.start(); err != nil {
			return &stageError{err}
		}
	}
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
		p.cutAt(powerfs.Rule{})
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
	if err := p.disk.ExportSurvivor(out, p.seed); err != nil {
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
