package bolt

import (
	"context"
	"errors"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/internal/failpoint"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// Work lists the jobs that a dispatcher has to do something for, in the order
// in which their uploads completed.
func (s *Store) Work(ctx context.Context) ([]*job.Job, error) {
	var ids []job.ID
	var encoded [][]byte
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		jobs := tx.Bucket(bucketJobs)
		return tx.Bucket(bucketWork).ForEach(func(_, id []byte) error {
			ids = append(ids, job.ID(id))
			encoded = append(encoded, slices.Clone(jobs.Get(id)))
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	work := make([]*job.Job, 0, len(encoded))
	var damaged []error
	for i, e := range encoded {
		r, err := decodeRecordOf(ids[i], e)
		if err != nil {
			damaged = append(damaged, err)
			continue
		}
		work = append(work, &r.job)
	}
	return work, errors.Join(damaged...)
}

// Claim puts a job under the lease. The job that comes back has the Released
// of before; the one that is kept is no longer released.
func (s *Store) Claim(ctx context.Context, lease storage.Lease, id job.ID, at time.Time) (*storage.Claim, error) {
	var claim *storage.Claim
	err := s.update(ctx, func(t *tx) error {
		if err := failpoint.Hit("claim"); err != nil {
			return err
		}
		if _, err := t.held(lease); err != nil {
			return err
		}
		r, err := t.job(id)
		if err != nil {
			return err
		}
		if !r.job.TakesTurn() {
			return storage.ErrNotFound
		}
		done, damaged := t.progress(r)
		released := r.job.Released
		t.take(r, lease, at)
		claim = &storage.Claim{Job: r.copy(), Segments: slices.Clone(r.segments), Damaged: damaged}
		if damaged == nil {
			claim.Done = done.Clone()
		}
		claim.Job.Released = released
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claim, nil
}

func (t *tx) take(r *record, lease storage.Lease, at time.Time) {
	j := &r.job
	j.Lane, j.Term, j.Released = lease.Lane, lease.Term, false
	t.changed(r)
	if j.Status == job.Queued {
		j.Status = job.Processing
		t.moved(r)
	}
	if j.StartedAt.IsZero() && j.Status == job.Processing {
		j.StartedAt = utc(at)
	}
}
