package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

func open(t *testing.T, opts Options) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "store.db"), opts)
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

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func uploaded(s *Store, client string, prompts int64) job.ID {
	ctx := context.Background()
	j := &job.Job{ID: job.NewID(), Client: client, Provider: "openai", Model: "m", CreatedAt: now}
	if _, _, err := s.CreateJob(ctx, j, nil); err != nil {
		panic(err)
	}
	u := storage.Upload{Prompts: job.PromptsFile{Name: "p/" + string(j.ID), Usable: prompts}, PromptCount: prompts}
	must(s.CompleteUpload(ctx, j.ID, u, now))
	return j.ID
}

func claimed(s *Store, client string, prompts int64) (job.ID, storage.Lease) {
	id := uploaded(s, client, prompts)
	lease := must(s.HoldLane(context.Background(), job.Lane{Provider: "openai", Model: "m"}, "test"))
	must(s.Claim(context.Background(), lease, id, now))
	return id, lease
}

func answer(line int64) *job.Outcome { return &job.Outcome{Line: line, Public: []byte(`{"a":1}`)} }

// fill gives every field of a struct a value that is not zero.
func fill(v reflect.Value, n *int) {
	*n++
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(now.Add(time.Duration(*n) * time.Nanosecond)))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.String:
		v.SetString(fmt.Sprint("text", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint64:
		v.SetUint(uint64(*n))
	case reflect.Float64:
		v.SetFloat(float64(*n) + 0.5)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]string{"key": "value"}))
	case reflect.Array:
		for i := range v.Len() {
			v.Index(i).SetUint(uint64(*n+i) & 0xff)
		}
	default:
		panic(v.Kind())
	}
}

// TestRecordKeepsEveryField: a field that is added to job.Job and forgotten
// here would be lost.
func TestRecordKeepsEveryField(t *testing.T) {
	t.Parallel()
	n := 0
	r := &record{uploadSeq: 5, lastSegment: 6, segments: make([]storage.Segment, 2)}
	fill(reflect.ValueOf(&r.job).Elem(), &n)
	for i := range r.segments {
		fill(reflect.ValueOf(&r.segments[i]).Elem(), &n)
	}
	for _, want := range []*record{r, {}} {
		got := must(decodeRecord(must(encodeRecord(want))))
		if d := cmp.Diff(want.job, got.job); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff(want.segments, got.segments); d != "" || got.uploadSeq != want.uploadSeq || got.lastSegment != want.lastSegment {
			t.Error(d, got)
		}
	}
	var p storage.Part
	fill(reflect.ValueOf(&p).Elem(), &n)
	s := open(t, Options{})
	if err := s.update(t.Context(), func(t *tx) error { return t.listPart(&record{job: job.Job{ID: "x"}}, p) }); err != nil {
		t.Fatal(err)
	}
	err := s.view(t.Context(), func(tx *bbolt.Tx) error {
		if d := cmp.Diff([]storage.Part{p}, must(decodeParts(copyParts(tx, "x")))); d != "" {
			t.Error(d)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestPromoteMissed: a promotion that was missed is made good, and counted.
func TestPromoteMissed(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	first, second := uploaded(s, "a", 1), uploaded(s, "a", 1)
	uploaded(s, "b", 1)
	third := uploaded(s, "b", 1)
	// A job ends without anything else.
	if err := s.update(t.Context(), func(t *tx) error {
		r := must(t.job(first))
		r.job.Status, r.job.CompletedAt, r.job.SettledAt = job.Cancelled, now, now
		r.changed = true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if got := must(s.Job(t.Context(), "", second)); got.Status != job.Pending {
		t.Fatalf("the second job is %s", got.Status)
	}
	for _, want := range []int{1, 0} {
		if n := must(s.Promote(t.Context())); n != want {
			t.Fatalf("%d promotions, want %d", n, want)
		}
	}
	if got := must(s.Job(t.Context(), "", second)); got.Status != job.Queued {
		t.Fatalf("the second job is %s", got.Status)
	}
	if got := must(s.Job(t.Context(), "", third)); got.Status != job.Pending {
		t.Fatalf("the other client's is %s", got.Status)
	}
}

// TestCommitFails: when a commit fails, memory and file still agree, whether
// or not the file has the transaction; nobody is told of anything.
func TestCommitFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		cause  error
		kept   bool // the commit reached the disk, and says it did not
		broken bool
	}{
		{"full disk", &errPath{syscall.ENOSPC}, false, false},
		{"quota", syscall.EDQUOT, false, false},
		{"I/O error", syscall.EIO, false, true},
		{"I/O error after the write", syscall.EIO, true, true},
		{"full disk after the write", syscall.ENOSPC, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, Options{})
			id, _ := claimed(s, "a", 10)
			record := func(lines ...int64) ([]storage.Recorded, error) {
				r := storage.Record{ID: id}
				for _, l := range lines {
					r.Outcomes = append(r.Outcomes, answer(l))
				}
				return s.Record(t.Context(), []storage.Record{r})
			}
			must(record(1))
			changed, stop := s.Watch(id)
			defer stop()
			s.commit = func(tx *bbolt.Tx) error {
				if c.kept {
					must(0, tx.Commit())
				}
				return c.cause
			}
			if _, err := record(1, 2, 3); !errors.Is(err, c.cause) {
				t.Fatalf("Record: %v", err)
			}
			select {
			case <-changed:
				t.Error("a watcher was told of what was not kept")
			default:
			}
			if err := s.Ping(t.Context()); !errors.Is(err, c.cause) {
				t.Errorf("Ping: %v", err)
			}
			s.commit = (*bbolt.Tx).Commit
			got, err := record(1, 2, 3, 4)
			var broken *BrokenError
			if c.broken {
				if !errors.As(err, &broken) || !errors.Is(s.Ping(t.Context()), c.cause) {
					t.Fatalf("a broken store took a record: %v, %v", got, err)
				}
				// What can be read is told only where it is known to be durable.
				if _, err := s.Job(t.Context(), "", id); errors.As(err, &broken) != c.kept {
					t.Errorf("a broken store is read: %v", err)
				}
				return
			}
			want := 3
			if c.kept {
				want = 1
			}
			if err != nil || got[0].Accepted != want || got[0].Job.CompletedCount != 4 {
				t.Fatalf("the call came again and accepted %+v, %v", got, err)
			}
		})
	}
}

// TestReadersWaitForTheSync: bbolt shows a transaction to readers before it is
// synced. A power cut at that moment took back what clients had been told.
func TestReadersWaitForTheSync(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	id, _ := claimed(s, "a", 10)
	written, sync := make(chan struct{}), make(chan struct{})
	s.commit = func(tx *bbolt.Tx) error {
		err := tx.Commit() // readers see it
		close(written)
		<-sync
		return err
	}
	recorded := make(chan error, 1)
	go func() {
		_, err := s.Record(context.Background(), []storage.Record{{ID: id, Outcomes: []*job.Outcome{answer(1)}}})
		recorded <- err
	}()
	<-written
	read := make(chan *job.Job, 1)
	go func() { read <- must(s.Job(context.Background(), "", id)) }()
	select {
	case j := <-read:
		close(sync)
		t.Fatalf("a reader was told of %d outcomes before they were synced", j.CompletedCount)
	case <-time.After(20 * time.Millisecond): // it would need microseconds
	}
	close(sync)
	if j := <-read; j.CompletedCount != 1 {
		t.Errorf("afterwards it was told of %d", j.CompletedCount)
	}
	if err := <-recorded; err != nil {
		t.Error(err)
	}
}

type errPath struct{ error }

func (e *errPath) Unwrap() error { return e.error }

// TestMemoryOfSettledJobs: what is settled leaves nothing in memory.
func TestMemoryOfSettledJobs(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	id, lease := claimed(s, "a", 2)
	must(s.Record(t.Context(), []storage.Record{{ID: id, Outcomes: []*job.Outcome{answer(1), answer(2)}}}))
	if len(s.progress) != 1 {
		t.Fatalf("progress of %d jobs", len(s.progress))
	}
	must(s.Finish(t.Context(), lease.Term, id, job.Completed, "", now))
	must(s.Record(t.Context(), []storage.Record{{ID: id, Outcomes: []*job.Outcome{answer(1)}}}))
	if len(s.progress) != 0 {
		t.Fatalf("progress of %d jobs", len(s.progress))
	}
	_, stop := s.Watch(id)
	stop()
	if len(s.watches.channels) != 0 {
		t.Fatal("a watch that was stopped is kept")
	}
}

// TestExpiredKeysGo: idempotency keys do not pile up.
func TestExpiredKeysGo(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	at := now
	for i := range 200 {
		at = at.Add(time.Hour)
		j := &job.Job{ID: job.NewID(), Client: "a", CreatedAt: at}
		idem := &storage.Idempotency{Key: fmt.Sprint("key", i%150), Lifetime: 24 * time.Hour}
		if _, _, err := s.CreateJob(t.Context(), j, idem); err != nil {
			t.Fatal(err)
		}
	}
	err := s.view(t.Context(), func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketIdempotency, bucketExpiring} {
			if n := tx.Bucket(name).Stats().KeyN; n != 24 {
				t.Errorf("%s has %d keys", name, n)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestKeysSort: what is ordered by the bytes of a key is in the right order.
func TestKeysSort(t *testing.T) {
	t.Parallel()
	times := []time.Time{{}, time.Unix(-5, 0), time.Unix(0, 0), time.Unix(0, 1), now, now.Add(1), now.Add(time.Second)}
	for i := range times[1:] {
		if bytes.Compare(key{}.time(times[i]), key{}.time(times[i+1])) >= 0 {
			t.Errorf("%v does not sort before %v", times[i], times[i+1])
		}
	}
	if bytes.HasPrefix(key{}.text("ab").number(1), key{}.text("a")) {
		t.Error("a client's keys begin with another's")
	}
}

// TestIdle: calls that change nothing write nothing.
func TestIdle(t *testing.T) {
	t.Parallel()
	s := open(t, Options{})
	id, lease := claimed(s, "a", 2)
	must(s.Cancel(t.Context(), "", id, now))
	must(s.Settle(t.Context(), lease.Term, id, now))
	s.commit = func(*bbolt.Tx) error { panic("a commit") }
	must(s.Settle(t.Context(), lease.Term, id, now))
	must(s.Promote(t.Context()))
	must(s.Record(t.Context(), []storage.Record{{ID: id, Outcomes: []*job.Outcome{answer(1)}}}))
	must(0, s.Ping(t.Context()))
}
