package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/storage/bolt"
)

func mustOpen(t testing.TB, path string) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOpenHeld(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	s := mustOpen(t, path)
	_, err := bolt.Open(path, bolt.Options{})
	var held *bolt.HeldError
	if !errors.As(err, &held) || held.Path != path || !strings.Contains(err.Error(), path) {
		t.Fatalf("the second Open: %v", err)
	}
	if held.PID != 0 && held.PID != os.Getpid() {
		t.Errorf("held by %d, and I am %d", held.PID, os.Getpid())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := mustOpen(t, path).Close(); err != nil {
		t.Fatal(err)
	}
}

// TestOpenTogether: of many that make the store at once one has it.
func TestOpenTogether(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "store.db")
	var wg sync.WaitGroup
	stores := make([]*bolt.Store, 8)
	for i := range stores {
		wg.Go(func() {
			s, err := bolt.Open(path, bolt.Options{})
			if held := (*bolt.HeldError)(nil); err != nil && !errors.As(err, &held) {
				t.Error(err)
			}
			stores[i] = s
		})
	}
	wg.Wait()
	opened := 0
	for _, s := range stores {
		if s != nil {
			opened++
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if opened != 1 {
		t.Errorf("%d opened it", opened)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 1 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}

func TestOpenFolderMissing(t *testing.T) {
	t.Parallel()
	if _, err := bolt.Open(filepath.Join(t.TempDir(), "no", "store.db"), bolt.Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("Open: %v", err)
	}
}

// wholeStore is the bytes of a store with something in it.
func wholeStore(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	s := mustOpen(t, path)
	for i := range 200 {
		if _, err := s.Secret(context.Background(), fmt.Sprint("secret", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return whole
}

// used is how much of a file its pages take; it is longer than that.
func used(t *testing.T, whole []byte) (size int64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	rewrite(t, path, func(tx *bbolt.Tx) error {
		size = tx.Size()
		return nil
	})
	return size
}

func TestOpenDamaged(t *testing.T) {
	t.Parallel()
	whole := wholeStore(t)
	page := os.Getpagesize()
	noise := make([]byte, 64<<10)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	for name, content := range map[string][]byte{
		"empty":        {},
		"text":         []byte("not a database"),
		"noise":        noise,
		"cut at once":  whole[:100],
		"cut early":    whole[:2*page],
		"cut late":     whole[:used(t, whole)-7],
		"half zeroed":  append(bytes.Clone(whole[:2*page]), make([]byte, 100*page)...),
		"half noise":   append(bytes.Clone(whole[:2*page]), noise...),
		"no meta page": append(make([]byte, 2*page), whole[2*page:]...),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "store.db")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := bolt.Open(path, bolt.Options{})
			var damaged *bolt.DamagedError
			if !errors.As(err, &damaged) || damaged.Path != path || damaged.Cause == nil {
				t.Fatalf("Open: %v", err)
			}
			after, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(after, content) {
				t.Fatalf("the file was changed (%v)", err)
			}
		})
	}
}

func TestOpenFolder(t *testing.T) {
	t.Parallel()
	var damaged *bolt.DamagedError
	if _, err := bolt.Open(t.TempDir(), bolt.Options{}); !errors.As(err, &damaged) {
		t.Fatalf("Open: %v", err)
	}
}

// rewrite changes a store behind its back.
func rewrite(t *testing.T, path string, do func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(do), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestOpenAnotherSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	if err := mustOpen(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	schema := func(version string) {
		rewrite(t, path, func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("schema"), []byte(version)) })
	}
	schema("4")
	var newer *bolt.NewerError
	if _, err := bolt.Open(path, bolt.Options{}); !errors.As(err, &newer) || newer.Schema != 4 || newer.KnownSchema != 3 || newer.Path != path {
		t.Fatalf("Open: %v", err)
	}
	schema("0")
	var damaged *bolt.DamagedError
	if _, err := bolt.Open(path, bolt.Options{}); !errors.As(err, &damaged) {
		t.Fatalf("Open: %v", err)
	}
	schema("x")
	if _, err := bolt.Open(path, bolt.Options{}); !errors.As(err, &damaged) {
		t.Fatalf("Open: %v", err)
	}
	schema("1")
	if err := mustOpen(t, path).Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenDatabaseOfSomethingElse(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	rewrite(t, path, func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("etcd"))
		return err
	})
	var damaged *bolt.DamagedError
	if _, err := bolt.Open(path, bolt.Options{}); !errors.As(err, &damaged) {
		t.Fatalf("Open: %v", err)
	}
}
