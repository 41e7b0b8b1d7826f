package storagetest

import (
	"sync"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

func createJob(e *env) {
	asked := e.ask("a")
	given := *asked
	// What is not the caller's to say is passed over.
	given.Seq, given.Status, given.PromptCount, given.SettledAt = 77, job.Completed, 5, e.now
	kept, created, err := e.s().CreateJob(e.ctx, &given, nil)
	e.ok(err)
	want := *asked
	want.Seq, want.Status = 1, job.AwaitingUpload
	if !created {
		e.Fatal("a new job is not new")
	}
	e.same(kept, &want)
	e.same(e.get(kept.ID), &want)
	if second, other := e.create("a"), e.create("b"); second.Seq != 2 || other.Seq != 1 {
		e.Fatalf("Seq %d of the second job, %d of another client's first", second.Seq, other.Seq)
	}
	_, _, err = e.s().CreateJob(e.ctx, asked, nil)
	e.is(err, storage.ErrExists)
}

func jobOfAnother(e *env) {
	j := e.create("a")
	got, err := e.s().Job(e.ctx, "a", j.ID)
	e.ok(err)
	e.same(got, j)
	e.create("b")
	missing := job.NewID()
	for _, c := range []struct {
		client string
		id     job.ID
	}{{"b", j.ID}, {"a", missing}, {"", missing}, {"a", ""}, {"a", "no id"}} {
		_, err := e.s().Job(e.ctx, c.client, c.id)
		e.is(err, storage.ErrNotFound)
		if c.client != "" {
			_, err = e.s().Cancel(e.ctx, c.client, c.id, e.now)
			e.is(err, storage.ErrNotFound)
			_, err = e.s().ExtendUpload(e.ctx, c.client, c.id, e.now.Add(time.Hour))
			e.is(err, storage.ErrNotFound)
		}
	}
	_, err = e.s().CompleteUpload(e.ctx, missing, e.file(1), e.now)
	e.is(err, storage.ErrNotFound)
	_, err = e.s().Parts(e.ctx, missing)
	e.is(err, storage.ErrNotFound)
	_, err = e.s().Segments(e.ctx, missing)
	e.is(err, storage.ErrNotFound)
	e.same(e.get(j.ID), j)
}

func listJobs(e *env) {
	var all []*job.Job // newest first
	for range 5 {
		all = append([]*job.Job{e.create("a")}, all...)
		e.create("aa") // a client whose name begins with the other's
	}
	all[2] = e.cancel(all[2].ID)
	list := func(q storage.ListQuery, wantMore bool, want ...*job.Job) {
		e.Helper()
		got, more, err := e.s().ListJobs(e.ctx, q)
		e.ok(err)
		e.same(got, want)
		if more != wantMore {
			e.Fatalf("more is %t", more)
		}
	}
	list(storage.ListQuery{Client: "a", Limit: 10}, false, all...)
	list(storage.ListQuery{Client: "a", Limit: 5}, false, all...)
	list(storage.ListQuery{Client: "a", Limit: 2}, true, all[0], all[1])
	list(storage.ListQuery{Client: "a", Limit: 2, Before: all[1].Seq}, true, all[2], all[3])
	list(storage.ListQuery{Client: "a", Limit: 2, Before: all[3].Seq}, false, all[4])
	list(storage.ListQuery{Client: "a", Limit: 2, Before: 1}, false)
	list(storage.ListQuery{Client: "a", Limit: 2, Before: 1000}, true, all[0], all[1])
	list(storage.ListQuery{Client: "a", Limit: 2, Statuses: []job.Status{job.Cancelled, job.Queued}}, false, all[2])
	list(storage.ListQuery{Client: "a", Limit: 1, Statuses: []job.Status{job.AwaitingUpload}}, true, all[0])
	list(storage.ListQuery{Client: "nobody", Limit: 10}, false)
}

// listManyJobs finds one job behind more than any page can hold.
func listManyJobs(e *env) {
	const many = 560 // more than any store should read at once
	oldest := e.cancel(e.create("a").ID)
	for range many {
		e.create("a")
	}
	page, more, err := e.store.ListJobs(e.ctx, storage.ListQuery{Client: "a", Limit: 1, Statuses: []job.Status{job.Cancelled}})
	e.ok(err)
	e.same(page, []*job.Job{oldest})
	if more {
		e.Fatal("there are no more")
	}
	page, more, err = e.store.ListJobs(e.ctx, storage.ListQuery{Client: "a", Limit: many})
	e.ok(err)
	if len(page) != many || !more || page[0].Seq != many+1 || page[many-1].Seq != 2 {
		e.Fatalf("%d jobs, from Seq %d to %d, more: %t", len(page), page[0].Seq, page[len(page)-1].Seq, more)
	}
}

func copiesComeOut(e *env) {
	asked := e.ask("a")
	kept, _, err := e.s().CreateJob(e.ctx, asked, nil)
	e.ok(err)
	want := e.get(kept.ID)
	kept.Metadata["team"], asked.Metadata["team"] = "changed", "changed"
	got := e.get(kept.ID)
	e.same(got, want)
	got.Metadata["team"] = "changed"
	e.same(e.get(kept.ID), want)
}

func (e *env) idem(key, request string, j *job.Job) (*job.Job, bool, error) {
	idem := storage.Idempotency{Key: key, Lifetime: 24 * time.Hour}
	copy(idem.Request[:], request)
	return e.s().CreateJob(e.ctx, j, &idem)
}

func idempotency(e *env) {
	first, created, err := e.idem("key", "one", e.ask("a"))
	e.ok(err)
	if !created {
		e.Fatal("the first request made nothing")
	}
	again, created, err := e.idem("key", "one", e.ask("a"))
	e.ok(err)
	if created {
		e.Fatal("the same request made another job")
	}
	e.same(again, first)
	_, _, err = e.idem("key", "two", e.ask("a"))
	e.is(err, storage.ErrIdempotencyKeyReused)
	for _, c := range []struct{ client, key string }{{"b", "key"}, {"a", "key2"}} {
		_, created, err = e.idem(c.key, "one", e.ask(c.client))
		e.ok(err)
		if !created {
			e.Fatalf("%v found another's job", c)
		}
	}
	moved := e.complete(first.ID, e.file(2))
	again, _, err = e.idem("key", "one", e.ask("a"))
	e.ok(err)
	e.same(again, moved)
	// A refused request takes no key.
	refused := e.ask("a")
	refused.ContinueFrom = job.NewID()
	_, _, err = e.idem("other", "three", refused)
	e.is(err, storage.ErrNotFound)
	_, created, err = e.idem("other", "four", e.ask("a"))
	e.ok(err)
	if !created {
		e.Fatal("a refused request took the key")
	}
}

func idempotencyExpires(e *env) {
	first, _, err := e.idem("key", "one", e.ask("a"))
	e.ok(err)
	e.later(24*time.Hour - time.Second)
	again, created, err := e.idem("key", "one", e.ask("a"))
	e.ok(err)
	if created || again.ID != first.ID {
		e.Fatal("the key was forgotten too early")
	}
	e.later(time.Second)
	second, created, err := e.idem("key", "two", e.ask("a"))
	e.ok(err)
	if !created || second.ID == first.ID {
		e.Fatal("the key outlived its time")
	}
	again, created, err = e.idem("key", "two", e.ask("a"))
	e.ok(err)
	if created || again.ID != second.ID {
		e.Fatal("the new key was not kept")
	}
	// Many expired ones go, and the living one stays.
	for i := range 40 {
		e.later(time.Minute)
		_, _, err = e.idem(e.name("many"), "x", e.ask("b"))
		e.ok(err)
		if i == 20 {
			e.later(23 * time.Hour)
		}
	}
}

func idempotencySixteen(e *env) {
	e.clients["a"] = true
	var wg sync.WaitGroup
	ids, created := make([]job.ID, 16), make([]bool, 16)
	asked := make([]*job.Job, 16)
	for i := range asked {
		asked[i] = e.ask("a")
	}
	for i := range ids {
		wg.Go(func() {
			j, c, err := e.idem("key", "one", asked[i])
			if err != nil {
				e.Error(err)
				return
			}
			ids[i], created[i] = j.ID, c
		})
	}
	wg.Wait()
	n := 0
	for i := range ids {
		if ids[i] != ids[0] {
			e.Errorf("job %s and job %s came of one request", ids[i], ids[0])
		}
		if created[i] {
			n++
		}
	}
	if n != 1 {
		e.Errorf("%d of them made a job", n)
	}
}
