package storagetest

import (
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

func extendUpload(e *env) {
	j := e.create("a")
	want := *j
	want.UploadExpiresAt = j.UploadExpiresAt.Add(time.Minute)
	for _, to := range []time.Time{want.UploadExpiresAt, j.UploadExpiresAt, want.UploadExpiresAt} {
		got, err := e.s().ExtendUpload(e.ctx, "a", j.ID, to)
		e.ok(err)
		e.same(got, &want)
		e.same(e.get(j.ID), &want)
	}
	e.complete(j.ID, e.file(1))
	_, err := e.s().ExtendUpload(e.ctx, "a", j.ID, e.now.Add(time.Hour))
	e.state(err, job.Queued)
}

func completeUpload(e *env) {
	j := e.create("a")
	u := e.file(7)
	got := e.complete(j.ID, u)
	want := *j
	want.Status, want.Parsed, want.PromptCount, want.Prompts, want.QueueSeq = job.Queued, true, 7, u.Prompts, 1
	e.same(got, &want)
	e.same(e.get(j.ID), &want)
	_, err := e.s().CompleteUpload(e.ctx, j.ID, e.file(3), e.now)
	e.state(err, job.Queued)
	e.same(e.get(j.ID), &want)
	parts, err := e.s().Parts(e.ctx, j.ID)
	e.ok(err)
	e.same(parts, []storage.Part{})
}

func uploadUnusable(e *env) {
	j := e.create("a")
	u := e.unusable(e.unusable(e.file(3), 2, 5), 4)
	got := e.complete(j.ID, u)
	if got.Status != job.Queued || got.PromptCount != 6 || got.FailedCount != 3 || got.CompletedCount != 0 || got.Totals.ErrorBytes == 0 {
		e.Fatalf("the job is %+v", got)
	}
	parts, err := e.s().Parts(e.ctx, j.ID)
	e.ok(err)
	e.same(parts, []storage.Part{u.Unusable[0].Part, u.Unusable[1].Part})
	c := e.claim(e.hold(), j.ID)
	e.same(c.Done.ToArray(), []uint32{2, 4, 5})
	e.answer(j.ID, 0, result(5)) // it has its outcome
	r := e.answer(j.ID, 1, result(1))
	if r.Open.FirstOffset != 4 || r.Open.N != 1 {
		e.Fatalf("the first answer lies in %+v", r.Open)
	}
}

func uploadWithoutUsableLine(e *env) {
	first := e.uploaded("b", 1) // takes the turn
	for _, c := range []struct {
		u    storage.Upload
		want string
	}{
		{e.unusable(e.file(0), 1, 2), "The file has no usable line; errors.jsonl says why for each."},
		{e.file(0), "The file has no line at all."},
		{storage.Upload{}, "The file has no line at all."},
	} {
		for _, client := range []string{"a", "b"} {
			got := e.complete(e.create(client).ID, c.u)
			if got.Status != job.Failed || !got.SettledAt.Equal(e.now) || !got.CompletedAt.Equal(e.now) || got.FailureReason != c.want ||
				got.PromptCount != c.u.PromptCount || got.FailedCount != c.u.PromptCount || !got.Parsed {
				e.Fatalf("the job is %+v", got)
			}
			e.same(e.get(got.ID), got)
			_, err := e.s().Cancel(e.ctx, client, got.ID, e.now)
			e.state(err, job.Failed)
		}
	}
	e.status(first.ID, job.Queued)
	e.status(e.uploaded("a", 1).ID, job.Queued)
}

func uploadThatDoesNotAddUp(e *env) {
	j := e.create("a")
	gap := e.unusable(e.file(1), 2)
	gap.Unusable[0].FirstOffset = 2
	count := e.file(2)
	count.PromptCount = 3
	lines := e.unusable(e.file(1), 2, 3)
	lines.Unusable[0].Done.Remove(3)
	answers := e.unusable(e.file(1), 2)
	answers.Unusable[0].Results = 1
	for _, u := range []storage.Upload{gap, count, lines, answers} {
		if _, err := e.s().CompleteUpload(e.ctx, j.ID, u, e.now); err == nil {
			e.Fatalf("%+v was taken", u)
		}
		e.same(e.get(j.ID), j)
	}
}

func expireUploads(e *env) {
	old, busy, young, done, extended := e.create("a"), e.create("b"), e.create("a"), e.create("a"), e.create("a")
	e.complete(done.ID, e.file(1))
	_, err := e.s().ExtendUpload(e.ctx, "", young.ID, e.now.Add(time.Hour))
	e.ok(err)
	expire := func(want int) {
		e.Helper()
		n, err := e.s().ExpireUploads(e.ctx, e.now, func(id job.ID) bool {
			if id == extended.ID { // a new URL is given out meanwhile
				if _, err := e.store.ExtendUpload(e.ctx, "", id, e.now.Add(time.Hour)); err != nil {
					e.Error(err)
				}
			}
			return id == busy.ID
		})
		e.ok(err)
		if n != want {
			e.Fatalf("%d expired, want %d", n, want)
		}
	}
	e.later(15 * time.Minute)
	expire(0) // its expiry is not before now
	e.later(time.Nanosecond)
	expire(1)
	expire(0)
	got := e.get(old.ID)
	if got.Status != job.Cancelled || got.FailureReason == "" || !got.SettledAt.Equal(e.now) || !got.CompletedAt.Equal(e.now) {
		e.Fatalf("the expired job is %+v", got)
	}
	e.status(busy.ID, job.AwaitingUpload)
	e.status(young.ID, job.AwaitingUpload)
	e.status(extended.ID, job.AwaitingUpload)
	e.status(done.ID, job.Queued)
	e.complete(busy.ID, e.file(1))
}
