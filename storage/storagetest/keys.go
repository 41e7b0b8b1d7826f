package storagetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

func keys(e *env) {
	has := func(client string, want bool) {
		e.Helper()
		got, err := e.s().HasKey(e.ctx, client)
		e.ok(err)
		if got != want {
			e.Fatalf("%s has a key: %t, want %t", client, got, want)
		}
	}
	has("a", false)
	second := storage.Key{ID: "k1", Client: "a", SHA256: sha256.Sum256([]byte("one")), CreatedAt: e.now.Add(time.Hour)}
	first := storage.Key{ID: "k2", Client: "a", SHA256: sha256.Sum256([]byte("two")), CreatedAt: e.now}
	e.ok(e.s().CreateKey(e.ctx, second))
	e.ok(e.s().CreateKey(e.ctx, first))
	e.is(e.s().CreateKey(e.ctx, storage.Key{ID: "k1", Client: "b"}), storage.ErrExists)
	has("a", true)
	has("b", false)
	has("", false)

	got, err := e.s().Key(e.ctx, "k1")
	e.ok(err)
	e.same(got, second)
	all, err := e.s().ListKeys(e.ctx)
	e.ok(err)
	e.same(all, []storage.Key{first, second})

	e.ok(e.s().RevokeKey(e.ctx, "k1", e.now))
	has("a", true)
	e.ok(e.s().RevokeKey(e.ctx, "k1", e.now.Add(time.Hour)))
	got, err = e.s().Key(e.ctx, "k1")
	e.ok(err)
	if !got.Revoked() || !got.RevokedAt.Equal(e.now) {
		e.Fatalf("revoked at %v, want the first time %v", got.RevokedAt, e.now)
	}
	e.ok(e.s().RevokeKey(e.ctx, "k2", e.now))
	has("a", false)
}

func keysNotFound(e *env) {
	_, err := e.s().Key(e.ctx, "none")
	e.is(err, storage.ErrNotFound)
	e.is(e.s().RevokeKey(e.ctx, "none", e.now), storage.ErrNotFound)
	all, err := e.s().ListKeys(e.ctx)
	e.ok(err)
	e.same(all, []storage.Key{})
}

func secret(e *env) {
	one, err := e.s().Secret(e.ctx, "urls")
	e.ok(err)
	again, err := e.s().Secret(e.ctx, "urls")
	e.ok(err)
	other, err := e.s().Secret(e.ctx, "pages")
	e.ok(err)
	if len(one) != 32 || !bytes.Equal(one, again) || bytes.Equal(one, other) {
		e.Fatalf("secrets %x, %x, %x", one, again, other)
	}
}

func ping(e *env) {
	for range 3 {
		e.ok(e.s().Ping(e.ctx))
	}
}

func closed(e *env) {
	j := e.create("a")
	changed, stop := e.store.Watch(j.ID)
	defer stop()
	drain(changed)
	e.ok(e.store.Close())
	defer func() { e.store = e.open(e.TB, e.opts) }()
	for name, err := range e.calls(e.ctx, j.ID) {
		if err == nil {
			e.Errorf("%s on a closed store is no error", name)
			continue
		}
		e.is(err, storage.ErrClosed)
	}
	e.ok(e.store.Close())
}

func cancelledContext(e *env) {
	j := e.create("a")
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	for _, err := range e.calls(ctx, j.ID) {
		e.is(err, context.Canceled)
	}
	e.same(e.get(j.ID), j)
}

// calls makes calls of every kind.
func (e *env) calls(ctx context.Context, id job.ID) map[string]error {
	errs := map[string]error{}
	s := e.s()
	_, errs["Job"] = s.Job(ctx, "a", id)
	_, _, errs["CreateJob"] = s.CreateJob(ctx, e.ask("a"), nil)
	_, _, errs["ListJobs"] = s.ListJobs(ctx, storage.ListQuery{Client: "a", Limit: 10})
	_, errs["ExtendUpload"] = s.ExtendUpload(ctx, "a", id, e.now.Add(time.Hour))
	_, errs["CompleteUpload"] = s.CompleteUpload(ctx, id, e.file(1), e.now)
	_, errs["Cancel"] = s.Cancel(ctx, "a", id, e.now)
	_, errs["ExpireUploads"] = s.ExpireUploads(ctx, e.now.Add(time.Hour), func(job.ID) bool { return false })
	_, errs["Work"] = s.Work(ctx)
	_, errs["HoldLane"] = s.HoldLane(ctx, lane, "x")
	_, errs["Record"] = s.Record(ctx, []storage.Record{{ID: id}})
	_, errs["Parts"] = s.Parts(ctx, id)
	_, errs["Segments"] = s.Segments(ctx, id)
	_, errs["ReadSegment"] = s.ReadSegment(ctx, id, 1, 0, 100)
	_, errs["FileNames"] = s.FileNames(ctx)
	_, errs["Promote"] = s.Promote(ctx)
	_, errs["Secret"] = s.Secret(ctx, "x")
	_, errs["ListKeys"] = s.ListKeys(ctx)
	errs["CreateKey"] = s.CreateKey(ctx, storage.Key{ID: "x"})
	errs["Ping"] = s.Ping(ctx)
	return errs
}
