package dispatcher

import (
	"context"
	"hash/fnv"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/dispatcher/rate"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

const (
	paceEvery = 500 * time.Millisecond
	saveEvery = 10 * time.Second
	// storeRetry is the pause after the store could not answer.
	storeRetry = time.Second
)

// event is something that happened to a lane. It runs on the lane's goroutine.
type event func(now time.Time)

// laneRunner drives one lane: it turns commands into work and work into events.
type laneRunner struct {
	d       *Dispatcher
	key     job.Lane
	lease   storage.Lease
	group   provider.Group
	clients []*provider.Client // one a credential of the group, over the same connections
	lane    *lane

	jobs     int  // in hand or on their way here; under Dispatcher.mu
	retiring bool // it takes no job any more; under Dispatcher.mu

	events chan event
	work   chan *item
	closed chan struct{}

	sources   map[*run]*source
	left      map[*run]int64 // prompts without an outcome
	failed    map[*run]chan struct{}
	pacedAt   time.Time
	savedAt   time.Time
	idleSince time.Time // of a lane without jobs
	saving    bool      // a save is under way
	saveAgain bool
}

func newLaneRunner(d *Dispatcher, key job.Lane, lease storage.Lease, g provider.Group) *laneRunner {
	seed := fnv.New64a()
	seed.Write(lease.Term[:])
	now := time.Now()
	r := &laneRunner{
		d: d, key: key, lease: lease, group: g,
		events: make(chan event, 256), work: make(chan *item), closed: make(chan struct{}),
		sources: map[*run]*source{}, left: map[*run]int64{}, failed: map[*run]chan struct{}{},
		pacedAt: now, savedAt: now, idleSince: now,
	}
	kept, ok := readMemory(lease.Learned)
	var learned *rate.Learned
	if ok {
		learned = &kept.Rate
	}
	set := d.settings.Load()
	cfg := r.config(set)
	cfg.Rate.Seed = seed.Sum64()
	r.lane = newLane(cfg, learned, kept.Succeeded, d.slots, seed.Sum64(), now)
	r.lane.renewKeys(now, len(g))
	r.lane.remember(now, &kept)
	r.want(now)
	r.connect(set)
	return r
}

// config is what the lane goes by now.
func (r *laneRunner) config(set *Settings) laneConfig {
	e := &r.group[0]
	width := r.width()
	return laneConfig{
		RetryBase: set.RetryBase, MaxHold: set.MaxHold, MaxOutage: set.MaxOutage, RPD: e.RPD, Public: r.group.Public,
		Rate: rate.Config{RPM: e.RPM, TPM: e.TPM, Concurrency: width, ConcurrencyCapped: width == e.Concurrency},
	}
}

// width is how many requests may be under way at once.
func (r *laneRunner) width() int {
	width := r.d.cfg.MaxInFlight
	if n := r.group[0].Concurrency; n > 0 {
		width = min(width, n)
	}
	return width
}

// want holds the lane while its quota group has no credential.
func (r *laneRunner) want(now time.Time) {
	missing := r.group.Missing()
	if missing != "" {
		r.d.log.Warn("a lane is held: it has no credential", "lane", r.key.String(), "credential", r.group[0].KeyName, "reason", missing)
	}
	r.lane.block(noCredential, missing, now)
}

// connect makes the clients.
func (r *laneRunner) connect(set *Settings) {
	first := provider.NewClient(r.group[0], provider.ClientConfig{InFlight: r.width(), Timeout: set.RequestTimeout, Model: r.key.Model})
	r.clients = []*provider.Client{first}
	for _, e := range r.group[1:] {
		r.clients = append(r.clients, first.With(e))
	}
}

// post hands an event over. It may wait for the lane, which waits for nobody.
func (r *laneRunner) post(e event) {
	select {
	case r.events <- e:
	case <-r.closed:
	}
}

func (r *laneRunner) join(x *run, s *source, c *storage.Claim) {
	r.post(func(time.Time) {
		r.sources[x], r.left[x] = s, c.Job.Open()
		r.lane.join(x)
		if len(c.Segments) > 0 {
			r.d.seal.found(x.id, r.lease.Term, c.Segments)
		}
	})
}

// cancel stops sending for a job that became final elsewhere, and says so in
// the store, for which the one who cancelled waits.
func (r *laneRunner) cancel(x *run) {
	r.post(func(time.Time) {
		r.lane.cancel(x)
		go r.insist(func(ctx context.Context) error {
			return r.d.cfg.Store.Acknowledge(ctx, r.lease.Term, x.id)
		})
	})
}

// lost hears, at the very end, that the store took a batch no more.
func (r *laneRunner) lost(b *batch) {
	n, bytes := len(b.outcomes), b.bytes
	r.d.gaveUp.Add(int64(n))
	r.post(func(time.Time) { r.lane.recorded(b.run, n, bytes) })
}

func (r *laneRunner) stop() { r.post(func(time.Time) { r.lane.stopping = true }) }

// block stops sending for a cause; an empty reason ends it.
func (r *laneRunner) block(c cause, reason string, since time.Time) {
	r.post(func(time.Time) { r.lane.block(c, reason, since) })
}

// loop runs until the lane was stopped and nothing is under way.
func (r *laneRunner) loop() {
	defer func() { r.clients[0].Close() }()
	defer close(r.closed)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := time.Now()
		wake := r.lane.step(now)
		r.execute()
		if r.over() || r.idle(now) {
			r.giveBack()
			r.d.ended(r)
			return
		}
		if len(r.lane.runs) > 0 {
			wake = earliest(wake, r.tell(now))
		} else {
			wake = earliest(wake, r.idleSince.Add(r.d.idle))
		}
		var alarm <-chan time.Time
		if !wake.IsZero() {
			timer.Reset(max(0, time.Until(wake)))
			alarm = timer.C
		}
		select {
		case e := <-r.events:
			now = time.Now()
			e(now)
			r.drainEvents(now)
		case <-alarm:
		}
	}
}

// drainEvents takes what else has happened, so that one step answers it all.
func (r *laneRunner) drainEvents(now time.Time) {
	for range cap(r.events) {
		select {
		case e := <-r.events:
			e(now)
		default:
			return
		}
	}
}

func (r *laneRunner) execute() {
	var last *run
	for _, c := range r.lane.take() {
		switch c.verb {
		case doSend:
			c.it.client = r.clients[c.it.key]
			if c.it.run != last {
				last = c.it.run
				r.d.commit.touch(r, last)
			}
			select {
			case r.work <- c.it:
			default:
				go r.worker(c.it)
			}
		case doCanary:
			go r.canary(r.clients[c.key])
		case doReserve:
			r.d.commit.touch(r, c.run)
			if c.run.allowed() == 0 {
				r.d.commit.hurry() // nothing can leave before it
			}
		case doRead:
			go r.read(c.run, r.sources[c.run])
		case doRecord:
			r.d.commit.add(r, c.run, c.outcome)
		case doFail:
			r.fail(c.run, c.reason)
		case doFinish:
			go r.finish(c.run)
		case doSettle:
			go r.settle(c.run, r.failed[c.run])
		case doSave:
			r.save()
		case doLog:
			r.log(&c.note)
		}
	}
}

// over tells whether a stopped lane has nothing under way.
func (r *laneRunner) over() bool {
	if !r.lane.stopping || r.lane.inFlight > 0 || r.lane.unrecorded > 0 || r.saving {
		return false
	}
	for _, x := range r.lane.runs {
		if x.ending || !x.idle() {
			return false
		}
	}
	return len(r.events) == 0
}

// idle tells whether the lane had no job for so long that it ends.
func (r *laneRunner) idle(now time.Time) bool {
	if len(r.lane.runs) > 0 {
		r.idleSince = now
		return false
	}
	if now.Sub(r.idleSince) < r.d.idle || r.lane.inFlight > 0 || r.saving || len(r.events) > 0 {
		return false
	}
	return r.d.retire(r)
}

// giveBack releases the jobs and the lane at the end.
func (r *laneRunner) giveBack() {
	// What was sent and given up must be told before the jobs are given back.
	r.d.commit.flush()
	for _, x := range append([]*run(nil), r.lane.runs...) {
		if err := r.d.cfg.Store.Release(context.Background(), r.lease.Term, x.id); err != nil {
			r.d.log.Warn("a job could not be given back", "job", x.id, "error", err)
		}
		r.close(x)
	}
	m := r.lane.memory()
	_ = r.keep(&m) // it is logged
	if err := r.d.cfg.Store.ReleaseLane(context.Background(), r.lease); err != nil {
		r.d.log.Warn("a lane could not be given back", "lane", r.key.String(), "error", err)
	}
}
