package storagetest

import (
	"slices"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// gone wants a job to be hidden from its client, and still there for the
// service.
func (e *env) gone(client string, id job.ID) {
	e.Helper()
	_, err := e.s().Job(e.ctx, client, id)
	e.is(err, storage.ErrNotFound)
	_, err = e.s().Cancel(e.ctx, client, id, e.now)
	e.is(err, storage.ErrNotFound)
	_, err = e.s().Delete(e.ctx, client, id, e.now)
	e.is(err, storage.ErrNotFound)
	page, _, err := e.s().ListJobs(e.ctx, storage.ListQuery{Client: client, Limit: 1000})
	e.ok(err)
	if slices.ContainsFunc(page, func(j *job.Job) bool { return j.ID == id }) {
		e.Fatal("a deleted job is listed")
	}
}

func (e *env) doomed() []storage.Doomed {
	e.Helper()
	d, err := e.s().Doomed(e.ctx, 100)
	e.ok(err)
	return d
}

func deleteJob(e *env) {
	first, lease := e.processing("a", 3)
	second := e.uploaded("a", 2)
	_, err := e.s().Delete(e.ctx, "b", first.ID, e.now)
	e.is(err, storage.ErrNotFound)
	e.answer(first.ID, 1, result(1))
	part := e.seal(lease, first.ID)
	e.answer(first.ID, 1, failure(2))

	got, err := e.s().Delete(e.ctx, "a", first.ID, e.later(time.Second))
	e.ok(err)
	if got.Status != job.Cancelled || got.Settled() || !got.Deleted {
		e.Fatalf("the deleted job is %+v", got)
	}
	e.gone("a", first.ID)
	if d := e.doomed(); len(d) != 0 {
		e.Fatalf("%v is doomed before it is settled", d)
	}
	e.state(e.s().Erase(e.ctx, first.ID), job.Cancelled)
	e.answer(first.ID, 1, result(3)) // in flight, and paid for

	e.settle(lease, first.ID)
	e.status(second.ID, job.Queued)
	d := e.doomed()
	if len(d) != 1 || d[0].ID != first.ID {
		e.Fatalf("doomed is %v", d)
	}
	slices.Sort(d[0].Files)
	want := []string{part.Name, first.Prompts.Name}
	slices.Sort(want)
	e.same(d[0].Files, want)

	e.ok(e.s().Erase(e.ctx, first.ID))
	e.is(e.s().Erase(e.ctx, first.ID), storage.ErrNotFound)
	_, err = e.s().Job(e.ctx, "", first.ID)
	e.is(err, storage.ErrNotFound)
	_, err = e.s().Parts(e.ctx, first.ID)
	e.is(err, storage.ErrNotFound)
	names, err := e.s().FileNames(e.ctx)
	e.ok(err)
	e.same(names, map[string]bool{second.Prompts.Name: true})
	if d := e.doomed(); len(d) != 0 {
		e.Fatalf("%v is doomed after it was erased", d)
	}
}

// deleteForgetsIdempotency: a request whose job was deleted makes a new one.
func deleteForgetsIdempotency(e *env) {
	first, _, err := e.idem("k", "r", e.ask("a"))
	e.ok(err)
	_, err = e.s().Delete(e.ctx, "a", first.ID, e.now)
	e.ok(err)
	second, created, err := e.idem("k", "r", e.ask("a"))
	e.ok(err)
	if !created || second.ID == first.ID {
		e.Fatal("the deleted job came back")
	}
}

func deleteEveryState(e *env) {
	awaiting := e.create("a")
	queued, pending := e.uploaded("a", 1), e.uploaded("a", 1)
	e.status(pending.ID, job.Pending)
	for _, id := range []job.ID{pending.ID, queued.ID, awaiting.ID} {
		got, err := e.s().Delete(e.ctx, "a", id, e.now)
		e.ok(err)
		if got.Status != job.Cancelled || !got.Settled() {
			e.Fatalf("the deleted job is %+v", got)
		}
		e.gone("a", id)
	}
	if d := e.doomed(); len(d) != 3 {
		e.Fatalf("doomed is %v", d)
	}
	final, lease := e.processing("b", 1)
	e.answer(final.ID, 1, result(1))
	e.finish(lease, final.ID, job.Completed)
	got, err := e.s().Delete(e.ctx, "b", final.ID, e.now)
	e.ok(err)
	if got.Status != job.Completed {
		e.Fatalf("a deleted final job is %s", got.Status)
	}
	e.gone("b", final.ID)
}

// deleteShared: a file goes with the last job that needs it.
func deleteShared(e *env) {
	source, lease := e.processing("a", 2)
	e.answer(source.ID, 1, result(1))
	part := e.seal(lease, source.ID)
	e.cancel(source.ID)
	e.settle(lease, source.ID)
	next := e.resume("a", source.ID)

	_, err := e.s().Delete(e.ctx, "a", source.ID, e.now)
	e.ok(err)
	_, _, err = e.s().CreateJob(e.ctx, func() *job.Job { j := e.ask("a"); j.ContinueFrom = source.ID; return j }(), nil)
	e.is(err, storage.ErrNotFound)
	d := e.doomed()
	if len(d) != 1 || len(d[0].Files) != 0 {
		e.Fatalf("doomed is %v, though another job has its files", d)
	}
	e.ok(e.s().Erase(e.ctx, source.ID))
	parts, err := e.s().Parts(e.ctx, next.ID)
	e.ok(err)
	if len(parts) != 1 || parts[0].Name != part.Name {
		e.Fatalf("the job that continues has %v", parts)
	}
	_, err = e.s().Delete(e.ctx, "a", next.ID, e.now)
	e.ok(err)
	d = e.doomed()
	if len(d) != 1 || len(d[0].Files) != 2 {
		e.Fatalf("doomed is %v", d)
	}
	e.ok(e.s().Erase(e.ctx, next.ID))
	names, err := e.s().FileNames(e.ctx)
	e.ok(err)
	e.same(names, map[string]bool{})
}

func expireJobs(e *env) {
	old := e.create("a")
	e.cancel(old.ID)
	e.later(time.Hour)
	edge := e.now
	young := e.create("a")
	e.cancel(young.ID)
	open := e.create("a")
	for range 2 {
		n, err := e.s().ExpireJobs(e.ctx, edge)
		e.ok(err)
		if _, err := e.s().Job(e.ctx, "a", young.ID); err != nil {
			e.Fatalf("a job that was settled later is gone: %v", err)
		}
		e.status(open.ID, job.AwaitingUpload)
		e.gone("a", old.ID)
		e.same(len(e.doomed()), 1)
		if n > 1 {
			e.Fatalf("%d jobs expired", n)
		}
	}
}

func usage(e *env) {
	want := func(u storage.Usage) {
		e.Helper()
		got, err := e.s().Usage(e.ctx, "a")
		e.ok(err)
		e.same(got, u)
	}
	want(storage.Usage{})
	j, lease := e.processing("a", 2)
	want(storage.Usage{Jobs: 1, Open: 1, Bytes: j.Prompts.Bytes})
	e.answer(j.ID, 2, result(1), result(2))
	part := e.seal(lease, j.ID)
	e.create("b")
	want(storage.Usage{Jobs: 1, Open: 1, Bytes: j.Prompts.Bytes + part.Bytes})
	e.finish(lease, j.ID, job.Completed)
	want(storage.Usage{Jobs: 1, Bytes: j.Prompts.Bytes + part.Bytes})
	_, err := e.s().Delete(e.ctx, "a", j.ID, e.now)
	e.ok(err)
	want(storage.Usage{})
	e.ok(e.s().Erase(e.ctx, j.ID))
	want(storage.Usage{})
}
