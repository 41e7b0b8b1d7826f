package bolt

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

func sentences(t *testing.T, s *Store) (all []string) {
	t.Helper()
	if err := s.Check(t.Context(), func(sentence string) { all = append(all, sentence) }); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestCheckFinds: each kind of damage is found and named.
func TestCheckFinds(t *testing.T) {
	t.Parallel()
	for want, do := range map[string]func(tx *bbolt.Tx, id job.ID) error{
		"the record of job":               func(tx *bbolt.Tx, id job.ID) error { return garble(bucketJobs, []byte(id))(tx) },
		"the list of sealed lines of job": func(tx *bbolt.Tx, id job.ID) error { return garble(bucketDone, []byte(id))(tx) },
		"the outcome 2 cannot be read": func(tx *bbolt.Tx, id job.ID) error {
			return tx.Bucket(bucketOutcomes).Bucket(segmentKey(id, 1)).Put(offsetKey(2), []byte("?"))
		},
		"its unsealed outcomes from 1 on are gone": func(tx *bbolt.Tx, id job.ID) error {
			return tx.Bucket(bucketOutcomes).DeleteBucket(segmentKey(id, 1))
		},
		"line 1 has two outcomes": func(tx *bbolt.Tx, id job.ID) error {
			return tx.Bucket(bucketOutcomes).Bucket(segmentKey(id, 1)).Put(offsetKey(2), answer(1).AppendBinary(nil))
		},
		"segment 1 has 1 outcomes": func(tx *bbolt.Tx, id job.ID) error {
			return tx.Bucket(bucketOutcomes).Bucket(segmentKey(id, 1)).Delete(offsetKey(2))
		},
		"counts 7 results": func(tx *bbolt.Tx, id job.ID) error {
			b := tx.Bucket(bucketJobs)
			return b.Put([]byte(id), bytes.Replace(b.Get([]byte(id)), []byte(`"completed_count":2`), []byte(`"completed_count":7`), 1))
		},
		"places of jobs in the indexes are missing": func(tx *bbolt.Tx, _ job.ID) error {
			k, _ := tx.Bucket(bucketWork).Cursor().First()
			return tx.Bucket(bucketWork).Delete(k)
		},
		"where it does not belong": func(tx *bbolt.Tx, id job.ID) error { return tx.Bucket(bucketDoomed).Put([]byte(id), []byte(id)) },
		"is counted for 9 jobs": func(tx *bbolt.Tx, id job.ID) error {
			return tx.Bucket(bucketFiles).Put([]byte("p/"+string(id)), []byte{0, 0, 0, 0, 0, 0, 0, 9})
		},
		"is said to have 0 jobs": func(tx *bbolt.Tx, _ job.ID) error {
			return tx.Bucket(bucketClients).Put(key{}.text("a"), []byte(`{"jobs":1,"uploads":1}`))
		},
		"there are outcomes that no job has": func(tx *bbolt.Tx, id job.ID) error {
			_, err := tx.Bucket(bucketOutcomes).CreateBucket(segmentKey(id, 5))
			return err
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			s := open(t, Options{})
			id, _ := claimed(s, "a", 10)
			must(s.Record(t.Context(), []storage.Record{{ID: id, Outcomes: []*job.Outcome{answer(1), answer(2)}}}))
			if all := sentences(t, s); len(all) != 0 {
				t.Fatalf("a sound store: %q", all)
			}
			harm(t, s, func(tx *bbolt.Tx) error { return do(tx, id) })
			if all := strings.Join(sentences(t, s), "\n"); !strings.Contains(all, want) {
				t.Errorf("it says %q", all)
			}
		})
	}
}

// TestOpenReadOnly: a store is looked at without a byte of it being changed.
func TestOpenReadOnly(t *testing.T) {
	t.Parallel()
	path, left := kept(t)
	before := must(os.ReadFile(path))
	s := must(OpenReadOnly(path))
	jobs := 0
	err := s.Contents(t.Context(), func(k *storage.Kept) error {
		jobs++
		if k.Job.ID != left || len(k.Segments) != 1 {
			t.Errorf("%+v", k)
		}
		return nil
	})
	if err != nil || jobs != 1 || len(sentences(t, s)) != 0 {
		t.Errorf("%d jobs, %v, %q", jobs, err, sentences(t, s))
	}
	if err := s.CreateKey(t.Context(), storage.Key{ID: "x", Client: "y"}); err == nil {
		t.Error("it took a write")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(must(os.ReadFile(path)), before) {
		t.Error("the file was changed")
	}
	old := newOldStore(t, "1").path
	if _, err := OpenReadOnly(old); err == nil || !strings.Contains(err.Error(), "start the server on it once") {
		t.Errorf("an earlier schema: %v", err)
	}
	if _, err := OpenReadOnly(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
}

// TestContentsPassesOverDamage: what cannot be read keeps nothing else from
// being looked at.
func TestContentsPassesOverDamage(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	bad, good := uploaded(s, "a", 1), uploaded(s, "b", 1)
	harm(t, s, garble(bucketJobs, []byte(bad)))
	var got []job.ID
	if err := s.Contents(t.Context(), func(k *storage.Kept) error {
		got = append(got, k.Job.ID)
		return nil
	}); err != nil || len(got) != 1 || got[0] != good {
		t.Errorf("%v, %v", got, err)
	}
}

// TestSnapshot: a copy is of one moment, while others write.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	id, _ := claimed(s, "a", 5000)
	path := filepath.Join(t.TempDir(), "copy.db")
	stop, stopped := make(chan struct{}), make(chan struct{})
	began := make(chan struct{})
	go func() {
		defer close(stopped)
		for line := int64(1); ; line++ {
			must(s.Record(t.Context(), []storage.Record{{ID: id, Outcomes: []*job.Outcome{answer(line)}, SentThrough: line}}))
			if line == 20 {
				close(began)
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	<-began
	names, err := s.Snapshot(t.Context(), path)
	close(stop)
	<-stopped
	if err != nil || len(names) != 1 || names[0] != "p/"+string(id) {
		t.Fatalf("%v, %v", names, err)
	}
	c := must(OpenReadOnly(path))
	if j := must(c.Job(t.Context(), "a", id)); j.CompletedCount < 20 || len(sentences(t, c)) != 0 {
		t.Errorf("%d results, %q", j.CompletedCount, sentences(t, c))
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Snapshot(t.Context(), path); !errors.Is(err, os.ErrExist) {
		t.Errorf("over another: %v", err)
	}
}
