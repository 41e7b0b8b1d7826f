package storagetest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// forgetClient: of a client nothing is left, and of another everything.
func forgetClient(e *env) {
	e.ok(e.s().ForgetClient(e.ctx, "nobody"))
	idem := &storage.Idempotency{Key: "k", Request: [32]byte{1}, Lifetime: time.Hour}
	made := map[string]*job.Job{}
	for _, client := range []string{"a", "b"} {
		e.ok(e.s().CreateKey(e.ctx, storage.Key{ID: "key-" + client, Client: client, CreatedAt: e.now}))
		e.ok(e.s().SetQuota(e.ctx, client, storage.Quota{OpenJobs: new(9)}))
		j, _, err := e.s().CreateJob(e.ctx, e.ask(client), idem)
		e.ok(err)
		made[client] = j
	}
	e.is(e.s().ForgetClient(e.ctx, "a"), storage.ErrExists) // its job
	_, err := e.s().Delete(e.ctx, "a", made["a"].ID, e.now)
	e.ok(err)
	e.is(e.s().ForgetClient(e.ctx, "a"), storage.ErrExists) // its key
	_, err = e.s().Quota(e.ctx, "a")
	e.ok(err)
	e.ok(e.s().RevokeKey(e.ctx, "key-a", e.now))
	e.ok(e.s().ForgetClient(e.ctx, "a"))

	_, err = e.s().Quota(e.ctx, "a")
	e.is(err, storage.ErrNotFound)
	_, err = e.s().Key(e.ctx, "key-a")
	e.is(err, storage.ErrNotFound)
	list, err := e.s().ListKeys(e.ctx)
	e.ok(err)
	if len(list) != 1 || list[0].ID != "key-b" {
		e.Fatalf("the keys are %+v", list)
	}
	// The deleted job is not erased yet, and a request with its key would find it.
	repeated, err := e.s().Repeated(e.ctx, "a", idem, e.now)
	e.ok(err)
	if repeated {
		e.Fatal("the Idempotency-Key is still known")
	}
	e.ok(e.s().Erase(e.ctx, made["a"].ID))

	// Its counters are gone with its last job: it begins anew.
	j, created, err := e.s().CreateJob(e.ctx, e.ask("a"), idem)
	e.ok(err)
	if !created || j.Seq != 1 {
		e.Fatalf("a new job of that name is %+v", j)
	}
	b, created, err := e.s().CreateJob(e.ctx, e.ask("b"), idem)
	e.ok(err)
	if created || b.ID != made["b"].ID {
		e.Fatal("another client's Idempotency-Key is forgotten")
	}
	if q, err := e.s().Quota(e.ctx, "b"); err != nil || *q.OpenJobs != 9 {
		e.Fatalf("another client's quota: %+v, %v", q, err)
	}
	if has, err := e.s().HasKey(e.ctx, "b"); err != nil || !has {
		e.Fatalf("another client's key: %t, %v", has, err)
	}
	if c := e.create("b"); c.Seq != 2 {
		e.Fatalf("another client's second job is its %d", c.Seq)
	}
}

// jobIsAsCommitted: whoever reads a job while it changes never sees less than
// what was committed, or listed, before.
func jobIsAsCommitted(e *env) {
	const prompts = 300
	j, lease := e.processing("a", prompts)
	var committed atomic.Int64
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for committed.Load() < prompts {
				least := committed.Load()
				page, _, err := e.store.ListJobs(e.ctx, storage.ListQuery{Client: "a", Limit: 1})
				if err != nil || len(page) != 1 {
					e.Errorf("the list is %v, %v", page, err)
					return
				}
				least = max(least, page[0].CompletedCount)
				got, err := e.store.Job(e.ctx, "a", j.ID)
				if err != nil || got.CompletedCount < least {
					e.Errorf("a reader was given %+v, %v after %d", got, err, least)
					return
				}
				got.CompletedCount, got.Metadata["team"] = -1, "of a reader" // copies come out
			}
		})
	}
	for line := int64(1); line <= prompts; line++ {
		e.answer(j.ID, 1, result(line))
		committed.Store(line)
	}
	readers.Wait()
	e.finish(lease, j.ID, job.Completed)
	got := e.get(j.ID)
	if got.Status != job.Completed || got.CompletedCount != prompts || got.Metadata["team"] != "a" {
		e.Fatalf("in the end it is %+v", got)
	}
}
