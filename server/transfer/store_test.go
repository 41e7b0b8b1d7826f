package transfer

import (
	"path/filepath"
	"testing"

	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/bolt"
)

// newStore opens a store of the test's own.
func newStore(t *testing.T) storage.Store {
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
