package dispatcher

import (
	"context"
	"encoding/json"
	"errors"
	"hash/fnv"
	"log/slog"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/dispatcher/rate"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/files"
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
		RetryBase: set.RetryBase, MaxHold: set.MaxHold, MaxOutage: set.MaxOutage, RPD: e.RPD,
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

// reload goes by the newest settings and, where they are others, credentials.
func (r *laneRunner) reload(now time.Time) {
	set := r.d.settings.Load()
	if r.lane.stopping {
		return // a newer Reload ended the lane
	}
	g := set.Providers.Lane(r.key)
	r.execute() // what is to be done still means the credentials of before
	renewed := !g.SameKeys(r.group)
	r.group = g
	r.lane.cfg = r.config(set)
	r.lane.ctl.SetCaps(now, r.lane.cfg.Rate)
	if renewed {
		r.lane.renewKeys(now, len(g))
		if g.Missing() == "" {
			r.d.log.Info("a lane goes on with other credentials", "lane", r.key.String(), "credentials", len(g))
		}
	}
	r.want(now)
	if h := r.lane.hold; h != nil && h.kind == dayCap {
		r.lane.unhold(now, "a lane's cap of a day may be another") // and is begun again where it is not
	}
	old := r.clients[0]
	r.connect(set)
	old.Close()
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

// tell updates what jobs show and what is kept of the lane, when it is time,
// and returns when it is time again.
func (r *laneRunner) tell(now time.Time) time.Time {
	if next := r.pacedAt.Add(paceEvery); now.Before(next) {
		return next
	}
	r.pacedAt = now
	for _, x := range r.lane.runs {
		x.account.pace.Store(r.lane.pace(now, x, r.left[x]))
		r.d.commit.touch(r, x)
	}
	if now.Sub(r.savedAt) >= saveEvery {
		r.save()
	}
	return now.Add(paceEvery)
}

// save keeps what is known of the lane. One save is under way at a time, so
// that an older one never replaces a newer one.
func (r *laneRunner) save() {
	if r.saving {
		r.saveAgain = true
		return
	}
	r.saving, r.saveAgain, r.savedAt = true, false, time.Now()
	m := r.lane.memory()
	go func() {
		err := r.keep(&m)
		if err != nil {
			pause := time.NewTimer(storeRetry)
			defer pause.Stop()
			select {
			case <-pause.C:
			case <-r.d.hard.Done():
			}
		}
		r.post(func(time.Time) {
			r.saving = false
			if err == nil {
				r.lane.saved(&m)
			}
			if r.saveAgain || err != nil && !r.lane.stopping {
				r.save()
			}
		})
	}()
}

func (r *laneRunner) keep(m *memory) error {
	learned, err := json.Marshal(m)
	if err == nil {
		err = r.d.cfg.Store.SaveLane(context.Background(), r.lease, learned)
	}
	if err != nil {
		r.d.log.Warn("what was learned about a lane could not be kept", "lane", r.key.String(), "error", err)
	}
	return err
}

// log tells what the lane has to tell: nothing that a provider said, since that
// may quote a prompt.
func (r *laneRunner) log(n *note) {
	attrs := []any{"lane", r.key.String()}
	if n.hasKey {
		attrs = append(attrs, "credential", r.group[n.key].KeyName)
	}
	if n.count > 0 {
		attrs = append(attrs, "prompts", n.count)
	}
	if h := n.hold; h != nil {
		attrs = append(attrs, "hold", h.kind.String(), "since", h.since.UTC().Format(time.RFC3339))
		if h.status != 0 {
			attrs = append(attrs, "status", h.status)
		}
		if !h.until.IsZero() {
			attrs = append(attrs, "until", h.until.UTC().Format(time.RFC3339))
		}
	}
	level := slog.LevelWarn
	if n.good {
		level = slog.LevelInfo
	}
	r.d.log.Log(context.Background(), level, n.what, attrs...)
}

// read reads a run's next block. A damaged one ends the job: what was answered
// stays.
func (r *laneRunner) read(x *run, s *source) {
	items, eof, err := s.next(x)
	if err == nil {
		r.post(func(time.Time) { r.lane.read(x, items, eof) })
		return
	}
	r.d.log.Error("a job's prompts cannot be read", "job", x.id, "error", err)
	var damaged *files.DamagedError
	if errors.As(err, &damaged) {
		r.post(func(time.Time) {
			r.lane.read(x, nil, true)
			r.lane.fail(x, "The prompts file is damaged; what was answered before stays, and the rest must be submitted again.")
		})
		return
	}
	r.post(func(now time.Time) { r.lane.unread(x, now.Add(storeRetry)) })
}

// fail makes a job FAILED; what is in flight may still be recorded.
func (r *laneRunner) fail(x *run, reason string) {
	done := make(chan struct{})
	r.failed[x] = done
	r.d.log.Warn("job failed", "job", x.id, "lane", r.key.String())
	go func() {
		defer close(done)
		r.insist(func(ctx context.Context) error {
			_, err := r.d.cfg.Store.Finish(ctx, r.lease.Term, x.id, job.Failed, reason, time.Now())
			return err
		})
	}()
}

// finish completes a job whose prompts all have their outcome.
func (r *laneRunner) finish(x *run) {
	whole, ok := r.sealAll(x)
	if !ok {
		return // it is found unfinished at the next start
	}
	to, reason := job.Completed, ""
	if !whole {
		to, reason = job.Failed, reasonDamaged
	}
	unsettled := !whole
	r.insist(func(ctx context.Context) error {
		_, err := r.d.cfg.Store.Finish(ctx, r.lease.Term, x.id, to, reason, time.Now())
		var state *storage.StateError
		unsettled = !whole || errors.As(err, &state)
		return err
	})
	if unsettled {
		r.settleNow(x)
	}
	r.gone(x)
}

// settle ends a final job once nothing of it is under way.
func (r *laneRunner) settle(x *run, failed <-chan struct{}) {
	if failed != nil {
		<-failed
	}
	if _, ok := r.sealAll(x); !ok {
		return
	}
	r.settleNow(x)
	r.gone(x)
}

// sealAll seals everything of a job, once its account is told: after the end
// the store takes nothing more. It is not whole where something is damaged and
// stays as it is.
func (r *laneRunner) sealAll(x *run) (whole, ok bool) {
	r.d.commit.flush()
	ok = r.insist(func(ctx context.Context) error {
		err := r.d.seal.all(ctx, x.id, r.lease.Term)
		whole = err == nil
		return err
	})
	return whole, ok
}

func (r *laneRunner) settleNow(x *run) {
	r.insist(func(ctx context.Context) error {
		_, err := r.d.cfg.Store.Settle(ctx, r.lease.Term, x.id, time.Now())
		return err
	})
}

// gone takes a job out of the lane.
func (r *laneRunner) gone(x *run) {
	r.post(func(now time.Time) {
		r.lane.leave(now, x)
		r.close(x)
	})
}

func (r *laneRunner) close(x *run) {
	if s := r.sources[x]; s != nil {
		s.close()
	}
	delete(r.sources, x)
	delete(r.left, x)
	delete(r.failed, x)
	r.d.forget(x.id)
}

// insist repeats a decision until the store took or refused it, or the process
// ends; then it is false.
func (r *laneRunner) insist(decide func(context.Context) error) bool {
	for {
		err := decide(context.WithoutCancel(r.d.hard))
		var state *storage.StateError
		switch {
		case err == nil, errors.As(err, &state), errors.Is(err, storage.ErrNotFound):
			return true
		case storage.Damaged(err):
			r.d.log.Error("a job is damaged", "lane", r.key.String(), "error", err)
			return true
		case errors.Is(err, storage.ErrTerm), errors.Is(err, storage.ErrClosed):
			r.d.log.Warn("a decision came too late", "lane", r.key.String(), "error", err)
			return false
		}
		r.d.log.Error("the store could not take a decision; trying again", "lane", r.key.String(), "error", err)
		select {
		case <-time.After(storeRetry):
		case <-r.d.hard.Done():
			return false
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
