package dispatcher

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/promptforge/promptforge/internal/failpoint"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

const (
	// commitPause is how long the committer gathers: long enough that one sync
	// serves many outcomes, short enough that a crash costs little.
	commitPause = 10 * time.Millisecond
	commitFull  = 2048
	commitBytes = 8 << 20
)

// committer records outcomes in group commits: many outcomes, of any jobs, one
// transaction. Workers never wait for it.
type committer struct {
	store storage.Store
	room  storage.Room
	seal  *sealer
	log   *slog.Logger
	hard  <-chan struct{} // closed when nothing may wait any more

	mu      sync.Mutex
	pending map[*run]*batch
	order   []*batch
	count   int
	bytes   int
	wake    chan struct{} // something is pending
	full    chan struct{} // no need to gather longer
	closed  chan struct{}
	once    sync.Once
	waiters []chan struct{} // for flush; closed after the next commit
}

// batch is what is pending for one run.
type batch struct {
	runner   *laneRunner
	run      *run
	outcomes []*job.Outcome
	bytes    int

	reserve int64 // what this commit makes durable
}

func newCommitter(store storage.Store, room storage.Room, seal *sealer, log *slog.Logger, hard <-chan struct{}) *committer {
	return &committer{
		store: store, room: room, seal: seal, log: log, hard: hard, pending: map[*run]*batch{},
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1), closed: make(chan struct{}),
	}
}

// add takes an outcome over.
func (c *committer) add(r *laneRunner, x *run, o *job.Outcome) {
	c.mu.Lock()
	b := c.batch(r, x)
	b.outcomes = append(b.outcomes, o)
	n := len(o.Public) + len(o.Response)
	b.bytes += n
	c.count++
	c.bytes += n
	full := c.count >= commitFull || c.bytes >= commitBytes
	c.mu.Unlock()
	signal(c.wake)
	if full {
		signal(c.full)
	}
}

// touch has a run's account told with the next commit.
func (c *committer) touch(r *laneRunner, x *run) {
	c.mu.Lock()
	c.batch(r, x)
	c.mu.Unlock()
	signal(c.wake)
}

// hurry has the next commit made without gathering.
func (c *committer) hurry() { signal(c.full) }

func (c *committer) batch(r *laneRunner, x *run) *batch {
	b := c.pending[x]
	if b == nil {
		b = &batch{runner: r, run: x}
		c.pending[x] = b
		c.order = append(c.order, b)
	}
	return b
}

// flush waits until everything handed over before it is durable.
func (c *committer) flush() {
	done := make(chan struct{})
	c.mu.Lock()
	c.waiters = append(c.waiters, done)
	c.mu.Unlock()
	signal(c.wake)
	signal(c.full)
	select {
	case <-done:
	case <-c.closed:
	}
}

// close ends loop after a last commit.
func (c *committer) close() { c.once.Do(func() { close(c.closed) }) }

func (c *committer) loop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-c.wake:
		case <-c.closed:
			c.commit()
			return
		}
		timer.Reset(commitPause)
		select {
		case <-timer.C:
		case <-c.full:
		case <-c.closed:
		}
		c.commit()
	}
}

// swap takes what is pending.
func (c *committer) swap() ([]*batch, []chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	batches, waiters := c.order, c.waiters
	c.pending = make(map[*run]*batch, len(batches))
	c.order, c.waiters, c.count, c.bytes = nil, nil, 0, 0
	return batches, waiters
}

func (c *committer) commit() {
	batches, waiters := c.swap()
	defer func() {
		for _, w := range waiters {
			close(w)
		}
	}()
	if len(batches) == 0 {
		return
	}
	records := make([]storage.Record, len(batches))
	for i, b := range batches {
		records[i] = b.record()
	}
	done, ok := c.insist(batches, records)
	if !ok {
		for _, b := range batches {
			b.runner.lost(b)
		}
		return
	}
	for i, b := range batches {
		c.tell(b, done[i])
	}
}

// record reads a run's account at the last moment.
func (b *batch) record() storage.Record {
	a := b.run.account
	b.reserve = a.reserve.Load()
	return storage.Record{
		ID: b.run.id, Batch: rand.Uint64(), Outcomes: b.outcomes, SentThrough: b.reserve,
		Requests: a.requests.Swap(0), GivenUp: a.givenUp.Swap(0), Pace: a.pace.Swap(nil),
	}
}

// insist repeats the transaction until the store takes it. Meanwhile nothing
// new is sent, and what was answered is kept in memory.
func (c *committer) insist(batches []*batch, records []storage.Record) ([]storage.Recorded, bool) {
	blocked := false
	for {
		done, err := c.record(records)
		if err == nil {
			if blocked {
				c.block(batches, "")
				c.log.Info("the store takes answers again")
			}
			return done, true
		}
		c.log.Error("answers could not be recorded; trying again", "outcomes", outcomesIn(batches), "error", err)
		if storage.DiskFull(err) && c.room.Full() {
			continue // what was paid for goes into the reserve
		}
		if !blocked {
			blocked = true
			c.block(batches, "Answers cannot be recorded now; sending goes on when they can.")
		}
		timer := time.NewTimer(storeRetry)
		select {
		case <-timer.C:
			continue
		case <-c.closed:
		case <-c.hard:
		}
		timer.Stop()
		c.log.Error("answers were lost at the end, since the store took none", "outcomes", outcomesIn(batches))
		return nil, false
	}
}

func (c *committer) record(records []storage.Record) ([]storage.Recorded, error) {
	if err := failpoint.Hit("record.before"); err != nil {
		return nil, err
	}
	done, err := c.store.Record(context.Background(), records)
	if err != nil {
		return nil, err
	}
	// An error here is an acknowledgement that got lost: the same is recorded
	// again, and taken once.
	return done, failpoint.Hit("record.after")
}

func outcomesIn(batches []*batch) int {
	n := 0
	for _, b := range batches {
		n += len(b.outcomes)
	}
	return n
}

func (c *committer) block(batches []*batch, reason string) {
	told := map[*laneRunner]bool{}
	for _, b := range batches {
		if !told[b.runner] {
			told[b.runner] = true
			b.runner.block(storeAway, reason, time.Now())
		}
	}
}

// tell passes on what became of a batch.
func (c *committer) tell(b *batch, done storage.Recorded) {
	x, r, n, bytes := b.run, b.runner, len(b.outcomes), b.bytes
	if done.Err != nil && !errors.Is(done.Err, storage.ErrNotFound) {
		c.log.Error("a job's answers cannot be kept; it fails", "job", x.id, "answers", n, "error", done.Err)
		r.post(func(time.Time) { r.lane.recorded(x, n, bytes); r.lane.fail(x, reasonDamaged) })
		return
	}
	if done.Err != nil {
		c.log.Warn("a job is gone while its answers came in", "job", x.id, "error", done.Err)
		r.post(func(time.Time) { r.lane.recorded(x, n, bytes); r.lane.cancel(x) })
		return
	}
	if n == 0 {
		r.post(func(time.Time) { x.reservedTo(b.reserve) })
		return
	}
	if done.Accepted < n {
		c.log.Warn("answers came for prompts that had one", "job", x.id, "answers", n-done.Accepted)
	}
	c.seal.recorded(x.id, r.lease.Term, done.Open)
	left := done.Job.Open()
	r.post(func(time.Time) {
		r.lane.recorded(x, n, bytes)
		x.reservedTo(b.reserve)
		if _, ok := r.left[x]; ok {
			r.left[x] = left
		}
	})
}

// signal sets a flag that is a channel of one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
