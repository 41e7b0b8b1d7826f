package bolt

import (
	"bytes"
	"context"
	"time"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/storage"
)

// quotaRecord is storage.Quota as it is kept.
type quotaRecord struct {
	RequestsPerSecond *float64 `json:"requests_per_second,omitempty"`
	OpenJobs          *int     `json:"open_jobs,omitempty"`
	Uploads           *int     `json:"uploads,omitempty"`
	Streams           *int     `json:"streams,omitempty"`
	Bytes             *int64   `json:"bytes,omitempty"`
}

// SetQuota replaces a client's quota.
func (s *Store) SetQuota(ctx context.Context, client string, q storage.Quota) error {
	return s.update(ctx, func(t *tx) error {
		r := quotaRecord(q)
		return t.putJSON(t.bucket(bucketQuotas), key{}.text(client), &r)
	})
}

// Quota finds a client's quota. ErrNotFound.
func (s *Store) Quota(ctx context.Context, client string) (storage.Quota, error) {
	var r quotaRecord
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		found, err := getJSON(tx.Bucket(bucketQuotas), key{}.text(client), &r)
		if err == nil && !found {
			return storage.ErrNotFound
		}
		return err
	})
	return storage.Quota(r), err
}

// ClearQuota forgets a client's quota.
func (s *Store) ClearQuota(ctx context.Context, client string) error {
	return s.update(ctx, func(t *tx) error { return t.forgetQuota(client) })
}

// Repeated tells whether CreateJob would make no job of a request.
func (s *Store) Repeated(ctx context.Context, client string, idem *storage.Idempotency, at time.Time) (repeated bool, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		var k idempotencyRecord
		found, err := getJSON(tx.Bucket(bucketIdempotency), key{}.text(client).text(idem.Key), &k)
		if err != nil || !found || !utc(at).Before(k.ExpiresAt) {
			return err
		}
		repeated = !bytes.Equal(k.Request, idem.Request[:]) || tx.Bucket(bucketJobs).Get([]byte(k.JobID)) != nil
		return nil
	})
	return repeated, err
}
