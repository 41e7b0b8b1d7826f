package bolt

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

const (
	migratePath = "PROMPTFORGE_TEST_MIGRATE_PATH"
	migrateDies = "PROMPTFORGE_TEST_MIGRATE_DIES"
)

var migratePoints = []string{"migrate.before", "migrate.middle", "migrate.written", "migrate.after"}

// firstSchema is a store as the first version kept it, and the digest of what
// schema 2 makes of it.
func firstSchema(t *testing.T) (path string, want [sha256.Size]byte) {
	t.Helper()
	ctx := t.Context()
	path = filepath.Join(t.TempDir(), "store.db")
	s := must(Open(path, Options{}))
	for _, client := range []string{"a", "b"} {
		settled, lease := claimed(s, client, 2)
		must(s.Record(ctx, []storage.Record{{ID: settled, Outcomes: []*job.Outcome{answer(1)}, SentThrough: 2}}))
		must(s.Cancel(ctx, client, settled, now))
		must(s.Settle(ctx, lease.Term, settled, now))
		claimed(s, client, 5)
		uploaded(s, client, 5)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db := must(openFile(path, writeOptions(0)))
	want = must(digest(path, db))
	err := db.Update(func(tx *bbolt.Tx) error {
		for _, name := range laterBuckets() {
			if err := tx.DeleteBucket(name); err != nil {
				return err
			}
		}
		b := tx.Bucket(bucketClients)
		for _, client := range []string{"a", "b"} {
			k := key{}.text(client)
			without, _, _ := bytes.Cut(b.Get(k), []byte(`,"usage"`))
			if err := b.Put(k, append(bytes.Clone(without), '}')); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketMeta).Put(schemaKey, []byte("1"))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return path, want
}

// digestOf looks at a store without opening it as one.
func digestOf(t *testing.T, path string) [sha256.Size]byte {
	t.Helper()
	db := must(openFile(path, &bbolt.Options{ReadOnly: true}))
	sum := must(digest(path, db))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return sum
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	path, _ := firstSchema(t)
	s := must(Open(path, Options{}))
	if u := must(s.Usage(t.Context(), "a")); u.Jobs != 3 || u.Open != 2 {
		t.Errorf("after it a client has %+v", u)
	}
	if n := must(s.ExpireJobs(t.Context(), now.Add(1))); n != 2 {
		t.Errorf("%d settled jobs are found, want 2", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMigrateFails: a step that fails leaves the store as it was, byte for byte
// of its content, and the next try goes through.
func TestMigrateFails(t *testing.T) {
	t.Parallel()
	for _, point := range migratePoints {
		path, want := firstSchema(t)
		before := digestOf(t, path)
		odd := errors.New("odd")
		db := must(openFile(path, writeOptions(0)))
		err := migrate(path, db, func(p string) error {
			if p == point {
				return odd
			}
			return nil
		})
		if !errors.Is(err, odd) {
			t.Errorf("%s: %v", point, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if point == "migrate.after" {
			before = want
		}
		if digestOf(t, path) != before {
			t.Errorf("%s: the store is not as it should be", point)
		}
		if strings.Contains(point, "middle") && !strings.Contains(err.Error(), path) {
			t.Errorf("the error does not name the store: %v", err)
		}
		if err := must(Open(path, Options{})).Close(); err != nil {
			t.Fatal(err)
		}
		if digestOf(t, path) != want {
			t.Errorf("%s: the second try did not come to the same", point)
		}
	}
}

// TestMigrateDamaged: a record that cannot be read is named, and nothing is
// changed.
func TestMigrateDamaged(t *testing.T) {
	t.Parallel()
	path, _ := firstSchema(t)
	db := must(openFile(path, writeOptions(0)))
	var id string
	err := db.Update(func(tx *bbolt.Tx) error {
		k, _ := tx.Bucket(bucketJobs).Cursor().First()
		id = string(k)
		return tx.Bucket(bucketJobs).Put(k, []byte("{"))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	before := digestOf(t, path)
	if _, err := Open(path, Options{}); err == nil || !strings.Contains(err.Error(), id) || !strings.Contains(err.Error(), path) {
		t.Errorf("Open: %v", err)
	}
	if digestOf(t, path) != before {
		t.Error("the store was changed")
	}
}

// TestMigrateChild migrates and kills itself at a point. It is not a test of
// its own.
func TestMigrateChild(t *testing.T) {
	path := os.Getenv(migratePath)
	if path == "" {
		t.Skip("run by TestMigrateKilled")
	}
	db := must(openFile(path, writeOptions(0)))
	err := migrate(path, db, func(point string) error {
		if point == os.Getenv(migrateDies) {
			must(0, must(os.FindProcess(os.Getpid())).Kill())
			select {}
		}
		return nil
	})
	t.Fatal("it was not killed: ", err)
}

// TestMigrateKilled: wherever a migration is killed, the store is of one schema
// or the other, and the next Open comes to the same end.
func TestMigrateKilled(t *testing.T) {
	t.Parallel()
	for _, point := range migratePoints {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			path, want := firstSchema(t)
			before := digestOf(t, path)
			child := exec.Command(os.Args[0], "-test.run=^TestMigrateChild$")
			child.Env = append(os.Environ(), migratePath+"="+path, migrateDies+"="+point)
			if out, err := child.CombinedOutput(); err == nil || child.ProcessState.ExitCode() != -1 {
				t.Fatalf("the child was not killed: %v: %s", err, out)
			}
			if got := digestOf(t, path); got != before && got != want || (got == want) != (point == "migrate.after") {
				t.Error("the store is of neither schema, or of the wrong one")
			}
			if err := must(Open(path, Options{})).Close(); err != nil {
				t.Fatal(err)
			}
			if digestOf(t, path) != want {
				t.Error("the next Open did not come to the same end")
			}
		})
	}
}
