package bolt

import (
	"time"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// read decodes a job in a read transaction. ErrNotFound, *DamagedJobError.
func read(tx *bbolt.Tx, id job.ID) (*record, error) {
	encoded := tx.Bucket(bucketJobs).Get([]byte(id))
	if encoded == nil {
		return nil, storage.ErrNotFound
	}
	return decodeRecordOf(id, encoded)
}

func decodeRecordOf(id job.ID, encoded []byte) (*record, error) {
	r, err := decodeRecord(encoded)
	if err != nil {
		return nil, &storage.DamagedJobError{ID: id, What: "the record", Cause: err}
	}
	return r, nil
}

// job loads a job to be changed. Within one transaction it is always the same
// record. ErrNotFound, *DamagedJobError.
func (t *tx) job(id job.ID) (*record, error) {
	if r := t.records[id]; r != nil {
		return r, nil
	}
	r, err := read(t.Tx, id)
	if err != nil {
		return nil, err
	}
	t.records[id] = r
	return r, nil
}

// jobOf loads a client's job, unless it is deleted; client "" finds any.
// ErrNotFound.
func (t *tx) jobOf(client string, id job.ID) (*record, error) {
	r, err := t.job(id)
	if err != nil {
		return nil, err
	}
	if client != "" && (r.job.Client != client || r.job.Deleted) {
		return nil, storage.ErrNotFound
	}
	return r, nil
}

// changed says that a job is to be written, and its watchers told.
func (t *tx) changed(r *record) {
	r.changed = true
	t.signals.job(r.job.ID)
}

// moved is changed for a move to another state, a settlement or a new job.
func (t *tx) moved(r *record) {
	t.changed(r)
	t.signals.any = true
}

// flush writes the changed jobs and their places in the indexes.
func (t *tx) flush() error {
	for id, r := range t.records {
		if !r.changed {
			continue
		}
		if err := t.reindex(r); err != nil {
			return err
		}
		if err := t.account(r); err != nil {
			return err
		}
		encoded, err := encodeRecord(r)
		if err != nil {
			return err
		}
		if err := t.put(t.bucket(bucketJobs), []byte(id), encoded); err != nil {
			return err
		}
		r.changed = false
	}
	return nil
}

// utc is a time as it is kept: no zone, no monotonic clock.
func utc(t time.Time) time.Time { return t.UTC().Round(0) }
