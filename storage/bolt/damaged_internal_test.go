package bolt

import (
	"errors"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// harm changes the store behind its back.
func harm(t *testing.T, s *Store, do func(tx *bbolt.Tx) error) {
	t.Helper()
	if err := s.db.Update(do); err != nil {
		t.Fatal(err)
	}
	clear(s.progress)
}

// garble makes a value of a bucket unreadable.
func garble(bucket, key []byte) func(tx *bbolt.Tx) error {
	return func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(key, []byte("{")) }
}

// TestDamagedJobStopsNoOther: what cannot be read of one job is that job's own
// affair: the group commit, the work, the queue and the sweeps go on for all
// others, and it is named.
func TestDamagedJobStopsNoOther(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		harm func(id job.ID) func(tx *bbolt.Tx) error
		work bool // the job can still be listed and claimed
	}{
		"record":       {func(id job.ID) func(tx *bbolt.Tx) error { return garble(bucketJobs, []byte(id)) }, false},
		"sealed lines": {func(id job.ID) func(tx *bbolt.Tx) error { return garble(bucketDone, []byte(id)) }, true},
		"outcome": {func(id job.ID) func(tx *bbolt.Tx) error {
			return func(tx *bbolt.Tx) error {
				return tx.Bucket(bucketOutcomes).Bucket(segmentKey(id, 1)).Put(offsetKey(1), []byte("?"))
			}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			s := open(t, Options{})
			bad, lease := claimed(s, "a", 10)
			waiting := uploaded(s, "a", 10)
			good, _ := claimed(s, "b", 10)
			must(s.Record(ctx, []storage.Record{{ID: bad, Outcomes: []*job.Outcome{answer(1)}}}))
			harm(t, s, c.harm(bad))
			got, err := s.Record(ctx, []storage.Record{
				{ID: bad, Outcomes: []*job.Outcome{answer(2)}},
				{ID: good, Outcomes: []*job.Outcome{answer(1), answer(2)}},
			})
			var damaged *storage.DamagedJobError
			if err != nil || !errors.As(got[0].Err, &damaged) || damaged.ID != bad || got[1].Err != nil || got[1].Accepted != 2 {
				t.Fatalf("Record: %+v, %v", got, err)
			}
			work, err := s.Work(ctx)
			if listed := len(work) == 2; listed != c.work || storage.Damaged(err) == c.work {
				t.Fatalf("Work lists %d jobs, %v", len(work), err)
			}
			if !c.work {
				if n := must(s.Promote(ctx)); n != 1 || must(s.Job(ctx, "", waiting)).Status != job.Queued {
					t.Errorf("%d were promoted; the next job of the client waits behind one that never ends", n)
				}
				return
			}
			lease = must(s.HoldLane(ctx, lease.Lane, "test"))
			claim := must(s.Claim(ctx, lease, bad, now))
			if claim.Done != nil || !storage.Damaged(claim.Damaged) {
				t.Fatalf("Claim: %+v", claim)
			}
			must(s.Finish(ctx, lease.Term, bad, job.Failed, "damaged", now))
			if j := must(s.Settle(ctx, lease.Term, bad, now)); j.CompletedCount != 1 {
				t.Errorf("%d results are counted", j.CompletedCount)
			}
		})
	}
}

// TestDamagedJobStopsNoSweep: retention and erasing go past what cannot be read.
func TestDamagedJobStopsNoSweep(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := open(t, Options{})
	end := func() job.ID {
		id := uploaded(s, "a", 1)
		must(s.Cancel(ctx, "a", id, now))
		return id
	}
	old, bad, young := end(), end(), end()
	harm(t, s, garble(bucketJobs, []byte(bad)))
	if n, err := s.ExpireJobs(ctx, now.Add(1)); n != 2 || err != nil {
		t.Fatalf("ExpireJobs: %d, %v", n, err)
	}
	harm(t, s, func(tx *bbolt.Tx) error { return tx.Bucket(bucketDoomed).Put([]byte(bad), []byte(bad)) })
	doomed := must(s.Doomed(ctx, 10))
	if len(doomed) != 2 {
		t.Fatalf("Doomed: %+v", doomed)
	}
	for _, id := range []job.ID{old, young} {
		if err := s.Erase(ctx, id); err != nil {
			t.Error(err)
		}
	}
}
