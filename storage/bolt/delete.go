package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"time"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/internal/failpoint"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// Delete hides a job for good. ErrNotFound.
func (s *Store) Delete(ctx context.Context, client string, id job.ID, at time.Time) (*job.Job, error) {
	var kept *job.Job
	err := s.update(ctx, func(t *tx) error {
		if err := failpoint.Hit("delete"); err != nil {
			return err
		}
		r, err := t.jobOf(client, id)
		if err != nil {
			return err
		}
		if r.job.Deleted {
			return storage.ErrNotFound
		}
		if !r.job.Status.Final() {
			if err := t.cancel(r, "", at); err != nil {
				return err
			}
		}
		r.job.Deleted = true
		t.moved(r)
		kept = r.copy()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return kept, nil
}

// jobsPerErasure bounds the work of one transaction.
const jobsPerErasure = 1000

// ExpireJobs deletes the jobs that were settled before a time.
func (s *Store) ExpireJobs(ctx context.Context, settledBefore time.Time) (int, error) {
	end := key{}.time(utc(settledBefore))
	expired := 0
	for {
		var ids []job.ID
		err := s.view(ctx, func(tx *bbolt.Tx) error {
			return scan(tx.Bucket(bucketSettled), nil, func(k, id []byte) (bool, error) {
				if bytes.Compare(k[:timeKeyLen], end) >= 0 {
					return false, nil
				}
				ids = append(ids, job.ID(id))
				return len(ids) < jobsPerErasure, nil
			})
		})
		if err != nil || len(ids) == 0 {
			return expired, err
		}
		gone := 0
		err = s.update(ctx, func(t *tx) error {
			gone = 0
			for _, id := range ids {
				r, err := t.job(id)
				if storage.Damaged(err) {
					continue
				}
				if err != nil {
					return err
				}
				r.job.Deleted = true
				t.moved(r)
				gone++
			}
			return nil
		})
		if err != nil || gone == 0 {
			return expired, err
		}
		expired += gone
	}
}

// Doomed lists deleted jobs that are settled.
func (s *Store) Doomed(ctx context.Context, limit int) (out []storage.Doomed, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		return scan(tx.Bucket(bucketDoomed), nil, func(k, _ []byte) (bool, error) {
			if len(out) == limit {
				return false, nil
			}
			names, err := namesOf(tx, job.ID(k))
			if storage.Damaged(err) {
				return true, nil // which files are its own cannot be told
			}
			if err != nil {
				return false, err
			}
			d := storage.Doomed{ID: job.ID(k)}
			for _, name := range names {
				if references(tx, name) == 1 {
					d.Files = append(d.Files, name)
				}
			}
			out = append(out, d)
			return true, nil
		})
	})
	return out, err
}

// Erase forgets a doomed job. ErrNotFound; *StateError.
func (s *Store) Erase(ctx context.Context, id job.ID) error {
	return s.update(ctx, func(t *tx) error {
		if err := failpoint.Hit("erase"); err != nil {
			return err
		}
		r, err := t.job(id)
		if err != nil {
			return err
		}
		if !r.job.Deleted || !r.job.Settled() {
			return &storage.StateError{Job: r.copy()}
		}
		names, err := namesOf(t.Tx, id)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := t.release(name); err != nil {
				return err
			}
		}
		return t.forgetJob(r)
	})
}

// forgetJob removes everything that is kept under a job's id.
func (t *tx) forgetJob(r *record) error {
	id := r.job.ID
	parts, err := keysWith(t.bucket(bucketParts), []byte(id))
	if err != nil {
		return err
	}
	for _, k := range parts {
		if err := t.delete(t.bucket(bucketParts), k); err != nil {
			return err
		}
	}
	for _, segment := range r.segments {
		if err := t.bucket(bucketOutcomes).DeleteBucket(segmentKey(id, segment.N)); err != nil {
			return err
		}
	}
	for _, e := range r.indexed {
		if err := t.delete(t.bucket([]byte(e.bucket)), []byte(e.key)); err != nil {
			return err
		}
	}
	if err := t.delete(t.bucket(bucketList), key{}.text(r.job.Client).number(r.job.Seq)); err != nil {
		return err
	}
	for _, b := range [][]byte{bucketDone, bucketFailed, bucketUnusable, bucketJobs} {
		if err := t.delete(t.bucket(b), []byte(id)); err != nil {
			return err
		}
	}
	if err := t.forgetCounters(r.job.Client); err != nil {
		return err
	}
	delete(t.records, id)
	t.settled[id] = struct{}{}
	t.signals.job(id)
	return nil
}

// namesOf lists the files that a job refers to, each as often as it does.
func namesOf(tx *bbolt.Tx, id job.ID) ([]string, error) {
	r, err := read(tx, id)
	if err != nil {
		return nil, err
	}
	var names []string
	if name := r.job.Prompts.Name; name != "" {
		names = append(names, name)
	}
	parts, err := decodeParts(copyParts(tx, id))
	if err != nil {
		return nil, &storage.DamagedJobError{ID: id, What: "the list of parts", Cause: err}
	}
	for _, p := range parts {
		names = append(names, p.Name)
	}
	return names, nil
}

// references counts the jobs that need a file.
func references(tx *bbolt.Tx, name string) uint64 {
	v := tx.Bucket(bucketFiles).Get([]byte(name))
	if len(v) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(v)
}

// release counts one job less that needs a file.
func (t *tx) release(name string) error {
	b := t.bucket(bucketFiles)
	if n := references(t.Tx, name); n > 1 {
		return t.put(b, []byte(name), binary.BigEndian.AppendUint64(nil, n-1))
	}
	return t.delete(b, []byte(name))
}

// Usage is what a client has.
func (s *Store) Usage(ctx context.Context, client string) (storage.Usage, error) {
	var c clientRecord
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		_, err := getJSON(tx.Bucket(bucketClients), key{}.text(client), &c)
		return err
	})
	return storage.Usage(c.Usage), err
}

// usage is what a job adds to its client's usage.
func (r *record) usage() usageRecord {
	if r.job.Deleted {
		return usageRecord{}
	}
	u := usageRecord{Jobs: 1, Bytes: r.job.Prompts.Bytes + r.partBytes}
	if !r.job.Settled() {
		u.Open = 1
	}
	return u
}

// account books what a change of a job means for its client's usage.
func (t *tx) account(r *record) error {
	now, was := r.usage(), r.counted
	if now == was {
		return nil
	}
	r.counted = now
	_, err := t.count(r.job.Client, func(c *clientRecord) {
		c.Usage.Jobs += now.Jobs - was.Jobs
		c.Usage.Open += now.Open - was.Open
		c.Usage.Bytes += now.Bytes - was.Bytes
	})
	return err
}
