package witness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/promptforge/promptforge/client"
	"github.com/promptforge/promptforge/e2e/judge"
)

// How long a client waits before it tries again what was not answered, and
// before it looks again at what was.
const (
	tryAgain  = 5 * time.Millisecond
	lookAgain = 20 * time.Millisecond
)

// Crowd is a few clients, each with jobs of its own. One goroutine at a time
// calls its methods.
type Crowd struct {
	History *judge.History

	members []*member
	http    *http.Client
	url     string // of REST
	grpc    string
	acked   func(kind string)
	given   atomic.Int64
}

// member is one client of the service.
type member struct {
	crowd *Crowd
	name  string
	key   string
	plans []*plan
	jobs  []*followed
}

// followed is a job that a client has.
type followed struct {
	id   string
	plan *plan
}

// NewCrowd draws a crowd from a seed. keys are the API keys of its clients.
func NewCrowd(seed uint64, s Sizes, keys []string) *Crowd {
	c := &Crowd{
		History: judge.New(),
		http:    &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16, DisableCompression: true}},
	}
	r := rand.New(rand.NewPCG(seed, 1))
	for i, key := range keys {
		name := fmt.Sprintf("client-%d", i)
		c.members = append(c.members, &member{crowd: c, name: name, key: key, plans: drawPlans(r, fmt.Sprintf("%x %s", seed, name), s)})
	}
	return c
}

// Names are the names of a crowd's clients, in the order of their keys.
func Names(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("client-%d", i)
	}
	return names
}

// Point says where the server is. It must come up there again.
func (c *Crowd) Point(url, grpc string) { c.url, c.grpc = url, grpc }

// OnAck has a function called right after each acknowledgement, with its kind:
// init, upload, status, outcome, cancel or delete. To be set before Work.
func (c *Crowd) OnAck(acked func(kind string)) { c.acked = acked }

// Prompts counts the usable lines of all plans.
func (c *Crowd) Prompts() (n int64) {
	for _, m := range c.members {
		for _, p := range m.plans {
			n += int64(len(p.file.Lines))
		}
	}
	return n
}

// Given counts the outcomes that were given out so far.
func (c *Crowd) Given() int64 { return c.given.Load() }

func (c *Crowd) ack(kind string) {
	if c.acked != nil {
		c.acked(kind)
	}
}

// ErrBrokenPromise ends Work when the judge has seen enough; History.Faults has
// the faults.
var ErrBrokenPromise = errors.New("a promise was broken")

// Work does everything that was drawn, over however many lives of the server,
// until every job is settled or gone. The error is nil, the context's,
// ErrBrokenPromise, or what the server should never have answered.
func (c *Crowd) Work(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, m := range c.members {
		group.Go(func() error { return m.work(ctx) })
	}
	return group.Wait()
}

// work does the jobs of one client, all at once, and lists them meanwhile.
func (m *member) work(ctx context.Context) error {
	group, working := errgroup.WithContext(ctx)
	listing, stop := context.WithCancel(ctx)
	defer stop()
	listed := make(chan error, 1)
	go func() { listed <- m.keepListing(listing) }()
	m.jobs = make([]*followed, 2*len(m.plans))
	for i, p := range m.plans {
		group.Go(func() error { return m.job(working, 2*i, p, "") })
	}
	err := group.Wait()
	stop()
	if listErr := <-listed; err == nil && ctx.Err() == nil {
		err = listErr
	}
	return err
}

func (m *member) keepListing(ctx context.Context) error {
	for pause(ctx, 2*lookAgain) {
		if err := m.list(ctx); err != nil && !isLost(err) {
			return err
		}
	}
	return nil
}

// job does one plan, and the one that continues it.
func (m *member) job(ctx context.Context, i int, p *plan, continues string) error {
	id, err := m.create(ctx, fmt.Sprintf("%s-%d", m.name, i), continues)
	if err != nil {
		return err
	}
	j := &followed{id: id.JobID, plan: p}
	m.jobs[i] = j
	group, following := errgroup.WithContext(ctx)
	if continues == "" {
		group.Go(func() error { return m.upload(following, j, id.UploadURL) })
	}
	group.Go(func() error { return m.follow(following, j) })
	if err := group.Wait(); err != nil {
		return err
	}
	if p.then != nil {
		return m.job(ctx, i+1, p.then, j.id)
	}
	return nil
}

// follow reads a job's outcomes and looks at it now and then, cancels or
// deletes it when it is time, and returns once it is settled or gone.
func (m *member) follow(ctx context.Context, j *followed) error {
	streaming, stop := context.WithCancel(ctx)
	defer stop()
	var seen atomic.Int64
	streamed := make(chan error, 1)
	go func() { streamed <- m.stream(streaming, j.id, &seen) }()
	for looks := 0; ; looks++ {
		state, err := m.look(ctx, j.id)
		switch {
		case isLost(err):
		case err != nil:
			return err
		case state == gone:
			return nil
		case state == settled && j.plan.deleteAt == never:
			return <-streamed
		case j.plan.cancelAt != never && seen.Load() >= j.plan.cancelAt && state == open:
			err = m.cancel(ctx, j.id)
		case j.plan.deleteAt != never && (seen.Load() >= j.plan.deleteAt || state == settled):
			err = m.remove(ctx, j.id)
		case looks%8 == 7:
			err = m.readFiles(ctx, j.id, true)
		}
		if err != nil && !isLost(err) {
			return err
		}
		if m.crowd.History.Failed() {
			return ErrBrokenPromise
		}
		if !pause(ctx, lookAgain) {
			return fmt.Errorf("job %s of %s is not settled: %w", j.id, m.name, context.Cause(ctx))
		}
	}
}

// Inspect looks at everything once more, for the judge. The server must be up
// and nobody at work.
func (c *Crowd) Inspect(ctx context.Context) error {
	for _, m := range c.members {
		if err := m.list(ctx); err != nil {
			return err
		}
		for _, j := range m.jobs {
			if j == nil {
				continue
			}
			state, err := m.look(ctx, j.id)
			if err != nil {
				return err
			}
			if state != settled {
				continue // gone, or forgotten, as the judge will see
			}
			var seen atomic.Int64
			if err := m.stream(ctx, j.id, &seen); err != nil {
				return err
			}
			if err := m.readFiles(ctx, j.id, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close frees what a crowd holds.
func (c *Crowd) Close() { c.http.CloseIdleConnections() }

// pause waits, and is false when the context ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// dial makes a gRPC client that tries again soon.
func (m *member) dial() (*client.Client, error) {
	return client.Dial(m.crowd.grpc, m.key, client.WithBackoff(func(int) time.Duration { return tryAgain }))
}
