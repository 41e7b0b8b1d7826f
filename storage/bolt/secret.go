package bolt

import (
	"bytes"
	"context"
	"crypto/rand"

	"go.etcd.io/bbolt"
)

const secretBytes = 32

// Secret returns the named secret, and makes it at the first call.
func (s *Store) Secret(ctx context.Context, name string) ([]byte, error) {
	var secret []byte
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		secret = bytes.Clone(tx.Bucket(bucketSecrets).Get([]byte(name)))
		return nil
	})
	if err != nil || secret != nil {
		return secret, err
	}
	err = s.update(ctx, func(t *tx) error {
		b := t.bucket(bucketSecrets)
		if secret = bytes.Clone(b.Get([]byte(name))); secret != nil {
			return nil
		}
		secret = make([]byte, secretBytes)
		rand.Read(secret)
		return t.put(b, []byte(name), bytes.Clone(secret))
	})
	if err != nil {
		return nil, err
	}
	return secret, nil
}
