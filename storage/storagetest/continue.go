package storagetest

import (
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// resume makes a job that continues another.
func (e *env) resume(client string, from job.ID) *job.Job {
	e.Helper()
	asked := e.ask(client)
	asked.ContinueFrom = from
	j, created, err := e.s().CreateJob(e.ctx, asked, nil)
	e.ok(err)
	if !created {
		e.Fatal("the job is not new")
	}
	return j
}

func continueJob(e *env) {
	source := e.complete(e.create("a").ID, e.unusable(e.file(9), 2))
	lease := e.holdAndClaim(source.ID)
	e.answer(source.ID, 3, result(1), failure(3), result(4))
	mixed := e.seal(lease, source.ID)
	e.answer(source.ID, 1, failure(5))
	e.seal(lease, source.ID)
	e.answer(source.ID, 2, failure(6), result(7))
	last := e.seal(lease, source.ID)
	e.cancel(source.ID)
	source = e.settle(lease, source.ID)

	got := e.resume("a", source.ID)
	bad := failure(2) // the line that cannot be used stays an error record
	want := job.Totals{
		ResultBytes: source.Totals.ResultBytes, ResultFullBytes: source.Totals.ResultFullBytes,
		ErrorBytes: bad.PublicLen(), ErrorFullBytes: bad.FullLen(),
	}
	if got.Status != job.Queued || got.ContinueFrom != source.ID || !got.Parsed || got.PromptCount != 10 || got.CompletedCount != 3 ||
		got.FailedCount != 1 || got.Prompts != source.Prompts || got.Totals != want || got.QueueSeq != 2 || got.PromptTokens != 0 ||
		got.SentThrough != 0 || !got.Term.IsZero() {
		e.Fatalf("the new job is %+v", got)
	}
	e.same(e.get(got.ID), got)
	e.same(e.get(source.ID), source) // nothing is taken from it
	parts, err := e.s().Parts(e.ctx, got.ID)
	e.ok(err)
	theirs, err := e.s().Parts(e.ctx, source.ID)
	e.ok(err)
	first, second := mixed.Part, last.Part
	for _, p := range []*storage.Part{&first, &second} {
		p.ResultsOnly, p.Outcomes = true, p.Results
		p.Totals.ErrorBytes, p.Totals.ErrorFullBytes = 0, 0
		p.Split.ErrorBytes, p.Split.ErrorFullBytes = 0, 0
	}
	first.FirstOffset, second.FirstOffset = 2, 4
	e.same(parts, []storage.Part{theirs[0], first, second})

	lease = e.hold()
	c := e.claim(lease, got.ID)
	e.same(c.Done.ToArray(), []uint32{1, 2, 4, 7})
	e.answer(got.ID, 0, result(4))
	e.answer(got.ID, 0, result(2))
	r := e.answer(got.ID, 2, result(3), failure(6))
	if r.Open.N != 1 || r.Open.FirstOffset != 5 || r.Open.ResultsBefore != 3 {
		e.Fatalf("the first answer went to %+v", r.Open)
	}
	e.seal(lease, got.ID)
}

// continueUnsealed: results that no part has are taken over too.
func continueUnsealed(e *env) {
	source, lease := e.processing("a", 6)
	e.answer(source.ID, 2, result(1), failure(2))
	e.seal(lease, source.ID)
	e.answer(source.ID, 3, failure(3), result(4), result(5))
	e.cancel(source.ID)
	source = e.settle(lease, source.ID)
	got := e.resume("a", source.ID)
	if got.CompletedCount != 3 || got.FailedCount != 0 || got.PromptTokens != 0 || got.Totals.ResultBytes != source.Totals.ResultBytes {
		e.Fatalf("the new job is %+v", got)
	}
	lease = e.hold()
	c := e.claim(lease, got.ID)
	e.same(c.Done.ToArray(), []uint32{1, 4, 5})
	if len(c.Segments) != 1 || c.Segments[0].FirstOffset != 2 || c.Segments[0].ResultsBefore != 1 {
		e.Fatalf("unsealed are %+v", c.Segments)
	}
	e.same(e.read(got.ID, c.Segments[0]), []job.Outcome{*result(4), *result(5)})
	e.answer(got.ID, 3, results(1, 6)...)
	e.seal(lease, got.ID)
	e.finish(lease, got.ID, job.Completed)
	segments, err := e.s().Segments(e.ctx, source.ID)
	e.ok(err)
	e.same(e.read(source.ID, segments[0]), []job.Outcome{*failure(3), *result(4), *result(5)})
}

func continueTwice(e *env) {
	source, lease := e.processing("a", 4)
	e.answer(source.ID, 2, result(1), failure(2))
	e.seal(lease, source.ID)
	e.finish(lease, source.ID, job.Failed)
	e.settle(lease, source.ID)
	one := e.resume("a", source.ID)
	two := e.resume("a", source.ID)
	if one.Status != job.Queued || two.Status != job.Pending {
		e.Fatalf("they are %s and %s", one.Status, two.Status)
	}
	lease = e.holdAndClaim(one.ID)
	e.answer(one.ID, 2, failure(2), result(3))
	e.seal(lease, one.ID)
	e.cancel(one.ID)
	e.settle(lease, one.ID)
	e.status(two.ID, job.Queued)
	three := e.resume("a", one.ID)
	lease = e.holdAndClaim(two.ID)
	e.answer(two.ID, 3, results(1, 4)...)
	e.finish(lease, two.ID, job.Completed)
	c := e.claim(e.hold(), three.ID)
	e.same(c.Done.ToArray(), []uint32{1, 3})
	e.settle(e.cancelled(three.ID), three.ID)
	four := e.resume("a", two.ID) // nothing is left to send: it begins all the same
	if four.Status != job.Queued || four.Open() != 0 {
		e.Fatalf("the job is %+v", four)
	}
	e.finish(e.holdAndClaim(four.ID), four.ID, job.Completed)
}

// cancelled cancels a job and takes it over.
func (e *env) cancelled(id job.ID) storage.Lease {
	e.Helper()
	e.cancel(id)
	return e.holdAndClaim(id)
}

func continueRefused(e *env) {
	try := func(client, provider string, from job.ID) error {
		asked := e.ask(client)
		asked.ContinueFrom, asked.Provider = from, provider
		_, _, err := e.s().CreateJob(e.ctx, asked, nil)
		if err != nil {
			_, missing := e.s().Job(e.ctx, "", asked.ID)
			e.is(missing, storage.ErrNotFound)
		}
		return err
	}
	j, lease := e.processing("a", 1)
	e.is(try("a", "openai", job.NewID()), storage.ErrNotFound)
	e.is(try("b", "openai", j.ID), storage.ErrNotFound)
	e.state(try("a", "openai", j.ID), job.Processing)
	e.cancel(j.ID)
	e.state(try("a", "openai", j.ID), job.Cancelled) // not settled
	e.settle(lease, j.ID)
	e.is(try("a", "mistral", j.ID), storage.ErrProviderDiffers)
	never := e.create("a")
	e.cancel(never.ID)
	e.state(try("a", "openai", never.ID), job.Cancelled) // settled, and without a file
	seq := e.create("a").Seq
	e.ok(try("a", "openai", j.ID))
	if seq != 3 { // refused jobs take no number
		e.Fatalf("the third job has Seq %d", seq)
	}
}
