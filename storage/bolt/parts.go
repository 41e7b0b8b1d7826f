package bolt

import (
	"bytes"
	"context"
	"encoding/json"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// partRecord is a part as it is kept.
type partRecord struct {
	Name        string      `json:"name"`
	Bytes       int64       `json:"bytes"`
	SHA256      []byte      `json:"sha256"`
	Range       rangeRecord `json:"range"`
	ResultsOnly bool        `json:"results_only,omitzero"`
}

func (k *partRecord) value() storage.Part {
	return storage.Part{Name: k.Name, Bytes: k.Bytes, SHA256: hashOf(k.SHA256), Range: k.Range.value(), ResultsOnly: k.ResultsOnly}
}

func partKey(id job.ID, firstOffset int64) []byte { return key{}.id(id).number(uint64(firstOffset)) }

// Parts lists a job's parts in order of offset. ErrNotFound.
func (s *Store) Parts(ctx context.Context, id job.ID) ([]storage.Part, error) {
	var encoded [][]byte
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		if tx.Bucket(bucketJobs).Get([]byte(id)) == nil {
			return storage.ErrNotFound
		}
		encoded = copyParts(tx, id)
		return nil
	})
	if err != nil {
		return nil, err
	}
	parts, err := decodeParts(encoded)
	if err != nil {
		return nil, &storage.DamagedJobError{ID: id, What: "the list of parts", Cause: err}
	}
	return parts, nil
}

// copyParts copies what is kept, to be decoded when the transaction is over.
func copyParts(tx *bbolt.Tx, id job.ID) (encoded [][]byte) {
	_ = scan(tx.Bucket(bucketParts), []byte(id), func(_, v []byte) (bool, error) { // no error but from the callback
		encoded = append(encoded, bytes.Clone(v))
		return true, nil
	})
	return encoded
}

func decodeParts(encoded [][]byte) ([]storage.Part, error) {
	parts := make([]storage.Part, len(encoded))
	for i, e := range encoded {
		var k partRecord
		if err := json.Unmarshal(e, &k); err != nil {
			return nil, err
		}
		parts[i] = k.value()
	}
	return parts, nil
}

// list lists a part whose outcomes the job does not count yet, and counts them.
func (t *tx) list(r *record, p storage.Part) error {
	r.job.CompletedCount += p.Results
	r.job.FailedCount += p.Outcomes - p.Results
	r.job.Totals = r.job.Totals.Plus(p.Totals)
	return t.listPart(r, p)
}

// listPart lists a part.
func (t *tx) listPart(r *record, p storage.Part) error {
	r.partBytes += p.Bytes
	if err := t.refer(p.Name); err != nil {
		return err
	}
	return t.putJSON(t.bucket(bucketParts), partKey(r.job.ID, p.FirstOffset),
		&partRecord{p.Name, p.Bytes, p.SHA256[:], newRangeRecord(p.Range), p.ResultsOnly})
}
