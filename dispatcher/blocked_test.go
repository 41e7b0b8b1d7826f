package dispatcher

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/simulator"
	"github.com/promptforge/promptforge/storage"
)

// tight is a disk that a test fills.
type tight struct {
	mu      sync.Mutex
	short   string
	spent   bool
	reserve bool // there is one to give up
	changed chan struct{}
}

func newTight() *tight { return &tight{changed: make(chan struct{}, 1), reserve: true} }

func (r *tight) become(short string, spent bool) {
	r.mu.Lock()
	r.short, r.spent = short, spent
	r.mu.Unlock()
	signal(r.changed)
}

func (r *tight) Short() (string, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.short, time.Time{}
}

func (r *tight) Spent() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.spent
}

func (r *tight) Full() bool {
	r.mu.Lock()
	had := r.reserve
	r.reserve = false
	r.mu.Unlock()
	r.become("The disk is full.", true)
	return had
}

func (r *tight) Watch() (<-chan struct{}, func()) { return r.changed, func() {} }

// full is a store on a full disk: it takes writes of outcomes only while it has
// the reserve's room.
type full struct {
	storage.Store
	room *tight

	mu       sync.Mutex
	full     bool
	refusals int
}

func (s *full) fill(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = full
}

func (s *full) Record(ctx context.Context, records []storage.Record) ([]storage.Recorded, error) {
	s.mu.Lock()
	refused := s.full && !s.room.Spent()
	if refused {
		s.refusals++
	}
	s.mu.Unlock()
	if refused {
		return nil, &os.PathError{Op: "write", Path: "store", Err: syscall.ENOSPC}
	}
	return s.Store.Record(ctx, records)
}

// TestDispatcherHoldsWithoutRoom: while the disk is nearly full nothing is sent
// and the job says why; what was in flight is recorded; it goes on by itself.
func TestDispatcherHoldsWithoutRoom(t *testing.T) {
	b := newBench(t, simulator.Config{Latency: 20 * time.Millisecond})
	room := newTight()
	b.start(func(c *Config) { c.Room = room })
	const n = 3000
	id := b.submit("a", job.Job{}, prompts(n, "room")...)
	b.wait(id, func(j *job.Job) bool { return j.CompletedCount > 100 })
	room.become("The disk is nearly full.", false)
	held := b.wait(id, func(j *job.Job) bool { return j.Pace.HoldReason != "" })
	if held.Pace.HoldReason != "The disk is nearly full." || held.Pace.BoundBy != "hold" {
		t.Errorf("held: %+v", held.Pace)
	}
	sent := b.sim.Stats().Requests
	b.wait(id, func(j *job.Job) bool { return j.CompletedCount == int64(sent) })
	other := b.submit("b", job.Job{Model: "sim-2", Provider: "sim"}, prompts(5, "other")...) // a lane that is new
	b.wait(other, func(j *job.Job) bool { return j.Pace.HoldReason != "" })
	if now := b.sim.Stats().Requests; now != sent {
		t.Errorf("%d requests left while the disk was nearly full", now-sent)
	}
	room.become("", false)
	for id, n := range map[job.ID]int64{id: n, other: 5} {
		if j := b.wait(id, settled); j.CompletedCount != n || j.RequestsSent != n {
			t.Errorf("%d completed, %d sent", j.CompletedCount, j.RequestsSent)
		}
	}
}

// TestDispatcherRecordsOutOfTheReserve: on a disk that is full all at once,
// what is in flight is recorded out of the reserve, within no retry's pause;
// parts wait, and no prompt is sent twice.
func TestDispatcherRecordsOutOfTheReserve(t *testing.T) {
	b := newBench(t, simulator.Config{Latency: 20 * time.Millisecond})
	room := newTight()
	s := &full{Store: b.store, room: room}
	b.start(func(c *Config) { c.Store, c.Room = s, room })
	const n = 3000
	id := b.submit("a", job.Job{}, prompts(n, "full")...)
	b.wait(id, func(j *job.Job) bool { return j.CompletedCount > 100 })
	s.fill(true)
	b.wait(id, func(j *job.Job) bool { return j.Pace.HoldReason == "The disk is full." })
	sent := b.sim.Stats().Requests
	j := b.wait(id, func(j *job.Job) bool { return j.CompletedCount == int64(sent) })
	s.mu.Lock()
	if s.refusals != 1 {
		t.Errorf("%d commits were refused, the first of them should have given up the reserve", s.refusals)
	}
	s.mu.Unlock()
	if j.CompletedCount == n {
		t.Fatal("the job was over before the disk was full: the test can't fail")
	}
	room.become("", false)
	s.fill(false)
	if j := b.wait(id, settled); j.CompletedCount != n || j.RequestsSent != n {
		t.Errorf("%d completed, %d sent", j.CompletedCount, j.RequestsSent)
	}
	b.answered(id, n, "full")
}

// TestSealerLeavesTheReserve: while the reserve is given up no part is written.
func TestSealerLeavesTheReserve(t *testing.T) {
	b := newBench(t, simulator.Config{})
	room := newTight()
	room.become("full", true)
	b.start(func(c *Config) { c.Room = newTight() })
	id := b.submit("a", job.Job{}, prompts(10, "seal")...)
	b.wait(id, settled)
	s := newSealer(b.store, b.files, room, slog.New(slog.DiscardHandler))
	if err := s.all(context.Background(), id, job.NewTerm()); err != errNoRoom {
		t.Errorf("%v", err)
	}
}

// TestBlockCauses: of two causes the first is shown, and each ends alone.
func TestBlockCauses(t *testing.T) {
	var l lane
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	for i, step := range []struct {
		c      cause
		reason string
		want   string
		since  time.Time
	}{
		{storeAway, "store", "store", at(0)},
		{noRoom, "disk", "disk", at(1)},
		{noRoom, "disk!", "disk!", at(1)},
		{noRoom, "", "store", at(0)},
		{storeAway, "", "", time.Time{}},
	} {
		l.block(step.c, step.reason, at(i))
		if l.blocked != step.want || !l.blockedAt.Equal(step.since) {
			t.Errorf("after %d: %q since %s", i, l.blocked, l.blockedAt)
		}
	}
}
