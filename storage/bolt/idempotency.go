package bolt

import (
	"bytes"
	"errors"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// idempotencyRecord is what a request with a key made.
type idempotencyRecord struct {
	Request   []byte    `json:"request"`
	JobID     string    `json:"job_id"`
	ExpiresAt time.Time `json:"expires_at"`
}

// madeBefore finds the job that the same request made; nil where there is none.
func (t *tx) madeBefore(client string, idem *storage.Idempotency, now time.Time) (*record, error) {
	var k idempotencyRecord
	found, err := getJSON(t.bucket(bucketIdempotency), key{}.text(client).text(idem.Key), &k)
	if err != nil || !found || !now.Before(k.ExpiresAt) {
		return nil, err
	}
	if !bytes.Equal(k.Request, idem.Request[:]) {
		return nil, storage.ErrIdempotencyKeyReused
	}
	r, err := t.job(job.ID(k.JobID))
	if errors.Is(err, storage.ErrNotFound) || err == nil && r.job.Deleted {
		return nil, nil
	}
	return r, err
}

// sweepAtOnce is how many expired keys go with each new one, so that they
// never pile up and no caller waits for a great sweep.
const sweepAtOnce = 16

// remember keeps what a request made, in place of an expired one.
func (t *tx) remember(client string, idem *storage.Idempotency, id job.ID, now time.Time) error {
	if err := t.forgetExpired(now); err != nil {
		return err
	}
	b, name := t.bucket(bucketIdempotency), key{}.text(client).text(idem.Key)
	var old idempotencyRecord
	found, err := getJSON(b, name, &old)
	if err != nil {
		return err
	}
	if found {
		if err := t.delete(t.bucket(bucketExpiring), append(key{}.time(old.ExpiresAt), name...)); err != nil {
			return err
		}
	}
	expires := now.Add(idem.Lifetime)
	if err := t.put(t.bucket(bucketExpiring), append(key{}.time(expires), name...), nil); err != nil {
		return err
	}
	return t.putJSON(b, name, &idempotencyRecord{Request: idem.Request[:], JobID: string(id), ExpiresAt: expires})
}

func (t *tx) forgetExpired(now time.Time) error {
	var expired [][]byte
	end := key{}.time(now)
	if err := scan(t.bucket(bucketExpiring), nil, func(k, _ []byte) (bool, error) {
		if len(expired) == sweepAtOnce || bytes.Compare(k[:timeKeyLen], end) > 0 {
			return false, nil
		}
		expired = append(expired, bytes.Clone(k))
		return true, nil
	}); err != nil {
		return err
	}
	for _, k := range expired {
		if err := t.delete(t.bucket(bucketExpiring), k); err != nil {
			return err
		}
		if err := t.delete(t.bucket(bucketIdempotency), k[timeKeyLen:]); err != nil {
			return err
		}
	}
	return nil
}
