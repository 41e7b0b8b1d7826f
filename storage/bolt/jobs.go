package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/internal/failpoint"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// CreateJob keeps a new job. Of j it takes what a caller can ask for; all else
// is the store's to say. An Idempotency-Key lives from j.CreatedAt on.
func (s *Store) CreateJob(ctx context.Context, j *job.Job, idem *storage.Idempotency) (kept *job.Job, created bool, err error) {
	if j.ID == "" || j.Client == "" {
		return nil, false, errors.New("a new job needs an id and a client")
	}
	err = s.update(ctx, func(t *tx) error {
		if err := failpoint.Hit("create"); err != nil {
			return err
		}
		if idem != nil {
			earlier, err := t.madeBefore(j.Client, idem, utc(j.CreatedAt))
			if err != nil {
				return err
			}
			if earlier != nil {
				kept = earlier.copy()
				return nil
			}
		}
		r, err := t.create(j)
		if err != nil {
			return err
		}
		if idem != nil {
			if err := t.remember(j.Client, idem, j.ID, utc(j.CreatedAt)); err != nil {
				return err
			}
		}
		kept, created = r.copy(), true
		return nil
	})
	if err != nil {
		return nil, false, err
	}
	return kept, created, nil
}

func (t *tx) create(j *job.Job) (*record, error) {
	if t.bucket(bucketJobs).Get([]byte(j.ID)) != nil {
		return nil, storage.ErrExists
	}
	r := &record{job: job.Job{
		ID: j.ID, Client: j.Client, Status: job.AwaitingUpload,
		Provider: j.Provider, Model: j.Model, MaxRetries: j.MaxRetries, RPM: j.RPM, TPM: j.TPM,
		Metadata: j.Metadata, WebhookURL: j.WebhookURL, ContinueFrom: j.ContinueFrom,
		CreatedAt: utc(j.CreatedAt), UploadExpiresAt: utc(j.UploadExpiresAt),
	}}
	var source *record
	if j.ContinueFrom != "" {
		var err error
		if source, err = t.continued(j); err != nil {
			return nil, err
		}
	}
	c, err := t.count(j.Client, func(c *clientRecord) { c.Jobs++ })
	if err != nil {
		return nil, err
	}
	r.job.Seq = c.Jobs
	t.records[j.ID] = r
	t.moved(r)
	if err := t.put(t.bucket(bucketList), key{}.text(j.Client).number(c.Jobs), []byte(j.ID)); err != nil {
		return nil, err
	}
	if source != nil {
		return r, t.takeOver(r, source)
	}
	return r, nil
}

// Job returns a client's job. client "" finds any client's. ErrNotFound.
func (s *Store) Job(ctx context.Context, client string, id job.ID) (*job.Job, error) {
	j, err := s.current(ctx, id)
	if err != nil {
		return nil, err
	}
	if client != "" && (j.Client != client || j.Deleted) {
		return nil, storage.ErrNotFound
	}
	return cloneJob(j), nil
}

// current is a job as it is; nobody may change what comes back. ErrNotFound.
func (s *Store) current(ctx context.Context, id job.ID) (*job.Job, error) {
	kept, since := s.jobs.get(id)
	var encoded []byte
	err := s.view(ctx, func(tx *bbolt.Tx) error { // also where it is kept: a closed store answers nothing
		if kept == nil {
			encoded = slices.Clone(tx.Bucket(bucketJobs).Get([]byte(id)))
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case kept != nil:
		return kept, nil
	case encoded == nil:
		return nil, storage.ErrNotFound
	}
	r, err := decodeRecordOf(id, encoded)
	if err != nil {
		return nil, err
	}
	s.jobs.add(&r.job, since)
	return &r.job, nil
}

// jobsPerView bounds how long a list holds a read transaction.
const jobsPerView = 500

// ListJobs returns a page; more tells whether older jobs match.
func (s *Store) ListJobs(ctx context.Context, q storage.ListQuery) (page []*job.Job, more bool, err error) {
	before := q.Before
	for {
		older, next, err := s.listSome(ctx, q.Client, before)
		if err != nil {
			return nil, false, err
		}
		for _, encoded := range older {
			r, err := decodeRecord(encoded)
			if err != nil {
				return nil, false, err
			}
			if r.job.Deleted || len(q.Statuses) > 0 && !slices.Contains(q.Statuses, r.job.Status) {
				continue
			}
			if len(page) == q.Limit {
				return page, true, nil
			}
			page = append(page, &r.job)
		}
		if len(older) < jobsPerView {
			return page, false, nil
		}
		before = next
	}
}

// listSome copies the client's next jobs below a Seq, newest first; 0: from
// the newest. last is the Seq of the last of them.
func (s *Store) listSome(ctx context.Context, client string, before uint64) (jobs [][]byte, last uint64, err error) {
	prefix := key{}.text(client)
	end := slices.Clone(prefix).number(before)
	if before == 0 {
		end = slices.Clone(prefix).number(^uint64(0))
	}
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketList).Cursor()
		var id []byte
		k, _ := c.Seek(end)
		if k == nil {
			k, id = c.Last()
		} else {
			k, id = c.Prev()
		}
		for ; len(k) == len(end) && string(k[:len(prefix)]) == string(prefix) && len(jobs) < jobsPerView; k, id = c.Prev() {
			encoded := tx.Bucket(bucketJobs).Get(id)
			if encoded == nil {
				return errors.New("the list names a job that is not there: " + string(id))
			}
			jobs = append(jobs, slices.Clone(encoded))
			last = binary.BigEndian.Uint64(k[len(prefix):])
		}
		return nil
	})
	return jobs, last, err
}

// Cancel moves a job to CANCELLED. ErrNotFound; *StateError once final.
func (s *Store) Cancel(ctx context.Context, client string, id job.ID, at time.Time) (*job.Job, error) {
	var kept *job.Job
	err := s.update(ctx, func(t *tx) error {
		if err := failpoint.Hit("cancel"); err != nil {
			return err
		}
		r, err := t.jobOf(client, id)
		if err != nil {
			return err
		}
		if err := t.cancel(r, "", at); err != nil {
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

func (t *tx) cancel(r *record, reason string, at time.Time) error {
	claimed := r.job.Status == job.Processing
	if err := t.end(r, job.Cancelled, reason, at); err != nil {
		return err
	}
	if claimed {
		return nil // the holder settles it
	}
	r.job.Settle(utc(at))
	return t.settle(r)
}

// end moves a job to a final state. *StateError if it cannot go there.
func (t *tx) end(r *record, to job.Status, reason string, at time.Time) error {
	if !r.job.Status.CanMove(to) {
		return &storage.StateError{Job: r.copy()}
	}
	r.job.Status = to
	r.job.FailureReason = reason
	r.job.CompletedAt = utc(at)
	t.moved(r)
	return nil
}
