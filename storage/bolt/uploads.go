package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/internal/failpoint"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// Why a job ended before its first prompt left.
const (
	reasonNoLine   = "The file has no line at all."
	reasonNoUsable = "The file has no usable line; errors.jsonl says why for each."
	reasonExpired  = "No file was uploaded before the upload URL expired."
)

// ExtendUpload moves the job's UploadExpiresAt to a later time.
func (s *Store) ExtendUpload(ctx context.Context, client string, id job.ID, expires time.Time) (*job.Job, error) {
	var kept *job.Job
	err := s.update(ctx, func(t *tx) error {
		r, err := t.awaiting(client, id)
		if err != nil {
			return err
		}
		if expires.After(r.job.UploadExpiresAt) {
			r.job.UploadExpiresAt = utc(expires)
			t.changed(r)
		}
		kept = r.copy()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return kept, nil
}

// awaiting loads a job that awaits its upload. ErrNotFound, *StateError.
func (t *tx) awaiting(client string, id job.ID) (*record, error) {
	r, err := t.jobOf(client, id)
	if err != nil {
		return nil, err
	}
	if r.job.Status != job.AwaitingUpload {
		return nil, &storage.StateError{Job: r.copy()}
	}
	return r, nil
}

// CompleteUpload gives the job its prompts and moves it on.
func (s *Store) CompleteUpload(ctx context.Context, id job.ID, u storage.Upload, at time.Time) (*job.Job, error) {
	if err := checkUpload(&u); err != nil {
		return nil, err
	}
	var kept *job.Job
	err := s.update(ctx, func(t *tx) error {
		if err := failpoint.Hit("upload"); err != nil {
			return err
		}
		r, err := t.awaiting("", id)
		if err != nil {
			return err
		}
		if err := t.complete(r, &u, at); err != nil {
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

func (t *tx) complete(r *record, u *storage.Upload, at time.Time) error {
	r.job.Parsed = true
	r.job.Prompts, r.job.PromptCount = u.Prompts, u.PromptCount
	if u.Prompts.Name != "" {
		if err := t.refer(u.Prompts.Name); err != nil {
			return err
		}
	}
	done := roaring.New()
	for _, p := range u.Unusable {
		if err := t.list(r, p.Part); err != nil {
			return err
		}
		done.Or(p.Done)
	}
	if err := t.putSealed(r.job.ID, done, done); err != nil {
		return err
	}
	if err := t.putUnusable(r.job.ID, done); err != nil {
		return err
	}
	if u.Prompts.Usable > 0 {
		return t.enqueue(r)
	}
	if err := t.order(r); err != nil {
		return err
	}
	reason := reasonNoUsable
	if u.PromptCount == 0 {
		reason = reasonNoLine
	}
	if err := t.end(r, job.Failed, reason, at); err != nil {
		return err
	}
	r.job.Settle(utc(at))
	return t.settle(r)
}

// checkUpload tells whether an upload adds up; one that does not is its
// caller's mistake.
func checkUpload(u *storage.Upload) error {
	next := int64(1)
	for i := range u.Unusable {
		p := &u.Unusable[i]
		if p.FirstOffset != next || p.Results != 0 || p.ResultsBefore != 0 || p.Outcomes < 1 {
			return fmt.Errorf("unusable part %s does not follow from offset %d as error records alone", p.Name, next)
		}
		if err := checkLines(p); err != nil {
			return err
		}
		next += p.Outcomes
	}
	if u.PromptCount != u.Prompts.Usable+next-1 {
		return fmt.Errorf("%d prompts are not %d usable and %d unusable ones", u.PromptCount, u.Prompts.Usable, next-1)
	}
	if u.Prompts.Usable > 0 && u.Prompts.Name == "" {
		return errors.New("the upload names no prompts file")
	}
	return nil
}

// checkLines tells whether a part's bitmaps fit its counts.
func checkLines(p *storage.NewPart) error {
	if p.Done == nil || p.Failed == nil ||
		p.Done.GetCardinality() != uint64(p.Outcomes) ||
		p.Failed.GetCardinality() != uint64(p.Outcomes-p.Results) ||
		p.Done.AndCardinality(p.Failed) != p.Failed.GetCardinality() {
		return fmt.Errorf("the lines of part %s are not those of its %d outcomes", p.Name, p.Outcomes)
	}
	return nil
}

// ExpireUploads cancels what still awaits an upload that is overdue. busy is
// asked outside of any transaction.
func (s *Store) ExpireUploads(ctx context.Context, at time.Time, busy func(job.ID) bool) (int, error) {
	overdue, err := s.overdue(ctx, at)
	if err != nil {
		return 0, err
	}
	var free []job.ID
	for _, id := range overdue {
		if !busy(id) {
			free = append(free, id)
		}
	}
	if len(free) == 0 {
		return 0, nil
	}
	expired := 0
	err = s.update(ctx, func(t *tx) error {
		expired = 0
		for _, id := range free {
			r, err := t.awaiting("", id)
			if err != nil || !r.job.UploadExpiresAt.Before(at) {
				continue // it moved on meanwhile
			}
			if err := t.cancel(r, reasonExpired, at); err != nil {
				return err
			}
			expired++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return expired, nil
}

func (s *Store) overdue(ctx context.Context, at time.Time) ([]job.ID, error) {
	var ids []job.ID
	end := key{}.time(utc(at))
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		return scan(tx.Bucket(bucketAwaiting), nil, func(k, id []byte) (bool, error) {
			if bytes.Compare(k[:timeKeyLen], end) >= 0 {
				return false, nil
			}
			ids = append(ids, job.ID(id))
			return true, nil
		})
	})
	return ids, err
}
