package storagetest

import (
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

func quotas(e *env) {
	none := func(client string) {
		e.Helper()
		_, err := e.s().Quota(e.ctx, client)
		e.is(err, storage.ErrNotFound)
	}
	want := func(client string, q storage.Quota) {
		e.Helper()
		got, err := e.s().Quota(e.ctx, client)
		e.ok(err)
		e.same(got, q)
	}
	none("a")
	e.ok(e.s().ClearQuota(e.ctx, "a"))
	all := storage.Quota{RequestsPerSecond: new(2.5), OpenJobs: new(1), Uploads: new(2), Streams: new(0), Bytes: new(int64(1) << 50)}
	e.ok(e.s().SetQuota(e.ctx, "a", all))
	want("a", all)
	none("b")
	none("")
	some := storage.Quota{Streams: new(7)}
	e.ok(e.s().SetQuota(e.ctx, "b", all))
	e.ok(e.s().SetQuota(e.ctx, "a", some))
	want("a", some)
	e.ok(e.s().ClearQuota(e.ctx, "a"))
	none("a")
	want("b", all)
	e.ok(e.s().SetQuota(e.ctx, "b", storage.Quota{}))
	want("b", storage.Quota{})
}

func repeated(e *env) {
	idem := &storage.Idempotency{Key: "k", Request: [32]byte{1}, Lifetime: time.Hour}
	is := func(client string, idem *storage.Idempotency, at time.Time, want bool) {
		e.Helper()
		got, err := e.s().Repeated(e.ctx, client, idem, at)
		e.ok(err)
		if got != want {
			e.Fatalf("repeated is %t, want %t", got, want)
		}
	}
	is("a", idem, e.now, false)
	j := e.ask("a")
	_, created, err := e.s().CreateJob(e.ctx, j, idem)
	e.ok(err)
	if !created {
		e.Fatal("no job was made")
	}
	is("a", idem, j.CreatedAt, true)
	is("b", idem, j.CreatedAt, false)
	// CreateJob refuses it, and makes no job either.
	is("a", &storage.Idempotency{Key: "k", Request: [32]byte{2}, Lifetime: time.Hour}, j.CreatedAt, true)
	is("a", &storage.Idempotency{Key: "l", Request: [32]byte{1}, Lifetime: time.Hour}, j.CreatedAt, false)
	is("a", idem, j.CreatedAt.Add(time.Hour), false)
	_, err = e.s().Delete(e.ctx, "a", j.ID, e.now)
	e.ok(err)
	is("a", idem, j.CreatedAt, true)
	doomed, err := e.s().Doomed(e.ctx, 1)
	e.ok(err)
	e.same(doomed, []storage.Doomed{{ID: job.ID(j.ID)}})
	e.ok(e.s().Erase(e.ctx, j.ID))
	is("a", idem, j.CreatedAt, false)
}
