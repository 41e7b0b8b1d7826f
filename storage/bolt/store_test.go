package bolt_test

import (
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
		return s
	})
}
