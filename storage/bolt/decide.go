package bolt

import (
	"context"
	"fmt"
	"time"

	"github.com/promptforge/promptforge/internal/failpoint"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// decision runs one decision of a job's holder and returns the job after it.
func (s *Store) decision(ctx context.Context, term job.Term, id job.ID, do func(t *tx, r *record) error) (*job.Job, error) {
	var kept *job.Job
	err := s.update(ctx, func(t *tx) error {
		r, err := t.decide(term, id)
		if err != nil {
			return err
		}
		if err := do(t, r); err != nil {
			return err
		}
		kept = r.copy()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return kept, nil
}

// Finish moves a PROCESSING job to COMPLETED or FAILED. *StateError if it is
// not PROCESSING, or if it is to be COMPLETED with a prompt still open.
func (s *Store) Finish(ctx context.Context, term job.Term, id job.ID, to job.Status, reason string, at time.Time) (*job.Job, error) {
	if to != job.Completed && to != job.Failed {
		return nil, fmt.Errorf("a job does not finish as %s", to)
	}
	return s.decision(ctx, term, id, func(t *tx, r *record) error {
		if err := failpoint.Hit("finish"); err != nil {
			return err
		}
		if r.job.Status != job.Processing || (to == job.Completed && r.job.Open() != 0) {
			return &storage.StateError{Job: r.copy()}
		}
		if to == job.Failed {
			return t.end(r, to, reason, at)
		}
		if err := t.end(r, to, "", at); err != nil {
			return err
		}
		r.job.Acknowledged = true
		r.job.Settle(utc(at))
		return t.settle(r)
	})
}

// Acknowledge says that nothing more will be sent for a final job. *StateError
// if it is not final.
func (s *Store) Acknowledge(ctx context.Context, term job.Term, id job.ID) error {
	_, err := s.decision(ctx, term, id, func(t *tx, r *record) error {
		if err := failpoint.Hit("acknowledge"); err != nil {
			return err
		}
		switch {
		case !r.job.Status.Final():
			return &storage.StateError{Job: r.copy()}
		case r.job.Acknowledged:
			return nil
		}
		r.job.Acknowledged = true
		t.changed(r)
		return nil
	})
	return err
}

// Settle says that the last request of a final job is recorded or given up;
// that acknowledges it too. *StateError if it is not final.
func (s *Store) Settle(ctx context.Context, term job.Term, id job.ID, at time.Time) (*job.Job, error) {
	return s.decision(ctx, term, id, func(t *tx, r *record) error {
		if err := failpoint.Hit("settle"); err != nil {
			return err
		}
		switch {
		case !r.job.Status.Final():
			return &storage.StateError{Job: r.copy()}
		case r.job.Settled():
			return nil
		}
		r.job.Acknowledged = true
		r.job.Settle(utc(at))
		return t.settle(r)
	})
}

// Release gives a job back unfinished, with nothing in flight. A settled job
// stays as it is.
func (s *Store) Release(ctx context.Context, term job.Term, id job.ID) error {
	_, err := s.decision(ctx, term, id, func(t *tx, r *record) error {
		if err := failpoint.Hit("release"); err != nil {
			return err
		}
		if !r.job.Released && !r.job.Settled() {
			r.job.Released = true
			t.changed(r)
		}
		return nil
	})
	return err
}
