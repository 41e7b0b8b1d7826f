// Package bolttest opens stores for the tests of what stands on them.
package bolttest

import (
	"path/filepath"
	"testing"

	"github.com/promptforge/promptforge/storage/bolt"
)

// Open opens a store of the test's own, and closes it at the test's end.
func Open(t testing.TB) *bolt.Store {
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
