package bolt

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/storage"
)

// keyRecord is an API key as it is kept.
type keyRecord struct {
	ID        string    `json:"id"`
	Client    string    `json:"client"`
	SHA256    []byte    `json:"sha256"`
	CreatedAt time.Time `json:"created_at"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}

func (k *keyRecord) value() storage.Key {
	return storage.Key{ID: k.ID, Client: k.Client, SHA256: hashOf(k.SHA256), CreatedAt: k.CreatedAt, RevokedAt: k.RevokedAt}
}

// CreateKey keeps a new key. ErrExists if its id is taken.
func (s *Store) CreateKey(ctx context.Context, k storage.Key) error {
	return s.update(ctx, func(t *tx) error {
		b := t.bucket(bucketKeys)
		if b.Get([]byte(k.ID)) != nil {
			return storage.ErrExists
		}
		if err := t.put(t.bucket(bucketClientKeys), key{}.text(k.Client).text(k.ID), nil); err != nil {
			return err
		}
		return t.putJSON(b, []byte(k.ID), &keyRecord{k.ID, k.Client, k.SHA256[:], utc(k.CreatedAt), utc(k.RevokedAt)})
	})
}

// Key finds a key by its id, revoked ones too. ErrNotFound.
func (s *Store) Key(ctx context.Context, id string) (storage.Key, error) {
	var k keyRecord
	err := s.view(ctx, func(tx *bbolt.Tx) error { return readKey(tx, id, &k) })
	if err != nil {
		return storage.Key{}, err
	}
	return k.value(), nil
}

func readKey(tx *bbolt.Tx, id string, k *keyRecord) error {
	found, err := getJSON(tx.Bucket(bucketKeys), []byte(id), k)
	if err == nil && !found {
		return storage.ErrNotFound
	}
	return err
}

// ListKeys lists all keys, oldest first.
func (s *Store) ListKeys(ctx context.Context) ([]storage.Key, error) {
	var keys []storage.Key
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketKeys).ForEach(func(_, encoded []byte) error {
			var k keyRecord
			if err := json.Unmarshal(encoded, &k); err != nil {
				return err
			}
			keys = append(keys, k.value())
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(keys, func(a, b storage.Key) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return keys, nil
}

// RevokeKey makes a key refused from now on. ErrNotFound.
func (s *Store) RevokeKey(ctx context.Context, id string, at time.Time) error {
	return s.update(ctx, func(t *tx) error {
		var k keyRecord
		if err := readKey(t.Tx, id, &k); err != nil {
			return err
		}
		if !k.RevokedAt.IsZero() {
			return nil
		}
		k.RevokedAt = utc(at)
		return t.putJSON(t.bucket(bucketKeys), []byte(id), &k)
	})
}

// HasKey tells whether the client has a key that is not revoked.
func (s *Store) HasKey(ctx context.Context, client string) (bool, error) {
	has := false
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		prefix := key{}.text(client)
		return scan(tx.Bucket(bucketClientKeys), prefix, func(entry, _ []byte) (bool, error) {
			var k keyRecord
			err := readKey(tx, string(entry[len(prefix)+2:]), &k)
			has = err == nil && k.RevokedAt.IsZero()
			return !has, err
		})
	})
	return has, err
}
