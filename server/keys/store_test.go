package keys_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/bolt"
)

// newStore opens a store of the test's own.
func newStore(t *testing.T) storage.Keys {
	t.Helper()
	s, err := bolt.Open(filepath.Join(t.TempDir(), "store"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// faulty is a store that answers nothing once fail is set, and for which the
// next ids are taken.
type faulty struct {
	storage.Keys
	fail  error
	taken int
}

func (f *faulty) CreateKey(ctx context.Context, k storage.Key) error {
	if f.taken > 0 {
		f.taken--
		return storage.ErrExists
	}
	if f.fail != nil {
		return f.fail
	}
	return f.Keys.CreateKey(ctx, k)
}

func (f *faulty) Key(ctx context.Context, id string) (storage.Key, error) {
	if f.fail != nil {
		return storage.Key{}, f.fail
	}
	return f.Keys.Key(ctx, id)
}
