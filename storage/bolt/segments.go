package bolt

import (
	"bytes"
	"context"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// Freeze closes the job's open segment and returns it, or an older one that
// was frozen before. ErrNotFound when nothing is unsealed.
func (s *Store) Freeze(ctx context.Context, term job.Term, id job.ID) (storage.Segment, error) {
	var oldest storage.Segment
	_, err := s.decision(ctx, term, id, func(t *tx, r *record) error {
		if len(r.segments) == 0 {
			return storage.ErrNotFound
		}
		if !r.segments[0].Frozen {
			r.segments[0].Frozen = true
			r.changed = true // nothing that a watcher could see
		}
		oldest = r.segments[0]
		return nil
	})
	return oldest, err
}

// Segments lists a job's unsealed segments in order of offset. ErrNotFound.
func (s *Store) Segments(ctx context.Context, id job.ID) ([]storage.Segment, error) {
	var segments []storage.Segment
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		r, err := read(tx, id)
		if err == nil {
			segments = r.segments
		}
		return err
	})
	return segments, err
}

// ReadSegment returns outcomes of a segment after the given offset, at most
// about maxBytes (but at least one). ErrNotFound when the segment is gone.
func (s *Store) ReadSegment(ctx context.Context, id job.ID, n, after int64, maxBytes int) ([]job.Outcome, error) {
	var encoded [][]byte
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketOutcomes).Bucket(segmentKey(id, n))
		if b == nil {
			return storage.ErrNotFound
		}
		encoded = copySome(b, offsetKey(max(after, 0)+1), maxBytes)
		return nil
	})
	if err != nil {
		return nil, err
	}
	outcomes := make([]job.Outcome, len(encoded))
	for i, e := range encoded {
		if outcomes[i], err = job.DecodeOutcome(e); err != nil {
			return nil, &storage.DamagedJobError{ID: id, What: "an outcome", Cause: err}
		}
	}
	return outcomes, nil
}

// copySome copies values from a key on until they come to maxBytes.
func copySome(b *bbolt.Bucket, from []byte, maxBytes int) [][]byte {
	var values [][]byte
	size := 0
	c := b.Cursor()
	for k, v := c.Seek(from); k != nil; k, v = c.Next() {
		size += len(v)
		if size > maxBytes && len(values) > 0 {
			break
		}
		values = append(values, v)
	}
	// Measured first, then copied in one piece.
	all := bytes.Join(values, nil)
	for i, v := range values {
		values[i], all = all[:len(v):len(v)], all[len(v):]
	}
	return slices.Clip(values)
}
