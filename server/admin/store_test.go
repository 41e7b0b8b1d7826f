package admin_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

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

// broken is a store that answers nothing.
type broken struct{ storage.Keys }

func (*broken) CreateKey(context.Context, storage.Key) error { return errFire }

func (*broken) ListKeys(context.Context) ([]storage.Key, error) { return nil, errFire }

func (*broken) RevokeKey(context.Context, string, time.Time) error { return errFire }

var errFire = errors.New("disk on fire")
