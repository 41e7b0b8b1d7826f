package bolt

import (
	"bytes"
	"context"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/internal/failpoint"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// laneRecord is a lane's lease and what was learned about it.
type laneRecord struct {
	Lane    laneName `json:"lane"`
	Term    []byte   `json:"term,omitempty"` // none: nobody holds it
	Holder  string   `json:"holder,omitzero"`
	Learned []byte   `json:"learned,omitempty"`
}

// readLane reads a lane; one that was never held is empty.
func readLane(tx *bbolt.Tx, lane job.Lane) (k laneRecord, found bool, err error) {
	k.Lane = laneName(lane)
	found, err = getJSON(tx.Bucket(bucketLanes), []byte(lane.Key()), &k)
	return k, found, err
}

func (t *tx) putLane(k *laneRecord) error {
	return t.putJSON(t.bucket(bucketLanes), []byte(job.Lane(k.Lane).Key()), k)
}

// held reads the lane of a lease that must be good. ErrNotFound, ErrTerm.
func (t *tx) held(lease storage.Lease) (laneRecord, error) {
	k, found, err := readLane(t.Tx, lease.Lane)
	switch {
	case err != nil:
		return k, err
	case !found:
		return k, storage.ErrNotFound
	case lease.Term.IsZero() || termOf(k.Term) != lease.Term:
		return k, storage.ErrTerm
	}
	return k, nil
}

// decide loads a job that the holder of a term decides about. The term must be
// the job's and its lane's. ErrNotFound, ErrTerm.
func (t *tx) decide(term job.Term, id job.ID) (*record, error) {
	r, err := t.job(id)
	if err != nil {
		return nil, err
	}
	if term.IsZero() || r.job.Term != term {
		return nil, storage.ErrTerm
	}
	k, _, err := readLane(t.Tx, r.job.Lane)
	if err != nil {
		return nil, err
	}
	if termOf(k.Term) != term {
		return nil, storage.ErrTerm
	}
	return r, nil
}

// HoldLane takes the lease of a lane under a new term. It always succeeds: one
// process has the file open, so whoever held the lane before is dead.
func (s *Store) HoldLane(ctx context.Context, lane job.Lane, holder string) (storage.Lease, error) {
	lease := storage.Lease{Lane: lane, Term: job.NewTerm()}
	err := s.update(ctx, func(t *tx) error {
		if err := failpoint.Hit("hold"); err != nil {
			return err
		}
		k, _, err := readLane(t.Tx, lane)
		if err != nil {
			return err
		}
		lease.Learned = k.Learned
		k.Term, k.Holder = termBytes(lease.Term), holder
		return t.putLane(&k)
	})
	if err != nil {
		return storage.Lease{}, err
	}
	return lease, nil
}

// SaveLane keeps what was learned about a lane. ErrNotFound, ErrTerm.
func (s *Store) SaveLane(ctx context.Context, lease storage.Lease, learned []byte) error {
	return s.update(ctx, func(t *tx) error {
		if err := failpoint.Hit("renew"); err != nil {
			return err
		}
		k, err := t.held(lease)
		if err != nil || bytes.Equal(k.Learned, learned) {
			return err
		}
		k.Learned = learned
		return t.putLane(&k)
	})
}

// ReleaseLane gives the lease back. ErrNotFound, ErrTerm.
func (s *Store) ReleaseLane(ctx context.Context, lease storage.Lease) error {
	return s.update(ctx, func(t *tx) error {
		k, err := t.held(lease)
		if err != nil {
			return err
		}
		k.Term, k.Holder = nil, ""
		return t.putLane(&k)
	})
}
