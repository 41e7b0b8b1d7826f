package storagetest

import (
	"sync"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

func record(e *env) {
	j, _ := e.processing("a", 5)
	pace := job.Pace{
		CurrentRPM: 59.5, LearnedRPM: 600, LearnedTPM: 1e6, LearnedConcurrency: 7, BoundBy: "hold", EstimatedCompletionAt: e.now.Add(time.Hour),
		EstimatedEarliest: e.now.Add(50 * time.Minute), EstimatedLatest: e.now.Add(2 * time.Hour),
		HoldReason: "The provider is down.", HeldSince: e.now, HeldUntil: e.now.Add(time.Minute),
	}
	outcomes := []*job.Outcome{result(3), failure(1), result(5)}
	got, err := e.s().Record(e.ctx, []storage.Record{
		{ID: j.ID, Outcomes: outcomes, SentThrough: 5, Requests: 7, GivenUp: 2, Pace: &pace},
	})
	e.ok(err)
	want := *j
	want.CompletedCount, want.FailedCount, want.SentThrough, want.RequestsSent, want.PossiblyRepaid = 2, 1, 5, 7, 2
	want.PromptTokens, want.CompletionTokens, want.Pace = 20, 40, pace
	segment := storage.Segment{N: 1, Range: storage.Range{FirstOffset: 1}}
	for _, o := range outcomes {
		want.Totals.Add(o)
		segment.Add(o)
		segment.Bytes += int64(len(o.AppendBinary(nil)))
	}
	e.same(got, []storage.Recorded{{Job: &want, Accepted: 3, Open: segment}})
	e.same(e.get(j.ID), &want)
	segments, err := e.s().Segments(e.ctx, j.ID)
	e.ok(err)
	e.same(segments, []storage.Segment{segment})
	e.same(e.read(j.ID, segment), []job.Outcome{*outcomes[0], *outcomes[1], *outcomes[2]})

	// SentThrough never falls, requests add up, a pace that is left out stays.
	e.ok(recordErr(e, storage.Record{ID: j.ID, SentThrough: 4, Requests: 1, GivenUp: 1}))
	want.RequestsSent, want.PossiblyRepaid = 8, 3
	e.same(e.get(j.ID), &want)
	e.ok(recordErr(e, storage.Record{ID: j.ID, Pace: &job.Pace{}}))
	want.Pace = job.Pace{}
	e.same(e.get(j.ID), &want)
	e.ok(recordErr(e, storage.Record{ID: j.ID}))
	e.same(e.get(j.ID), &want)
	none, err := e.s().Record(e.ctx, nil)
	e.ok(err)
	e.same(none, []storage.Recorded{})
}

// recordAgain: a record whose acknowledgement was lost comes again, and what it
// cost is counted once, also over a restart.
func recordAgain(e *env) {
	j, _ := e.processing("a", 5)
	first := storage.Record{ID: j.ID, Batch: 1 << 63, Outcomes: []*job.Outcome{result(1)}, Requests: 3, GivenUp: 1}
	e.ok(recordErr(e, first))
	want := e.get(j.ID)
	e.ok(recordErr(e, first))
	e.same(e.get(j.ID), want)

	second := storage.Record{ID: j.ID, Batch: 7, Requests: 3, GivenUp: 1}
	e.ok(recordErr(e, second))
	e.ok(recordErr(e, storage.Record{ID: j.ID, Batch: 8, SentThrough: 3})) // it costs nothing
	e.ok(recordErr(e, second))
	want.RequestsSent, want.PossiblyRepaid, want.SentThrough = 6, 2, 3
	e.same(e.get(j.ID), want)

	for range 2 { // without a name each is another
		e.ok(recordErr(e, storage.Record{ID: j.ID, Requests: 1}))
	}
	want.RequestsSent = 8
	e.same(e.get(j.ID), want)
}

// recordTwice: the first answer of a line wins, in one call, in two, and after
// a seal.
func recordTwice(e *env) {
	j, lease := e.processing("a", 5)
	first, second := result(1), result(1)
	second.Public = []byte(`{"prompt_id":1,"result":"too late"}`)
	e.answer(j.ID, 2, first, result(2), second, failure(2))
	e.answer(j.ID, 0, second, failure(1))
	got, err := e.s().Record(e.ctx, []storage.Record{
		{ID: j.ID, Outcomes: []*job.Outcome{result(3)}},
		{ID: j.ID, Outcomes: []*job.Outcome{failure(3), result(4)}},
	})
	e.ok(err)
	if got[0].Accepted != 1 || got[1].Accepted != 1 || got[0].Job.CompletedCount != 3 || got[1].Job.CompletedCount != 4 {
		e.Fatalf("recorded %+v", got)
	}
	e.seal(lease, j.ID)
	e.answer(j.ID, 0, second, failure(4))
	e.answer(j.ID, 1, failure(4), result(5))
	want := e.get(j.ID)
	if want.CompletedCount != 5 || want.FailedCount != 0 || want.PromptTokens != 50 {
		e.Fatalf("the job is %+v", want)
	}
}

// recordLate: what was in flight counts until the job is settled, and never
// after. (A late answer once changed a cancelled job whose counts had been
// given out.)
func recordLate(e *env) {
	j, lease := e.processing("a", 5)
	e.cancel(j.ID)
	r := e.answer(j.ID, 2, result(1), failure(2))
	if r.Job.Status != job.Cancelled || r.Job.CompletedCount != 1 || r.Job.FailedCount != 1 {
		e.Fatalf("the job is %+v", r.Job)
	}
	settled := e.settle(lease, j.ID)
	r = e.answer(j.ID, 0, result(3))
	e.same(r.Job, settled)
	e.ok(recordErr(e, storage.Record{ID: j.ID, SentThrough: 5, Requests: 5, GivenUp: 5, Pace: &job.Pace{BoundBy: "cap"}}))
	e.same(e.get(j.ID), settled)
}

func recordBeforeUpload(e *env) {
	j := e.create("a")
	e.answer(j.ID, 0, result(1))
	e.same(e.get(j.ID), j)
	e.complete(j.ID, e.file(1))
	e.answer(j.ID, 1, result(1))
}

func recordManyJobs(e *env) {
	a, lease := e.processing("a", 2)
	b := e.claim(lease, e.uploaded("b", 2).ID).Job
	got, err := e.s().Record(e.ctx, []storage.Record{
		{ID: a.ID, Outcomes: results(1, 2)},
		{ID: job.NewID(), Outcomes: results(1, 2)},
		{ID: b.ID, Outcomes: results(2, 2)},
	})
	e.ok(err)
	e.is(got[1].Err, storage.ErrNotFound)
	if got[1].Job != nil || got[0].Accepted != 2 || got[2].Accepted != 1 || got[0].Job.ID != a.ID || got[2].Job.ID != b.ID {
		e.Fatalf("recorded %+v", got)
	}
}

func recordNeverBeyondTheFile(e *env) {
	j, _ := e.processing("a", 2)
	e.answer(j.ID, 2, result(1), result(3), result(4)) // line 2 was blank, and there is no line 4
	if got := e.get(j.ID); got.Open() != 0 {
		e.Fatalf("the job is %+v", got)
	}
}

// recordUnreadable: what could never be read again is refused by itself.
func recordUnreadable(e *env) {
	a, lease := e.processing("a", 3)
	b := e.claim(lease, e.uploaded("b", 3).ID).Job
	bad := result(2)
	bad.Public = nil
	for _, o := range []*job.Outcome{bad, result(0), result(-1), result(1 << 33)} {
		before := e.get(a.ID)
		got, err := e.s().Record(e.ctx, []storage.Record{
			{ID: a.ID, Outcomes: []*job.Outcome{result(1), o}},
			{ID: b.ID, Outcomes: []*job.Outcome{result(1)}},
		})
		e.ok(err)
		if got[0].Err == nil || got[0].Job != nil || got[1].Err != nil {
			e.Fatalf("recorded %+v", got)
		}
		e.same(e.get(a.ID), before)
	}
}

func recordConcurrently(e *env) {
	const lines, workers = 400, 8
	a, lease := e.processing("a", lines)
	b := e.claim(lease, e.uploaded("b", lines).ID).Job
	var wg sync.WaitGroup
	var mu sync.Mutex
	accepted := 0
	for w := range workers { // all of them bring every line
		wg.Go(func() {
			for at := int64(0); at < lines; at += 20 {
				first := (at+int64(w)*100)%lines + 1
				got, err := e.store.Record(e.ctx, []storage.Record{
					{ID: a.ID, Outcomes: results(first, first+19)}, {ID: b.ID, Outcomes: results(first, first+19)},
				})
				if err != nil {
					e.Error(err)
					return
				}
				mu.Lock()
				accepted += got[0].Accepted + got[1].Accepted
				mu.Unlock()
			}
		})
	}
	wg.Go(func() { // while it is sealed
		for range 10 {
			segment, err := e.store.Freeze(e.ctx, lease.Term, a.ID)
			if err != nil {
				continue // nothing is unsealed yet
			}
			part := e.part(segment.Range, e.read(a.ID, segment))
			if err := e.store.Seal(e.ctx, lease.Term, a.ID, segment.N, part); err != nil {
				e.Error(err)
			}
		}
	})
	wg.Wait()
	if accepted != 2*lines {
		e.Fatalf("accepted %d outcomes of %d lines", accepted, 2*lines)
	}
	e.finish(lease, a.ID, job.Completed)
	e.finish(lease, b.ID, job.Completed)
}
