package bolt

import (
	"bytes"
	"fmt"

	"github.com/RoaringBitmap/roaring/v2"
	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// progress returns the lines of a job that have an outcome, sealed or not. It
// is kept in memory until the job is settled; whoever changes it says so in
// touched. The write lock guards it. *DamagedJobError.
func (t *tx) progress(r *record) (*roaring.Bitmap, error) {
	id := r.job.ID
	if done := t.store.progress[id]; done != nil {
		return done, nil
	}
	done, err := t.readProgress(r)
	if err != nil {
		return nil, &storage.DamagedJobError{ID: id, What: "the outcomes", Cause: err}
	}
	t.store.progress[id] = done
	return done, nil
}

func (t *tx) readProgress(r *record) (*roaring.Bitmap, error) {
	id := r.job.ID
	done, _, err := sealed(t.Tx, id)
	if err != nil {
		return nil, err
	}
	for _, segment := range r.segments {
		b := t.outcomes(id, segment.N)
		if b == nil {
			return nil, fmt.Errorf("segment %d is gone", segment.N)
		}
		err := scan(b, nil, func(_, encoded []byte) (bool, error) {
			o, err := job.DecodeOutcome(encoded)
			if err == nil {
				done.Add(uint32(o.Line))
			}
			return true, err
		})
		if err != nil {
			return nil, err
		}
	}
	return done, nil
}

// sealed reads a job's sealed lines. The caller owns both.
func sealed(tx *bbolt.Tx, id job.ID) (done, failed *roaring.Bitmap, err error) {
	if done, err = readBitmap(tx.Bucket(bucketDone), id); err != nil {
		return nil, nil, err
	}
	if failed, err = readBitmap(tx.Bucket(bucketFailed), id); err != nil {
		return nil, nil, err
	}
	return done, failed, nil
}

func readBitmap(b *bbolt.Bucket, id job.ID) (*roaring.Bitmap, error) {
	bitmap := roaring.New()
	encoded := b.Get([]byte(id))
	if encoded == nil {
		return bitmap, nil
	}
	_, err := bitmap.ReadFrom(bytes.NewReader(encoded)) // copies; FromBuffer would alias the page
	return bitmap, err
}

func (t *tx) putSealed(id job.ID, done, failed *roaring.Bitmap) error {
	if err := t.putBitmap(bucketDone, id, done); err != nil {
		return err
	}
	return t.putBitmap(bucketFailed, id, failed)
}

// putUnusable keeps the lines that no prompt came of; a job that continues this
// one must not take them for failed prompts.
func (t *tx) putUnusable(id job.ID, unusable *roaring.Bitmap) error {
	if unusable.IsEmpty() {
		return nil
	}
	return t.putBitmap(bucketUnusable, id, unusable)
}

func (t *tx) putBitmap(bucket []byte, id job.ID, bitmap *roaring.Bitmap) error {
	bitmap.RunOptimize()
	encoded, err := bitmap.ToBytes()
	if err != nil {
		return err
	}
	return t.put(t.bucket(bucket), []byte(id), encoded)
}
