package dispatcher

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/simulator"
	"github.com/promptforge/promptforge/storage"
)

// damagedStore cannot read what it keeps of one job's answers.
type damagedStore struct {
	storage.Store
	id      atomic.Value // job.ID
	segment bool         // only sealing finds it
}

func (s *damagedStore) is(id job.ID) error {
	if s.id.Load() == any(id) {
		return &storage.DamagedJobError{ID: id, What: "the outcomes", Cause: job.ErrBadOutcome}
	}
	return nil
}

func (s *damagedStore) Record(ctx context.Context, records []storage.Record) ([]storage.Recorded, error) {
	var good []storage.Record
	out := make([]storage.Recorded, len(records))
	for i, r := range records {
		if out[i].Err = s.is(r.ID); out[i].Err == nil || s.segment {
			out[i].Err = nil
			good = append(good, r)
		}
	}
	recorded, err := s.Store.Record(ctx, good)
	if err != nil {
		return nil, err
	}
	for i := range out {
		if out[i].Err == nil {
			out[i], recorded = recorded[0], recorded[1:]
		}
	}
	return out, nil
}

func (s *damagedStore) Claim(ctx context.Context, lease storage.Lease, id job.ID, at time.Time) (*storage.Claim, error) {
	c, err := s.Store.Claim(ctx, lease, id, at)
	if err == nil && s.is(id) != nil && !s.segment {
		c.Done, c.Damaged = nil, s.is(id)
	}
	return c, err
}

func (s *damagedStore) ReadSegment(ctx context.Context, id job.ID, n, after int64, maxBytes int) ([]job.Outcome, error) {
	if err := s.is(id); err != nil {
		return nil, err
	}
	return s.Store.ReadSegment(ctx, id, n, after, maxBytes)
}

// TestDamagedJobFailsAlone: a job whose answers cannot be read any more fails
// with a reason, whenever that is found, and the others go on.
func TestDamagedJobFailsAlone(t *testing.T) {
	for name, c := range map[string]struct{ running, segment bool }{
		"at the claim": {}, "while it runs": {running: true}, "at the seal": {segment: true},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, simulator.Config{Latency: 5 * time.Millisecond})
			s := &damagedStore{Store: b.store, segment: c.segment}
			s.id.Store(job.ID(""))
			bad := b.submit("a", job.Job{}, prompts(500, "bad")...)
			next := b.submit("a", job.Job{}, prompts(5, "next")...)
			good := b.submit("b", job.Job{}, prompts(500, "good")...)
			if !c.running {
				s.id.Store(bad)
			}
			b.start(func(cfg *Config) { cfg.Store = s })
			if c.running {
				b.wait(bad, func(j *job.Job) bool { return j.CompletedCount > 20 })
				s.id.Store(bad)
			}
			if j := b.wait(bad, settled); j.Status != job.Failed || !strings.Contains(j.FailureReason, "is damaged") {
				t.Errorf("%s: %s", j.Status, j.FailureReason)
			}
			for id, n := range map[job.ID]int64{next: 5, good: 500} {
				if j := b.wait(id, settled); j.Status != job.Completed || j.CompletedCount != n {
					t.Errorf("another job is %s with %d results", j.Status, j.CompletedCount)
				}
			}
		})
	}
}

// TestDamagedRecordIsNamedOnce: a job that cannot even be listed keeps no other
// from its work.
func TestDamagedRecordIsNamedOnce(t *testing.T) {
	d := New(Config{MaxInFlight: 1})
	defer d.hardStop()
	one := &storage.DamagedJobError{ID: "one", What: "the record", Cause: job.ErrBadOutcome}
	d.nameDamaged(joinedErrors{one, one})
	if !d.skipped["one"] || len(d.skipped) != 1 {
		t.Errorf("%v", d.skipped)
	}
}

type joinedErrors []error

func (j joinedErrors) Error() string   { return "several" }
func (j joinedErrors) Unwrap() []error { return j }
