package storagetest

import (
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// moves tries every move from every state: what job.Status allows happens,
// everything else is a *StateError and changes nothing.
func moves(e *env) {
	lease := e.hold()
	made := map[job.Status]func() job.ID{
		job.AwaitingUpload: func() job.ID { return e.create(e.name("c")).ID },
		job.Queued:         func() job.ID { return e.uploaded(e.name("c"), 1).ID },
		job.Pending: func() job.ID {
			client := e.name("c")
			e.uploaded(client, 1)
			return e.uploaded(client, 1).ID
		},
		job.Processing: func() job.ID {
			id := e.uploaded(e.name("c"), 1).ID
			e.claim(lease, id)
			e.answer(id, 1, result(1))
			return id
		},
	}
	for to, end := range map[job.Status]func(id job.ID){
		job.Completed: func(id job.ID) { e.finish(lease, id, job.Completed) },
		job.Failed:    func(id job.ID) { e.finish(lease, id, job.Failed) },
		job.Cancelled: func(id job.ID) { e.cancel(id) },
	} {
		made[to] = func() job.ID {
			id := made[job.Processing]()
			end(id)
			return id
		}
	}
	type move struct {
		name    string
		to      job.Status
		allowed []job.Status
		do      func(id job.ID) error
	}
	term := lease.Term
	for _, m := range []move{
		{"upload", job.Queued, []job.Status{job.AwaitingUpload}, func(id job.ID) error {
			_, err := e.s().CompleteUpload(e.ctx, id, e.file(1), e.now)
			return err
		}},
		{"cancel", job.Cancelled, []job.Status{job.AwaitingUpload, job.Pending, job.Queued, job.Processing}, func(id job.ID) error {
			_, err := e.s().Cancel(e.ctx, "", id, e.now)
			return err
		}},
		{"complete", job.Completed, []job.Status{job.Processing}, func(id job.ID) error {
			_, err := e.s().Finish(e.ctx, term, id, job.Completed, "", e.now)
			return err
		}},
		{"fail", job.Failed, []job.Status{job.Processing}, func(id job.ID) error {
			_, err := e.s().Finish(e.ctx, term, id, job.Failed, "Why.", e.now)
			return err
		}},
		{"claim", job.Processing, []job.Status{job.Queued, job.Processing}, func(id job.ID) error {
			_, err := e.s().Claim(e.ctx, lease, id, e.now)
			return err
		}},
	} {
		for _, from := range job.Statuses() {
			id := made[from]()
			before := e.get(id)
			err := m.do(id)
			after := e.get(id)
			allowed := false
			for _, s := range m.allowed {
				allowed = allowed || s == from
			}
			if allowed {
				e.ok(err)
				if after.Status != m.to {
					e.Fatalf("%s from %s leads to %s", m.name, from, after.Status)
				}
				continue
			}
			claimable := m.name == "claim" && before.TakesTurn() // taken over, where it stands
			if err == nil && !claimable {
				e.Fatalf("%s from %s was allowed", m.name, from)
			}
			if after.Status != from {
				e.Fatalf("%s from %s was refused and led to %s", m.name, from, after.Status)
			}
			switch {
			case claimable:
				e.ok(err)
			case m.name == "claim":
				e.is(err, storage.ErrNotFound)
			case (m.name == "complete" || m.name == "fail") && before.Term.IsZero():
				e.is(err, storage.ErrTerm) // nobody's job
			default:
				e.state(err, from)
				e.same(after, before)
			}
		}
	}
	id := made[job.Processing]()
	for _, to := range []job.Status{job.Cancelled, job.Queued, "NONSENSE"} {
		if _, err := e.s().Finish(e.ctx, term, id, to, "", e.now); err == nil {
			e.Fatalf("a job finished as %s", to)
		}
	}
	e.status(id, job.Processing)
}

func cancelUnclaimed(e *env) {
	await, queued := e.create("a"), e.uploaded("a", 1)
	pending, next := e.uploaded("a", 1), e.uploaded("a", 1)
	e.later(time.Minute)
	for _, j := range []*job.Job{await, pending, queued} {
		got, err := e.s().Cancel(e.ctx, "a", j.ID, e.now)
		e.ok(err)
		if got.Status != job.Cancelled || !got.CompletedAt.Equal(e.now) || !got.SettledAt.Equal(e.now) || got.FailureReason != "" {
			e.Fatalf("the cancelled job is %+v", got)
		}
		e.same(e.get(j.ID), got)
		_, err = e.s().Cancel(e.ctx, "a", j.ID, e.now)
		e.state(err, job.Cancelled)
	}
	e.status(next.ID, job.Queued)
}

func cancelClaimed(e *env) {
	j, lease := e.processing("a", 3)
	next := e.uploaded("a", 1)
	got := e.cancel(j.ID)
	if got.Status != job.Cancelled || got.Settled() || got.Acknowledged || !got.CompletedAt.Equal(e.now) {
		e.Fatalf("the cancelled job is %+v", got)
	}
	_, err := e.s().Cancel(e.ctx, "a", j.ID, e.now)
	e.state(err, job.Cancelled)
	e.ok(e.s().Acknowledge(e.ctx, lease.Term, j.ID))
	e.ok(e.s().Acknowledge(e.ctx, lease.Term, j.ID))
	if got := e.get(j.ID); !got.Acknowledged || got.Settled() {
		e.Fatalf("the acknowledged job is %+v", got)
	}
	e.status(next.ID, job.Pending)
	e.later(time.Minute)
	settled := e.settle(lease, j.ID)
	if !settled.SettledAt.Equal(e.now) || !settled.CompletedAt.Equal(got.CompletedAt) {
		e.Fatalf("the settled job is %+v", settled)
	}
	e.later(time.Minute)
	e.same(e.settle(lease, j.ID), settled)
	e.same(e.get(j.ID), settled)
	e.status(next.ID, job.Queued)
}

func finishCompleted(e *env) {
	j, lease := e.processing("a", 2)
	e.answer(j.ID, 1, result(1))
	_, err := e.s().Finish(e.ctx, lease.Term, j.ID, job.Completed, "", e.now)
	e.state(err, job.Processing) // a prompt is open
	_, err = e.s().Settle(e.ctx, lease.Term, j.ID, e.now)
	e.state(err, job.Processing)
	e.state(e.s().Acknowledge(e.ctx, lease.Term, j.ID), job.Processing)
	e.answer(j.ID, 1, failure(2))
	e.later(time.Minute)
	got := e.finish(lease, j.ID, job.Completed)
	if got.Status != job.Completed || !got.SettledAt.Equal(e.now) || !got.CompletedAt.Equal(e.now) || got.FailureReason != "" {
		e.Fatalf("the completed job is %+v", got)
	}
	e.same(e.get(j.ID), got)
	e.same(e.settle(lease, j.ID), got)
	// What is not sealed yet can still be read, and sealed.
	segments, err := e.s().Segments(e.ctx, j.ID)
	e.ok(err)
	if len(segments) != 1 || len(e.read(j.ID, segments[0])) != 2 {
		e.Fatalf("unsealed are %+v", segments)
	}
	e.seal(lease, j.ID)
	e.same(e.get(j.ID), got)
}

func finishFailed(e *env) {
	j, lease := e.processing("a", 3)
	next := e.uploaded("a", 1)
	e.ok(recordErr(e, storage.Record{ID: j.ID, Pace: &job.Pace{BoundBy: "hold", HoldReason: "No credit."}}))
	got := e.finish(lease, j.ID, job.Failed)
	if got.Status != job.Failed || got.Settled() || got.FailureReason != "The credential was refused." || !got.CompletedAt.Equal(e.now) {
		e.Fatalf("the failed job is %+v", got)
	}
	e.answer(j.ID, 1, result(1)) // it was in flight
	e.status(next.ID, job.Pending)
	_, err := e.s().Finish(e.ctx, lease.Term, j.ID, job.Completed, "", e.now)
	e.state(err, job.Failed)
	if got := e.settle(lease, j.ID); got.CompletedCount != 1 || !got.Settled() || !got.Acknowledged {
		e.Fatalf("the settled job is %+v", got)
	}
	e.status(next.ID, job.Queued)
}

func finishAfterCancel(e *env) {
	j, lease := e.processing("a", 1)
	e.answer(j.ID, 1, result(1))
	e.cancel(j.ID)
	_, err := e.s().Finish(e.ctx, lease.Term, j.ID, job.Completed, "", e.now)
	e.state(err, job.Cancelled)
	_, err = e.s().Finish(e.ctx, lease.Term, j.ID, job.Failed, "Why.", e.now)
	e.state(err, job.Cancelled)
	e.status(j.ID, job.Cancelled)
	e.settle(lease, j.ID)
}

func recordErr(e *env, r storage.Record) error {
	e.Helper()
	got, err := e.s().Record(e.ctx, []storage.Record{r})
	e.ok(err)
	return got[0].Err
}
