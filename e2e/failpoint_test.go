//go:build failpoint

package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/promptforge/promptforge/e2e/judge"
	"github.com/promptforge/promptforge/e2e/witness"
)

// buildTags are those of the binary: it fails at named points.
const buildTags = "failpoint"

// point is a place in the program that can fail.
type point struct {
	name string
	// early is up to which visit the fault may wait: 1 where it comes seldom.
	early int
	// stop: it is reached when the program is told to stop.
	stop bool
	// lost: an error there loses an answer that the provider has given.
	lost bool
}

var points = []point{
	{name: "create", early: 2},
	{name: "file.create", early: 4},
	{name: "file.write", early: 12},
	{name: "sync.prompts-file", early: 3},
	{name: "file.link", early: 4},
	{name: "sync.prompts-name", early: 3},
	{name: "sync.new-directory", early: 4},
	{name: "upload", early: 3},
	{name: "hold", early: 1},
	{name: "claim", early: 3},
	{name: "claimed", early: 3},
	{name: "permit", early: 60},
	{name: "sent", early: 60, lost: true},
	{name: "answered", early: 60, lost: true},
	{name: "record.before", early: 12},
	{name: "record.after", early: 12},
	{name: "tx.before", early: 25},
	{name: "tx.after", early: 25},
	{name: "sync.part-file", early: 3},
	{name: "sync.part-name", early: 3},
	{name: "sealing", early: 3},
	{name: "seal", early: 3},
	{name: "sealed", early: 3},
	{name: "finish", early: 2},
	{name: "promote", early: 2},
	{name: "cancel", early: 1},
	{name: "acknowledge", early: 1},
	{name: "settle", early: 1},
	{name: "delete", early: 1},
	{name: "file.remove", early: 1},
	{name: "erase", early: 1},
	{name: "renew", early: 1, stop: true},
	{name: "release", early: 1, stop: true},
}

// cell is one of the matrix: a point, and what happens there.
type cell struct {
	point
	action string
	visit  int
}

func (c cell) String() string { return fmt.Sprintf("%s=%s@%d", c.name, c.action, c.visit) }

const (
	stall = 5 * time.Second
	// patience is how long a server with an error in it may take before it is
	// started again: a write that failed leaves a store that takes nothing more.
	// One that stalled has as long from when it goes on.
	patience = 1500 * time.Millisecond
	tries    = 8 // crowds that may pass a point by
)

var errNotReached = errors.New("the point was never reached")

// TestFailpoints lets the program fail at every point in every way, while
// clients are at work, and asks the judge. PROMPTFORGE_CELLS=N plays every cell
// N times.
func TestFailpoints(t *testing.T) {
	begin := time.Now()
	rounds := count("PROMPTFORGE_CELLS", 1)
	actions := []string{"crash", "error", "enospc", "stall"}
	sum, done := &tally{schedules: rounds * len(points) * len(actions)}, 0
	cells := make(chan cell)
	var players sync.WaitGroup
	for range 4 * runtime.GOMAXPROCS(0) { // they mostly wait
		players.Go(func() {
			for c := range cells {
				began := time.Now()
				ok := playCell(t, c, sum)
				sum.Lock()
				done++
				nth := done
				if !ok {
					sum.failed++
				}
				sum.Unlock()
				t.Logf("%d of %d: %s took %s", nth, sum.schedules, c, time.Since(began).Round(time.Millisecond))
			}
		})
	}
	for range rounds {
		for _, p := range points {
			for _, action := range actions {
				cells <- cell{p, action, 1 + rand.IntN(p.early)}
			}
		}
	}
	close(cells)
	players.Wait()
	t.Logf("%d points, %s, in %s", len(points), sum, time.Since(begin).Round(time.Millisecond))
}

// playCell tries crowds until one reaches the point.
func playCell(t *testing.T, c cell, sum *tally) (ok bool) {
	first := rand.Uint64N(1_000_000_000)
	if v := os.Getenv("PROMPTFORGE_SEED"); v != "" {
		fmt.Sscan(v, &first)
	}
	var err error
	for seed := first; seed < first+tries; seed++ {
		dir := t.TempDir()
		err = failSchedule(seed, c, dir, sum)
		if !errors.Is(err, errNotReached) {
			if err != nil {
				t.Errorf("%s, seed %d: %v", c, seed, err)
			}
			return err == nil
		}
		c.visit = max(1, c.visit/2)
	}
	t.Errorf("%s: %v", c, err)
	return false
}

// failSchedule plays one cell: a crowd at work, a server that fails once, and
// another life that must mend it.
func failSchedule(seed uint64, c cell, dir string, sum *tally) error {
	s, err := newStage(seed, filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	defer s.close()
	ctx, stop := context.WithTimeout(context.Background(), scheduleLimit)
	defer stop()
	log := filepath.Join(dir, "faults")
	s.flags = append(s.flags, "--disk-reserve", "1MiB", "--drain-timeout", "2s")
	plain := s.env
	s.env = append(plain[:len(plain):len(plain)], "PROMPTFORGE_FAILPOINTS_LOG="+log, "PROMPTFORGE_FAILPOINTS="+c.String(),
		"PROMPTFORGE_FAILPOINTS_STALL="+stall.String())
	reached := func() bool {
		_, err := os.Stat(log)
		return err == nil
	}
	if err := s.start(); err != nil {
		return err
	}
	sizes := witness.Sizes{Clients: 3, Jobs: 3, MinPrompts: 10, MaxPrompts: 60}
	if err := s.invite(ctx, sizes); err != nil {
		if !reached() {
			return err
		}
		// It came before anybody was there.
		s.now.kill()
		s.env = plain
		if err := s.start(); err != nil {
			return err
		}
		if err := s.invite(ctx, sizes); err != nil {
			return err
		}
	}
	worked := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		worked <- s.crowd.Work(ctx)
		close(done)
	}()
	s.play(ctx, c, reached, done)
	fired := reached()
	s.env = plain
	if err := s.died(s.now); err != nil {
		return err
	}
	if fired && c.lost && (c.action == "error" || c.action == "enospc") {
		s.crowd.History.Broke(1)
	}
	if c.name == "permit" {
		s.crowd.History.Unsent(1)
	}
	if err := s.start(); err != nil {
		return err
	}
	if err := s.now.up(ctx); err != nil {
		return err
	}
	if err := s.finish(ctx, worked); err != nil {
		return err
	}
	if err := judge.CheckFolder(ctx, s.data); err != nil {
		return err
	}
	if err := s.fsck(); err != nil {
		return err
	}
	if !fired {
		return errNotReached
	}
	sum.add(s, 1)
	return nil
}

// play lets the first life run until it is dead: by its fault, by a stop once
// the crowd is done, or killed where an error left it unable to go on.
func (s *stage) play(ctx context.Context, c cell, reached func() bool, done <-chan struct{}) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	half, mend := s.crowd.Prompts()/2, patience
	if c.action == "stall" {
		mend += stall
	}
	var failed time.Time
	for {
		select {
		case <-s.now.dead:
			return
		case <-done:
			s.end(ctx)
			return
		case <-ctx.Done():
			s.now.kill()
			return
		case <-tick.C:
		}
		if failed.IsZero() && reached() {
			failed = time.Now()
		}
		switch {
		case !failed.IsZero() && time.Since(failed) > mend:
			s.now.kill()
			return
		case c.stop && s.provider.Requests() > half:
			s.end(ctx)
			return
		}
	}
}

// end stops the server as an operator does, and as one that has enough of it.
func (s *stage) end(ctx context.Context) {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = s.now.stop() // whatever it says, it is dead then, and the judge tells
	}()
	timer := time.NewTimer(10 * time.Second)
	defer timer.Stop()
	select {
	case <-stopped:
	case <-timer.C:
		s.now.kill()
	case <-ctx.Done():
		s.now.kill()
	}
	<-stopped
}

// fsck has the program check what it left.
func (s *stage) fsck() error {
	if out, err := exec.Command(s.program, "fsck", "--data-dir", s.data).CombinedOutput(); err != nil {
		return fmt.Errorf("fsck: %w: %s", err, out)
	}
	return nil
}

// TestDiskFull fills the disk at random write sites, each for some visits, and
// lets it be free again: everything goes on by itself, without a restart.
// PROMPTFORGE_FULL says how many schedules.
func TestDiskFull(t *testing.T) {
	begin := time.Now()
	sum := schedules(t, count("PROMPTFORGE_FULL", 20), fullSchedule)
	t.Logf("%s, in %s", sum, time.Since(begin).Round(time.Millisecond))
}

// writeSites are where the disk can be found full, from which visit on and
// within how many: clients and their keys are there before the disk is full.
var writeSites = []struct {
	name        string
	from, early int
}{
	{"file.create", 1, 6},
	{"file.write", 1, 12},
	{"sync.prompts-file", 1, 4},
	{"file.link", 1, 6},
	{"sync.prompts-name", 1, 4},
	{"sync.new-directory", 1, 4},
	{"tx.before", 10, 25},
	{"record.before", 1, 8},
	{"sync.part-file", 1, 4},
	{"sync.part-name", 1, 4},
}

func fullSchedule(seed uint64, dir string, sum *tally) error {
	s, err := newStage(seed, filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	defer s.close()
	ctx, stop := context.WithTimeout(context.Background(), scheduleLimit)
	defer stop()
	// One site for certain, by turns, and others by chance.
	r := rand.New(rand.NewPCG(seed, 2))
	var faults []string
	for i, site := range writeSites {
		if i == int(seed%uint64(len(writeSites))) || r.IntN(4) == 0 {
			faults = append(faults, fmt.Sprintf("%s=enospc@%dx%d", site.name, site.from+r.IntN(site.early), 1+r.IntN(5)))
		}
	}
	log := filepath.Join(dir, "faults")
	s.flags = append(s.flags, "--disk-reserve", "1MiB")
	s.env = append(s.env, "PROMPTFORGE_FAILPOINTS_LOG="+log, "PROMPTFORGE_FAILPOINTS="+strings.Join(faults, ","))
	if err := s.start(); err != nil {
		return err
	}
	if err := s.invite(ctx, witness.Sizes{Clients: 3, Jobs: 2, MinPrompts: 50, MaxPrompts: 200}); err != nil {
		return fmt.Errorf("%s: %w", faults, err)
	}
	worked := make(chan error, 1)
	go func() { worked <- s.crowd.Work(ctx) }()
	if err := s.finish(ctx, worked); err != nil {
		return fmt.Errorf("%s: %w: %s", faults, err, s.now.log.String())
	}
	if err := judge.CheckFolder(ctx, s.data); err != nil {
		return fmt.Errorf("%s: %w", faults, err)
	}
	if err := s.fsck(); err != nil {
		return fmt.Errorf("%s: %w", faults, err)
	}
	if text, err := os.ReadFile(log); err != nil || len(text) == 0 {
		return fmt.Errorf("%s: the disk was never full: %w", faults, err)
	}
	sum.add(s, 0)
	return nil
}
