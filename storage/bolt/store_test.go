package bolt_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/bolt"
	"github.com/promptforge/promptforge/storage/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storagetest.Run(t, func(t testing.TB, opts storagetest.Options) storage.Store {
		s, err := bolt.Open(filepath.Join(opts.Place, "store.db"), bolt.Options{MaxActivePerClient: opts.MaxActivePerClient})
		if err != nil {
			t.Fatal(err)
		}
		return &sound{s, t}
	})
}

// sound is a store that must be without damage whenever it is closed.
type sound struct {
	*bolt.Store
	t testing.TB
}

func (s *sound) Close() error {
	err := s.Check(context.Background(), func(sentence string) { s.t.Errorf("fsck finds damage: %s", sentence) })
	if err != nil && !errors.Is(err, storage.ErrClosed) {
		s.t.Error(err)
	}
	return s.Store.Close()
}
