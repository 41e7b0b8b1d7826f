package bolt

import (
	"bytes"
	"context"

	"github.com/promptforge/promptforge/internal/failpoint"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// enqueue gives a job with its prompts the next places in the two orders, and
// makes it QUEUED if its client's rule allows, PENDING otherwise.
func (t *tx) enqueue(r *record) error {
	if err := t.order(r); err != nil {
		return err
	}
	r.job.Status = job.Pending
	t.moved(r)
	_, err := t.promote(r.job.Client)
	return err
}

// order counts an upload.
func (t *tx) order(r *record) error {
	c, err := t.count(r.job.Client, func(c *clientRecord) { c.Uploads++ })
	if err != nil {
		return err
	}
	r.job.QueueSeq = c.Uploads
	r.uploadSeq, err = t.bucket(bucketWork).NextSequence()
	t.dirty = true
	return err
}

// settle says that nothing changes any more for a job, and gives its turn to
// the client's next.
func (t *tx) settle(r *record) error {
	t.settled[r.job.ID] = struct{}{}
	t.moved(r)
	_, err := t.promote(r.job.Client)
	return err
}

// promote makes the client's PENDING jobs QUEUED, in order, while it has a
// turn left.
func (t *tx) promote(client string) (int, error) {
	if err := t.flush(); err != nil { // so that the indexes tell the truth
		return 0, err
	}
	prefix := key{}.text(client)
	turns := 0
	if err := scan(t.bucket(bucketTurns), prefix, func(_, id []byte) (bool, error) {
		if _, err := t.job(job.ID(id)); storage.Damaged(err) {
			return true, nil // it will never end, and its client's others go on
		}
		turns++
		return turns < t.store.maxActive, nil
	}); err != nil {
		return 0, err
	}
	var next []job.ID
	if err := scan(t.bucket(bucketPending), prefix, func(_, id []byte) (bool, error) {
		if turns+len(next) >= t.store.maxActive {
			return false, nil
		}
		if _, err := t.job(job.ID(id)); storage.Damaged(err) {
			return true, nil
		}
		next = append(next, job.ID(id))
		return true, nil
	}); err != nil {
		return 0, err
	}
	if len(next) > 0 {
		if err := failpoint.Hit("promote"); err != nil {
			return 0, err
		}
	}
	for _, id := range next {
		r, err := t.job(id)
		if err != nil {
			return 0, err
		}
		r.job.Status = job.Queued
		t.moved(r)
	}
	return len(next), t.flush()
}

// Promote makes good on promotions that were missed and returns how many.
func (s *Store) Promote(ctx context.Context) (int, error) {
	promoted := 0
	err := s.update(ctx, func(t *tx) error {
		for _, client := range t.waiting() {
			n, err := t.promote(client)
			if err != nil {
				return err
			}
			promoted += n
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return promoted, nil
}

// waiting lists the clients that have a PENDING job.
func (t *tx) waiting() []string {
	var clients []string
	c := t.bucket(bucketPending).Cursor()
	for k, _ := c.First(); k != nil; {
		prefix := bytes.Clone(k[:len(k)-8])
		clients = append(clients, string(prefix[2:]))
		k, _ = c.Seek(append(prefix, 0xff)) // no QueueSeq begins with 0xff
	}
	return clients
}
