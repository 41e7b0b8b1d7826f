package bolt

import (
	"bytes"
	"context"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/storage"
)

// ForgetClient removes what is kept of a client beside its jobs. ErrExists.
func (s *Store) ForgetClient(ctx context.Context, client string) error {
	return s.update(ctx, func(t *tx) error {
		var c clientRecord
		if _, err := getJSON(t.bucket(bucketClients), key{}.text(client), &c); err != nil {
			return err
		}
		if c.Usage.Jobs > 0 {
			return storage.ErrExists
		}
		for _, forget := range []func(string) error{t.forgetKeys, t.forgetIdempotency, t.forgetQuota, t.forgetCounters} {
			if err := forget(client); err != nil {
				return err
			}
		}
		return nil
	})
}

// forgetKeys removes a client's keys, unless one of them is good. ErrExists.
func (t *tx) forgetKeys(client string) error {
	prefix := key{}.text(client)
	entries, err := keysWith(t.bucket(bucketClientKeys), prefix)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		id := entry[len(prefix)+2:]
		var k keyRecord
		if err := readKey(t.Tx, string(id), &k); err != nil {
			return err
		}
		if k.RevokedAt.IsZero() {
			return storage.ErrExists
		}
		if err := t.delete(t.bucket(bucketKeys), id); err != nil {
			return err
		}
		if err := t.delete(t.bucket(bucketClientKeys), entry); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) forgetIdempotency(client string) error {
	b := t.bucket(bucketIdempotency)
	names, err := keysWith(b, key{}.text(client))
	if err != nil {
		return err
	}
	for _, name := range names {
		var k idempotencyRecord
		if _, err := getJSON(b, name, &k); err != nil {
			return err
		}
		if err := t.delete(t.bucket(bucketExpiring), append(key{}.time(k.ExpiresAt), name...)); err != nil {
			return err
		}
		if err := t.delete(b, name); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) forgetQuota(client string) error {
	b := t.bucket(bucketQuotas)
	if b.Get(key{}.text(client)) == nil {
		return nil
	}
	return t.delete(b, key{}.text(client))
}

// forgetCounters removes the counters of a client that has neither a job, nor a
// key that could make one.
func (t *tx) forgetCounters(client string) error {
	name := key{}.text(client)
	if t.bucket(bucketClients).Get(name) == nil {
		return nil
	}
	for _, b := range [][]byte{bucketList, bucketClientKeys} {
		if k, _ := t.bucket(b).Cursor().Seek(name); bytes.HasPrefix(k, name) {
			return nil
		}
	}
	return t.delete(t.bucket(bucketClients), name)
}

// keysWith copies the keys that begin with prefix.
func keysWith(b *bbolt.Bucket, prefix []byte) (keys [][]byte, err error) {
	err = scan(b, prefix, func(k, _ []byte) (bool, error) {
		keys = append(keys, bytes.Clone(k))
		return true, nil
	})
	return keys, err
}
