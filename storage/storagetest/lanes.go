package storagetest

import (
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

func lanes(e *env) {
	first := e.hold()
	if first.Lane != lane || first.Term.IsZero() || first.Learned != nil {
		e.Fatalf("the first lease is %+v", first)
	}
	e.ok(e.s().SaveLane(e.ctx, first, []byte("600 rpm")))
	e.ok(e.s().SaveLane(e.ctx, first, []byte("900 rpm")))
	second := e.hold()
	if second.Term == first.Term || string(second.Learned) != "900 rpm" {
		e.Fatalf("the second lease is %+v", second)
	}
	e.is(e.s().SaveLane(e.ctx, first, []byte("x")), storage.ErrTerm)
	e.is(e.s().ReleaseLane(e.ctx, first), storage.ErrTerm)
	other, err := e.s().HoldLane(e.ctx, job.Lane{Provider: "openai", Group: "default", Model: "gpt-y"}, "test")
	e.ok(err)
	if other.Learned != nil {
		e.Fatal("one lane knows what another learned")
	}
	e.ok(e.s().ReleaseLane(e.ctx, second))
	e.is(e.s().SaveLane(e.ctx, second, []byte("x")), storage.ErrTerm)
	e.is(e.s().ReleaseLane(e.ctx, second), storage.ErrTerm)
	if third := e.hold(); string(third.Learned) != "900 rpm" {
		e.Fatalf("the third lease is %+v", third)
	}
	e.is(e.s().SaveLane(e.ctx, storage.Lease{Lane: job.Lane{Provider: "x"}, Term: job.NewTerm()}, nil), storage.ErrNotFound)
	e.ok(e.s().SaveLane(e.ctx, other, nil))
}

// terms: an old holder decides nothing, and changes nothing by trying.
func terms(e *env) {
	j, old := e.processing("a", 3)
	e.answer(j.ID, 2, result(1), failure(2))
	segment, err := e.s().Freeze(e.ctx, old.Term, j.ID)
	e.ok(err)
	part := e.part(segment.Range, e.read(j.ID, segment))

	refused := func(term job.Term, id job.ID) {
		e.Helper()
		before := e.get(id)
		_, err := e.s().Finish(e.ctx, term, id, job.Failed, "Why.", e.now)
		e.is(err, storage.ErrTerm)
		_, err = e.s().Settle(e.ctx, term, id, e.now)
		e.is(err, storage.ErrTerm)
		_, err = e.s().Freeze(e.ctx, term, id)
		e.is(err, storage.ErrTerm)
		e.is(e.s().Acknowledge(e.ctx, term, id), storage.ErrTerm)
		e.is(e.s().Release(e.ctx, term, id), storage.ErrTerm)
		e.is(e.s().Seal(e.ctx, term, id, 1, part), storage.ErrTerm)
		e.same(e.get(id), before)
	}
	refused(job.NewTerm(), j.ID)
	refused(job.Term{}, j.ID)
	refused(job.Term{}, e.uploaded("b", 1).ID) // nobody's job is not the zero term's
	young := e.hold()
	refused(old.Term, j.ID)   // the lane has another holder, though the job does not know it yet
	refused(young.Term, j.ID) // the new one has not claimed it yet
	_, err = e.s().Claim(e.ctx, old, j.ID, e.now)
	e.is(err, storage.ErrTerm)
	e.claim(young, j.ID)
	refused(old.Term, j.ID)
	e.answer(j.ID, 1, result(3)) // but an answer is taken from anybody
	e.ok(e.s().Seal(e.ctx, young.Term, j.ID, segment.N, part))
	e.cancel(j.ID)
	refused(old.Term, j.ID)
	e.settle(young, j.ID)

	missing := job.NewID()
	_, err = e.s().Finish(e.ctx, young.Term, missing, job.Failed, "", e.now)
	e.is(err, storage.ErrNotFound)
	_, err = e.s().Settle(e.ctx, young.Term, missing, e.now)
	e.is(err, storage.ErrNotFound)
	_, err = e.s().Freeze(e.ctx, young.Term, missing)
	e.is(err, storage.ErrNotFound)
	_, err = e.s().Claim(e.ctx, young, missing, e.now)
	e.is(err, storage.ErrNotFound)
	e.is(e.s().Acknowledge(e.ctx, young.Term, missing), storage.ErrNotFound)
	e.is(e.s().Release(e.ctx, young.Term, missing), storage.ErrNotFound)
}

func claim(e *env) {
	queued, pending, await := e.uploaded("a", 3), e.uploaded("a", 3), e.create("a")
	lease := e.hold()
	c := e.claim(lease, queued.ID)
	want := *queued
	want.Status, want.Lane, want.Term, want.StartedAt = job.Processing, lane, lease.Term, e.now
	e.same(c.Job, &want)
	e.same(e.get(queued.ID), &want)
	if !c.Done.IsEmpty() || len(c.Segments) != 0 {
		e.Fatalf("the claim is %+v", c)
	}
	for _, id := range []job.ID{pending.ID, await.ID} {
		_, err := e.s().Claim(e.ctx, lease, id, e.now)
		e.is(err, storage.ErrNotFound)
	}
	e.cancel(queued.ID)
	e.same(e.claim(e.hold(), queued.ID).Job.Status, job.Cancelled) // not settled: it needs a holder
	e.settle(e.holdAndClaim(queued.ID), queued.ID)
	lease = e.hold()
	_, err := e.s().Claim(e.ctx, lease, queued.ID, e.now)
	e.is(err, storage.ErrNotFound)
	_, err = e.s().Claim(e.ctx, storage.Lease{Lane: lane, Term: job.NewTerm()}, pending.ID, e.now)
	e.is(err, storage.ErrTerm)
}

func (e *env) holdAndClaim(id job.ID) storage.Lease {
	e.Helper()
	lease := e.hold()
	e.claim(lease, id)
	return lease
}

// claimAgain: whoever takes over finds everything that was recorded.
func claimAgain(e *env) {
	j, lease := e.processing("a", 10)
	started := e.now
	e.ok(recordErr(e, storage.Record{ID: j.ID, Outcomes: results(1, 3), SentThrough: 8, Requests: 9}))
	e.seal(lease, j.ID)
	e.answer(j.ID, 2, result(5), failure(7))
	e.later(time.Minute)
	c := e.claim(e.hold(), j.ID)
	e.same(c.Done.ToArray(), []uint32{1, 2, 3, 5, 7})
	if c.Job.Released || c.Job.SentThrough != 8 || !c.Job.StartedAt.Equal(started) || c.Job.Status != job.Processing || c.Job.RequestsSent != 9 {
		e.Fatalf("the claimed job is %+v", c.Job)
	}
	segments, err := e.s().Segments(e.ctx, j.ID)
	e.ok(err)
	e.same(c.Segments, segments)
	if len(segments) != 1 || segments[0].Outcomes != 2 || segments[0].FirstOffset != 4 || segments[0].ResultsBefore != 3 || segments[0].N != 2 {
		e.Fatalf("unsealed are %+v", segments)
	}
	c.Done.Add(9) // the caller's own
	e.answer(j.ID, 1, result(9))
}

func release(e *env) {
	j, lease := e.processing("a", 3)
	e.ok(recordErr(e, storage.Record{ID: j.ID, SentThrough: 2}))
	e.ok(e.s().Release(e.ctx, lease.Term, j.ID))
	e.ok(e.s().Release(e.ctx, lease.Term, j.ID))
	if got := e.get(j.ID); !got.Released || got.Status != job.Processing {
		e.Fatalf("the released job is %+v", got)
	}
	work, err := e.s().Work(e.ctx)
	e.ok(err)
	if len(work) != 1 {
		e.Fatalf("%d jobs want a holder", len(work))
	}
	e.ok(e.s().ReleaseLane(e.ctx, lease))
	lease = e.hold()
	if c := e.claim(lease, j.ID); !c.Job.Released {
		e.Fatal("the new holder does not know that nothing was in flight")
	}
	if e.get(j.ID).Released {
		e.Fatal("a claimed job is still released")
	}
	if c := e.claim(e.hold(), j.ID); c.Job.Released {
		e.Fatal("the holder before released nothing")
	}
}
