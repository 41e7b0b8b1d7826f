package storagetest

import (
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// drain takes the pending signal and tells whether there was one.
func drain(changed <-chan struct{}) bool {
	select {
	case <-changed:
		return true
	default:
		return false
	}
}

func watchJob(e *env) {
	j, other := e.create("a"), e.create("b")
	changed, stop := e.store.Watch(j.ID)
	defer stop()
	step := func(name string, want bool, do func()) {
		e.Helper()
		do()
		if got := drain(changed); got != want {
			e.Fatalf("%s signals: %t, want %t", name, got, want)
		}
		if drain(changed) {
			e.Fatalf("%s signals twice", name)
		}
	}
	lease := e.hold()
	step("nothing", false, func() {})
	step("another job", false, func() { e.complete(other.ID, e.file(1)) })
	step("upload", true, func() { e.complete(j.ID, e.file(5)) })
	step("claim", true, func() { e.claim(lease, j.ID) })
	step("an outcome", true, func() { e.answer(j.ID, 1, result(1)) })
	step("two outcomes", true, func() { e.answer(j.ID, 1, result(2)); e.answer(j.ID, 1, result(3)) })
	step("an outcome that is not taken", false, func() { e.answer(j.ID, 0, result(1)) })
	step("a pace", true, func() { e.ok(recordErr(e, storage.Record{ID: j.ID, Pace: &job.Pace{CurrentRPM: 5}})) })
	step("a refused move", false, func() {
		_, err := e.store.Finish(e.ctx, lease.Term, j.ID, job.Completed, "", e.now)
		e.state(err, job.Processing)
	})
	step("cancel", true, func() { e.cancel(j.ID) })
	step("acknowledge", true, func() { e.ok(e.store.Acknowledge(e.ctx, lease.Term, j.ID)) })
	step("settle", true, func() { e.settle(lease, j.ID) })
	step("settle again", false, func() { e.settle(lease, j.ID) })
}

func watchAll(e *env) {
	changed, stop := e.store.Watch("")
	defer stop()
	step := func(name string, want bool, do func()) {
		e.Helper()
		do()
		if got := drain(changed); got != want {
			e.Fatalf("%s signals: %t, want %t", name, got, want)
		}
	}
	lease := e.hold()
	step("a lease", false, func() {})
	var j, next *job.Job
	step("a new job", true, func() { j = e.create("a") })
	step("upload", true, func() { e.complete(j.ID, e.file(2)) })
	step("claim", true, func() { e.claim(lease, j.ID) })
	step("an outcome", false, func() { e.answer(j.ID, 1, result(1)) })
	step("a second job", true, func() { next = e.uploaded("a", 1) })
	step("cancel", true, func() { e.cancel(j.ID) })
	step("acknowledge", false, func() { e.ok(e.store.Acknowledge(e.ctx, lease.Term, j.ID)) })
	step("settle", true, func() { e.settle(lease, j.ID) })
	e.status(next.ID, job.Queued)
	step("the claim of the second", true, func() { e.claim(lease, next.ID) })
	step("a takeover", false, func() { e.claim(e.hold(), next.ID) })
}

func watchStop(e *env) {
	j := e.create("a")
	one, stopOne := e.store.Watch(j.ID)
	two, stopTwo := e.store.Watch(j.ID)
	stopOne()
	stopOne() // twice is once
	e.complete(j.ID, e.file(1))
	if drain(one) || !drain(two) {
		e.Fatal("the wrong watcher was signalled")
	}
	stopTwo()
	e.cancel(j.ID)
	if drain(two) {
		e.Fatal("a watcher that stopped was signalled")
	}
}
