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
	"time"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

const (
	migratePath = "PROMPTFORGE_TEST_MIGRATE_PATH"
	migrateDies = "PROMPTFORGE_TEST_MIGRATE_DIES"
)

var migratePoints = []string{"migrate.before", "migrate.middle", "migrate.written", "migrate.after"}

// sixJobs is a store with jobs of all sorts, of this schema.
func sixJobs(t *testing.T, webhook string) (path string) {
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
		if webhook == "" {
			continue
		}
		for range 2 {
			j, _, err := s.CreateJob(ctx, &job.Job{ID: job.NewID(), Client: client, WebhookURL: webhook, CreatedAt: now}, nil)
			if err != nil {
				t.Fatal(err)
			}
			must(s.Cancel(ctx, client, j.ID, now.Add(time.Minute)))
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// olds make a store as a version before kept it, out of one of this schema.
var olds = map[string]struct {
	webhook string
	undo    func(tx *bbolt.Tx) error
}{
	"1": {"", toFirst}, "2": {"https://hook.example/", toSecond},
}

// toFirst: the first stores knew no deletion, no quotas and no webhooks.
func toFirst(tx *bbolt.Tx) error {
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
	return nil
}

// toSecond: in the second what owed its webhook stood by the time alone.
func toSecond(tx *bbolt.Tx) error {
	b := tx.Bucket(bucketOwed)
	was := map[string]string{}
	if err := b.ForEach(func(k, id []byte) error {
		was[string(k)] = string(id)
		return nil
	}); err != nil {
		return err
	}
	for k, id := range was {
		_, rest := splitText([]byte(k))
		if err := errors.Join(b.Delete([]byte(k)), b.Put(rest, []byte(id))); err != nil {
			return err
		}
	}
	return nil
}

// oldStore is a store of an earlier schema.
type oldStore struct {
	path string
	// The digests of what it is, of what the first step makes of it, and of
	// what all of them do.
	before, after, want [sha256.Size]byte
}

var errOdd = errors.New("odd")

func newOldStore(t *testing.T, schema string) oldStore {
	t.Helper()
	old := olds[schema]
	s := oldStore{path: sixJobs(t, old.webhook)}
	s.want = digestOf(t, s.path)
	db := must(openFile(s.path, writeOptions(0)))
	err := db.Update(func(tx *bbolt.Tx) error {
		return errors.Join(old.undo(tx), tx.Bucket(bucketMeta).Put(schemaKey, []byte(schema)))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	s.before = digestOf(t, s.path)

	stepped := filepath.Join(t.TempDir(), "stepped.db")
	if err := os.WriteFile(stepped, must(os.ReadFile(s.path)), 0o600); err != nil {
		t.Fatal(err)
	}
	db = must(openFile(stepped, writeOptions(0)))
	if err := migrate(stepped, db, failAt("migrate.after")); !errors.Is(err, errOdd) {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s.after = digestOf(t, stepped)
	if s.after == s.before {
		t.Fatal("the step changes nothing")
	}
	return s
}

func failAt(point string) func(string) error {
	return func(p string) error {
		if p == point {
			return errOdd
		}
		return nil
	}
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
	s := must(Open(newOldStore(t, "1").path, Options{}))
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

// TestMigrateOwed: what owed its webhook owes it still, unless it cannot be read.
func TestMigrateOwed(t *testing.T) {
	t.Parallel()
	for damaged := range 2 {
		path := newOldStore(t, "2").path
		if damaged > 0 {
			db := must(openFile(path, writeOptions(0)))
			err := db.Update(func(tx *bbolt.Tx) error {
				_, id := tx.Bucket(bucketOwed).Cursor().First()
				return tx.Bucket(bucketJobs).Put(id, []byte("{"))
			})
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
		}
		s := must(Open(path, Options{}))
		due, _, err := s.OwedDeliveries(t.Context(), "hook.example", now.Add(time.Hour), 10)
		if err != nil || len(due) != 4-damaged {
			t.Errorf("%d are owed, %v", len(due), err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestMigrateFails: a step that fails leaves the store as it was, byte for byte
// of its content, and the next try goes through.
func TestMigrateFails(t *testing.T) {
	t.Parallel()
	for schema := range olds {
		for _, point := range migratePoints {
			s := newOldStore(t, schema)
			db := must(openFile(s.path, writeOptions(0)))
			err := migrate(s.path, db, failAt(point))
			if !errors.Is(err, errOdd) {
				t.Errorf("%s: %v", point, err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if is := digestOf(t, s.path); is != s.before && is != s.after || (is == s.after) != (point == "migrate.after") {
				t.Errorf("%s %s: the store is not as it should be", schema, point)
			}
			if strings.Contains(point, "middle") && !strings.Contains(err.Error(), s.path) {
				t.Errorf("the error does not name the store: %v", err)
			}
			if err := must(Open(s.path, Options{})).Close(); err != nil {
				t.Fatal(err)
			}
			if digestOf(t, s.path) != s.want {
				t.Errorf("%s %s: the second try did not come to the same", schema, point)
			}
		}
	}
}

// TestMigrateDamaged: a record that cannot be read is named, and nothing is
// changed.
func TestMigrateDamaged(t *testing.T) {
	t.Parallel()
	path := newOldStore(t, "1").path
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
	for schema := range olds {
		for _, point := range migratePoints {
			t.Run(schema+" "+point, func(t *testing.T) {
				t.Parallel()
				s := newOldStore(t, schema)
				child := exec.Command(os.Args[0], "-test.run=^TestMigrateChild$")
				child.Env = append(os.Environ(), migratePath+"="+s.path, migrateDies+"="+point)
				if out, err := child.CombinedOutput(); err == nil || child.ProcessState.ExitCode() != -1 {
					t.Fatalf("the child was not killed: %v: %s", err, out)
				}
				if is := digestOf(t, s.path); is != s.before && is != s.after || (is == s.after) != (point == "migrate.after") {
					t.Error("the store is of neither schema, or of the wrong one")
				}
				if err := must(Open(s.path, Options{})).Close(); err != nil {
					t.Fatal(err)
				}
				if digestOf(t, s.path) != s.want {
					t.Error("the next Open did not come to the same end")
				}
			})
		}
	}
}
