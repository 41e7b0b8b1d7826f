package storagetest

import "github.com/promptforge/promptforge/job"

// pendingOrder: in the order of uploads, not of creation, whatever ends the
// job that had the turn.
func pendingOrder(e *env) {
	ids := make([]job.ID, 6)
	for i := range ids {
		ids[i] = e.create("a").ID
	}
	for i := len(ids) - 1; i >= 0; i-- { // the youngest is uploaded first
		j := e.complete(ids[i], e.file(1))
		if want := map[bool]job.Status{true: job.Queued, false: job.Pending}[i == len(ids)-1]; j.Status != want {
			e.Fatalf("upload %d is %s", i, j.Status)
		}
	}
	other := e.uploaded("b", 1)
	e.status(other.ID, job.Queued)

	lease := e.hold()
	e.cancel(ids[3]) // a PENDING one leaves without waking another
	e.status(ids[4], job.Pending)
	e.cancel(ids[5]) // QUEUED
	e.status(ids[4], job.Queued)
	e.claim(lease, ids[4])
	e.answer(ids[4], 1, result(1))
	e.finish(lease, ids[4], job.Completed)
	e.status(ids[2], job.Queued)
	e.claim(lease, ids[2])
	e.finish(lease, ids[2], job.Failed)
	e.status(ids[1], job.Pending) // not settled yet
	e.settle(lease, ids[2])
	e.status(ids[1], job.Queued)
	e.claim(lease, ids[1])
	e.cancel(ids[1])
	e.status(ids[0], job.Pending)
	e.settle(lease, ids[1])
	e.status(ids[0], job.Queued)
}

func twoTurns(e *env) {
	one, two, three, four := e.uploaded("a", 1), e.uploaded("a", 1), e.uploaded("a", 1), e.uploaded("a", 1)
	e.status(two.ID, job.Pending)
	e.maxActive(2)
	// The rule has changed: what waited for it goes.
	e.status(two.ID, job.Queued)
	e.status(three.ID, job.Pending)
	lease := e.hold()
	e.claim(lease, one.ID)
	e.status(three.ID, job.Pending)
	e.cancel(two.ID)
	e.status(three.ID, job.Queued)
	e.cancel(one.ID)
	e.status(four.ID, job.Pending)
	e.settle(lease, one.ID)
	e.status(four.ID, job.Queued)
	if five := e.uploaded("a", 1); five.Status != job.Pending {
		e.Fatalf("the fifth is %s", five.Status)
	}
	if b := e.uploaded("b", 1); b.Status != job.Queued {
		e.Fatalf("another client's is %s", b.Status)
	}
}

func promoteFindsNothing(e *env) {
	for range 3 {
		e.uploaded("a", 1)
		e.uploaded("b", 1)
	}
	n, err := e.s().Promote(e.ctx)
	e.ok(err)
	if n != 0 {
		e.Fatalf("%d promotions were missed", n)
	}
}

func workOrder(e *env) {
	b, a, c, await := e.create("b"), e.create("a"), e.create("c"), e.create("d")
	for _, j := range []*job.Job{a, c, b} {
		e.complete(j.ID, e.file(2))
	}
	waiting := e.uploaded("a", 1)
	work := func(want ...job.ID) {
		e.Helper()
		jobs, err := e.s().Work(e.ctx)
		e.ok(err)
		var got []job.ID
		for _, j := range jobs {
			got = append(got, j.ID)
			e.same(j, e.get(j.ID))
		}
		e.same(got, want)
	}
	work(a.ID, c.ID, b.ID)
	lease := e.hold()
	e.claim(lease, a.ID)
	work(a.ID, c.ID, b.ID)
	e.cancel(c.ID)
	work(a.ID, b.ID)
	e.cancel(a.ID)
	work(a.ID, b.ID)
	e.settle(lease, a.ID)
	work(b.ID, waiting.ID) // in the order of uploads, not of promotions
	e.complete(await.ID, e.file(1))
	work(b.ID, waiting.ID, await.ID)
}
