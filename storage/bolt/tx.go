package bolt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/promptforge/promptforge/internal/failpoint"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// tx is a write transaction with what it means for the memory beside it.
type tx struct {
	*bbolt.Tx
	store   *Store
	dirty   bool                // something was written
	records map[job.ID]*record  // the jobs that it has loaded
	touched map[job.ID]struct{} // whose progress was changed in memory already
	settled map[job.ID]struct{}
	signals signals
}

// view runs a read transaction. do copies what it takes away.
//
// bbolt lets readers see a transaction as soon as it is written, before it is
// synced. What somebody is told must not be taken back by a power loss, so who
// has read from such a transaction waits for its sync.
func (s *Store) view(ctx context.Context, do func(tx *bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var seen int64
	err := s.db.View(func(tx *bbolt.Tx) error {
		seen = int64(tx.ID())
		return do(tx)
	})
	if err != nil || seen <= s.durable.Load() {
		return closed(err)
	}
	s.committing.RLock()
	defer s.committing.RUnlock()
	if seen <= s.durable.Load() {
		return nil
	}
	return s.unsynced
}

// update runs a write transaction. When it returns nil, everything is durable,
// the memory follows it and the watchers know. When do fails or wrote nothing,
// nothing is written.
func (s *Store) update(ctx context.Context, do func(t *tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.write.Lock()
	defer s.write.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.broken != nil {
		return s.broken
	}
	btx, err := s.db.Begin(true)
	if err != nil {
		return closed(err)
	}
	t := &tx{Tx: btx, store: s, records: map[job.ID]*record{}, touched: map[job.ID]struct{}{}, settled: map[job.ID]struct{}{}}
	kept := false
	defer func() { // also after a panic
		if !kept {
			_ = btx.Rollback() // an error says that it ended already
			t.forget()
		}
	}()
	if err := do(t); err != nil {
		return err
	}
	if err := t.flush(); err != nil {
		return err
	}
	if !t.dirty {
		return nil
	}
	s.jobs.begin(t.signals.jobs)
	if err := s.sync(btx); err != nil {
		s.jobs.end(nil)
		return err
	}
	kept = true
	s.jobs.end(t.records)
	s.wroteAt = time.Now()
	for id := range t.settled {
		delete(s.progress, id)
	}
	s.watches.signal(t.signals)
	return nil
}

// commit makes a transaction durable.
func commit(tx *bbolt.Tx) error {
	if err := failpoint.Hit("tx.before"); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	return failpoint.Hit("tx.after")
}

// sync commits a transaction, while who has read from it waits.
func (s *Store) sync(btx *bbolt.Tx) error {
	s.committing.Lock()
	defer s.committing.Unlock()
	id := int64(btx.ID())
	if err := s.commit(btx); err != nil {
		err = s.failed(err)
		s.unsynced = err
		return err
	}
	s.durable.Store(id)
	return nil
}

// failed says what a failed commit means. On a full disk bbolt fails before it
// writes its meta page, so the file stands as it was and the next commit
// writes all its own pages anew. After any other failure nobody knows which
// meta page is on the disk.
func (s *Store) failed(err error) error {
	s.wroteAt = time.Time{}
	if storage.DiskFull(err) {
		return err
	}
	s.broken = &BrokenError{Cause: err}
	return s.broken
}

func closed(err error) error {
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return storage.ErrClosed
	}
	return err
}

// forget drops from memory whatever the transaction changed there.
func (t *tx) forget() {
	for id := range t.touched {
		delete(t.store.progress, id)
	}
}

func (t *tx) bucket(name []byte) *bbolt.Bucket { return t.Bucket(name) }

func (t *tx) put(b *bbolt.Bucket, key, value []byte) error {
	t.dirty = true
	return b.Put(key, value)
}

func (t *tx) delete(b *bbolt.Bucket, key []byte) error {
	t.dirty = true
	return b.Delete(key)
}

func (t *tx) putJSON(b *bbolt.Bucket, key []byte, value any) error {
	encoded, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return t.put(b, key, encoded)
}

// getJSON tells whether there is a value and reads it into v.
func getJSON(b *bbolt.Bucket, key []byte, v any) (bool, error) {
	encoded := b.Get(key)
	if encoded == nil {
		return false, nil
	}
	return true, json.Unmarshal(encoded, v)
}

// scan calls each for the keys that begin with prefix, in order, until it
// returns false.
func scan(b *bbolt.Bucket, prefix []byte, each func(key, value []byte) (more bool, err error)) error {
	c := b.Cursor()
	for k, v := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if more, err := each(k, v); err != nil || !more {
			return err
		}
	}
	return nil
}
