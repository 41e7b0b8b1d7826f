package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/internal/failpoint"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/files"
)

const (
	// lookAgain is the poll behind the store's signals.
	lookAgain = 5 * time.Second
	// idleEnds is when a lane without jobs, and a worker without work, ends.
	idleEnds = 10 * time.Minute
)

// Config is what a dispatcher goes by. Every field but Log and Room is required.
type Config struct {
	Store storage.Store
	Files storage.Files
	Room  storage.Room // nil: nobody looks after the disk
	Log   *slog.Logger
	Settings

	MaxActiveJobs int           // jobs in hand at once
	MaxInFlight   int           // requests at once, over all lanes
	DrainTimeout  time.Duration // how long requests in flight may finish at the end
}

// Settings are what a dispatcher takes up while it runs (Reload).
type Settings struct {
	Providers      *provider.Registry
	RequestTimeout time.Duration // for one request
	RetryBase      time.Duration // the first retry waits up to this; doubled each time
	MaxHold        time.Duration // how long a refused credential may take to mend
	MaxOutage      time.Duration // how long a provider may be down
}

// Dispatcher holds the lanes of one process.
type Dispatcher struct {
	cfg      Config
	settings atomic.Pointer[Settings]
	holder   string
	log      *slog.Logger
	slots    *slots
	commit   *committer
	seal     *sealer
	idle     time.Duration // idleEnds

	hard     context.Context // ends what is in flight
	hardStop context.CancelFunc
	gaveUp   atomic.Int64

	mu      sync.Mutex
	runs    map[job.ID]*handle
	runners map[job.Lane]*laneRunner
	running sync.WaitGroup
	telling sync.Mutex
	freed   chan struct{}   // a job left: there may be room for another
	skipped map[job.ID]bool // told once why they can't run
}

// handle is where a job that is in hand is found.
type handle struct {
	runner *laneRunner
	run    *run
	final  bool // its runner knows that it is final
}

// GaveUpError tells that requests were abandoned in flight at the end; their
// prompts are sent again, and may be paid for twice.
type GaveUpError struct {
	Requests int64
	Waited   time.Duration
}

func (e *GaveUpError) Error() string {
	if e.Requests == 1 {
		return fmt.Sprintf("1 request was still in flight after %s and was given up; its prompt may be paid for twice", e.Waited)
	}
	return fmt.Sprintf("%d requests were still in flight after %s and were given up; their prompts may be paid for twice", e.Requests, e.Waited)
}

// New makes a dispatcher; Run starts it.
func New(cfg Config) *Dispatcher {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Room == nil {
		cfg.Room = storage.EndlessRoom{}
	}
	d := &Dispatcher{
		cfg: cfg, log: cfg.Log, holder: job.NewTerm().String(),
		slots:   &slots{most: int64(cfg.MaxInFlight)},
		runs:    map[job.ID]*handle{},
		runners: map[job.Lane]*laneRunner{},
		skipped: map[job.ID]bool{}, freed: make(chan struct{}, 1), idle: idleEnds,
	}
	d.settings.Store(&cfg.Settings)
	d.hard, d.hardStop = context.WithCancel(context.Background())
	d.seal = newSealer(cfg.Store, cfg.Files, cfg.Room, cfg.Log)
	d.commit = newCommitter(cfg.Store, cfg.Room, d.seal, cfg.Log, d.hard.Done())
	return d
}

// Run dispatches until ctx ends, then lets what is in flight finish, records
// it and gives its jobs back. It returns *GaveUpError if something outlasted
// DrainTimeout. It is called once.
func (d *Dispatcher) Run(ctx context.Context) error {
	defer d.hardStop()
	var parts sync.WaitGroup
	parts.Go(d.commit.loop)
	parts.Go(d.seal.loop)
	ended := make(chan struct{})
	parts.Go(func() { d.watchRoom(ended) })

	changed, unwatch := d.cfg.Store.Watch("")
	defer unwatch()
	ticker := time.NewTicker(lookAgain)
	defer ticker.Stop()
	for ctx.Err() == nil {
		if err := d.scan(ctx); err != nil && ctx.Err() == nil {
			d.log.Error("cannot look for work; trying again", "error", err)
		}
		select {
		case <-changed:
		case <-d.freed:
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
	err := d.drain()
	d.commit.close()
	d.seal.close()
	close(ended)
	parts.Wait()
	return err
}

// scan takes up every job that has something to do and tells runners of jobs
// that became final.
func (d *Dispatcher) scan(ctx context.Context) error {
	jobs, err := d.cfg.Store.Work(ctx)
	if storage.Damaged(err) {
		d.nameDamaged(err)
		err = nil
	}
	if err != nil {
		return err
	}
	for _, j := range jobs {
		d.mu.Lock()
		h, inHand := d.runs[j.ID]
		full := len(d.runs) >= d.cfg.MaxActiveJobs
		d.mu.Unlock()
		switch {
		case inHand && j.Status.Final() && !h.final:
			h.final = true
			h.runner.cancel(h.run)
		case !inHand && !full:
			// One job that can't be taken up keeps no other waiting.
			if err := d.claim(ctx, j); err != nil && ctx.Err() == nil {
				d.log.Error("a job cannot be taken up; trying again", "job", j.ID, "error", err)
				time.AfterFunc(storeRetry, func() { signal(d.freed) })
			}
		}
	}
	return nil
}

// claim takes one job under a lane's lease.
func (d *Dispatcher) claim(ctx context.Context, j *job.Job) error {
	group := d.choose(j)
	if group.Missing() != "" && j.Status.Final() {
		return d.bury(ctx, j, "")
	}
	runner, err := d.runner(ctx, group, j.Model)
	if runner == nil || err != nil {
		return err
	}
	taken := false
	defer func() {
		if !taken {
			d.leave(runner)
		}
	}()
	prompts, err := files.OpenPrompts(ctx, d.cfg.Files, j.Prompts.Name)
	var damaged *files.DamagedError
	switch {
	case errors.As(err, &damaged), errors.Is(err, storage.ErrNotFound):
		d.log.Error("a job's prompts file is damaged or gone", "job", j.ID, "error", err)
		return d.bury(ctx, j, "The prompts file is damaged or gone; what was answered before stays, and the rest must be submitted again.")
	case err != nil:
		return err
	}
	claim, err := d.cfg.Store.Claim(ctx, runner.lease, j.ID, time.Now())
	if err != nil {
		err = errors.Join(err, prompts.Close())
		if errors.Is(err, storage.ErrNotFound) {
			return nil // it was cancelled and settled meanwhile
		}
		return err
	}
	if err := failpoint.Hit("claimed"); err != nil {
		return errors.Join(err, prompts.Close())
	}
	if claim.Damaged != nil {
		d.log.Error("a job's answers are damaged", "job", j.ID, "error", claim.Damaged)
		return errors.Join(d.bury(ctx, j, reasonDamaged), prompts.Close())
	}
	r := newRun(claim.Job, time.Now())
	h := &handle{runner: runner, run: r, final: r.draining}
	d.mu.Lock()
	d.runs[j.ID] = h
	d.mu.Unlock()
	taken = true
	runner.join(r, newSource(prompts, claim), claim)
	d.log.Info("job claimed", "job", j.ID, "lane", runner.key.String(), "open", claim.Job.Open())
	return nil
}

// bury ends a job of which nothing can be sent any more: it fails with the
// reason, unless it is final already, and is settled.
func (d *Dispatcher) bury(ctx context.Context, j *job.Job, reason string) error {
	lane := job.Lane{Provider: j.Provider, Group: buriedGroup, Model: j.Model}
	lease, err := d.cfg.Store.HoldLane(ctx, lane, d.holder)
	if err != nil {
		return err
	}
	claim, err := d.cfg.Store.Claim(ctx, lease, j.ID, time.Now())
	if err != nil {
		return err
	}
	if !claim.Job.Status.Final() {
		if _, err := d.cfg.Store.Finish(ctx, lease.Term, j.ID, job.Failed, reason, time.Now()); err != nil {
			return err
		}
	}
	if err := d.seal.all(ctx, j.ID, lease.Term); err != nil && !storage.Damaged(err) {
		return err
	}
	defer d.seal.forget(j.ID)
	_, err = d.cfg.Store.Settle(ctx, lease.Term, j.ID, time.Now())
	return errors.Join(err, d.cfg.Store.ReleaseLane(ctx, lease))
}

// buriedGroup is the quota group of jobs that go to no endpoint. No operator
// can name a group so.
const buriedGroup = "\x00none"

// choose picks the quota group that a job goes to: the one that it was in
// already, else the one with the fewest jobs. Where none has a credential it is
// one whose lane is held for that.
func (d *Dispatcher) choose(j *job.Job) provider.Group {
	providers := d.settings.Load().Providers
	if g, ok := providers.Group(j.Lane); ok && !j.Term.IsZero() {
		return g
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	load := map[string]int{}
	for _, h := range d.runs {
		if h.runner.key.Provider == j.Provider {
			load[h.runner.key.Group]++
		}
	}
	var best provider.Group
	for _, g := range providers.Groups(j.Provider) {
		if best == nil || load[g.Name()] < load[best.Name()] {
			best = g
		}
	}
	if best == nil {
		return providers.Vacant(j.Provider)
	}
	return best
}

// runner finds or starts the runner of a lane for one more job; leave takes
// the job from it again. nil: one is just ending, and the job is looked at
// again when it has.
func (d *Dispatcher) runner(ctx context.Context, g provider.Group, model string) (*laneRunner, error) {
	key := job.Lane{Provider: g[0].Provider, Group: g.Name(), Model: model}
	d.mu.Lock()
	r, ok := d.runners[key]
	if ok && r.retiring {
		d.mu.Unlock()
		return nil, nil
	}
	if ok {
		r.jobs++
	}
	d.mu.Unlock()
	if ok {
		return r, nil
	}
	lease, err := d.cfg.Store.HoldLane(ctx, key, d.holder)
	if err != nil {
		return nil, err
	}
	defer d.tellRoom() // once it is among the others
	d.mu.Lock()
	defer d.mu.Unlock()
	// What Reload changed meanwhile reaches this lane here, and from now on by
	// its event.
	r = newLaneRunner(d, key, lease, d.settings.Load().Providers.Lane(key))
	r.jobs = 1
	d.runners[key] = r
	d.running.Go(r.loop)
	return r, nil
}

// leave takes a job from a runner.
func (d *Dispatcher) leave(r *laneRunner) {
	d.mu.Lock()
	r.jobs--
	d.mu.Unlock()
}

// retire ends a runner that has nothing to do, unless a job is on its way to it.
func (d *Dispatcher) retire(r *laneRunner) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.jobs > 0 {
		return false
	}
	r.retiring = true
	d.log.Debug("a lane that had nothing to do ends", "lane", r.key.String())
	return true
}

// ended forgets a runner that has given its lane back.
func (d *Dispatcher) ended(r *laneRunner) {
	d.mu.Lock()
	delete(d.runners, r.key)
	d.mu.Unlock()
	signal(d.freed)
}

// forget drops a job that is settled, gone or given back.
func (d *Dispatcher) forget(id job.ID) {
	d.mu.Lock()
	if h := d.runs[id]; h != nil {
		h.runner.jobs--
		delete(d.runs, id)
	}
	d.mu.Unlock()
	d.seal.forget(id)
	signal(d.freed)
}

// drain ends all runners, at the latest when DrainTimeout has passed.
func (d *Dispatcher) drain() error {
	d.mu.Lock()
	runners := slices.Collect(maps.Values(d.runners))
	d.mu.Unlock()
	for _, r := range runners {
		r.stop()
	}
	done := make(chan struct{})
	go func() {
		d.running.Wait()
		close(done)
	}()
	timer := time.NewTimer(d.cfg.DrainTimeout)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		d.hardStop()
		<-done
	}
	if n := d.gaveUp.Load(); n > 0 {
		return &GaveUpError{Requests: n, Waited: d.cfg.DrainTimeout}
	}
	return nil
}
