package bolt

import (
	"context"
	"fmt"
	"slices"

	"github.com/promptforge/promptforge/internal/failpoint"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// Seal lists a part in place of the frozen segment n and forgets the segment's
// outcomes. n must be the oldest unsealed segment, and the part hold just what
// it holds. ErrNotFound when there is no segment n; but sealing it again with
// the same part changes nothing, so that a call whose answer was lost can be
// repeated.
func (s *Store) Seal(ctx context.Context, term job.Term, id job.ID, n int64, part storage.NewPart) error {
	if err := checkLines(&part); err != nil {
		return err
	}
	_, err := s.decision(ctx, term, id, func(t *tx, r *record) error {
		at := slices.IndexFunc(r.segments, func(s storage.Segment) bool { return s.N == n })
		if at < 0 {
			return t.sealedBefore(id, &part)
		}
		if err := failpoint.Hit("seal"); err != nil {
			return err
		}
		if err := checkSeal(&r.segments[at], at, &part); err != nil {
			return err
		}
		return t.seal(r, &part)
	})
	return err
}

func (t *tx) sealedBefore(id job.ID, part *storage.NewPart) error {
	var k partRecord
	found, err := getJSON(t.bucket(bucketParts), partKey(id, part.FirstOffset), &k)
	if err == nil && (!found || k.Name != part.Name) {
		return storage.ErrNotFound
	}
	return err
}

func checkSeal(segment *storage.Segment, at int, part *storage.NewPart) error {
	switch {
	case at != 0:
		return fmt.Errorf("segment %d cannot be sealed before an older one", segment.N)
	case !segment.Frozen:
		return fmt.Errorf("segment %d cannot be sealed before it is frozen", segment.N)
	case part.Range != segment.Range:
		return fmt.Errorf("part %s is not segment %d: it has %+v, the segment %+v", part.Name, segment.N, part.Range, segment.Range)
	case part.ResultsOnly:
		return fmt.Errorf("part %s passes over outcomes of segment %d", part.Name, segment.N)
	}
	return nil
}

// seal puts the part in place of the oldest segment.
func (t *tx) seal(r *record, part *storage.NewPart) error {
	id := r.job.ID
	done, failed, err := sealed(t.Tx, id)
	if err != nil {
		return &storage.DamagedJobError{ID: id, What: "the list of sealed lines", Cause: err}
	}
	if done.AndCardinality(part.Done) != 0 {
		return fmt.Errorf("part %s has lines that were sealed before", part.Name)
	}
	if all := t.store.progress[id]; all != nil && all.AndCardinality(part.Done) != part.Done.GetCardinality() {
		return fmt.Errorf("part %s has lines that were never recorded", part.Name)
	}
	done.Or(part.Done)
	failed.Or(part.Failed)
	if err := t.putSealed(id, done, failed); err != nil {
		return err
	}
	if err := t.listPart(r, part.Part); err != nil {
		return err
	}
	if err := t.bucket(bucketOutcomes).DeleteBucket(segmentKey(id, r.segments[0].N)); err != nil {
		return err
	}
	r.segments = slices.Delete(r.segments, 0, 1)
	r.changed = true // nothing that a watcher could see
	return nil
}
