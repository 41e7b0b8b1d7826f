package storagetest

import (
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

func readSegment(e *env) {
	j, lease := e.processing("a", 10)
	outcomes := results(1, 10)
	e.answer(j.ID, 10, outcomes...)
	size := len(outcomes[0].AppendBinary(nil))
	read := func(after int64, maxBytes int) []job.Outcome {
		e.Helper()
		got, err := e.s().ReadSegment(e.ctx, j.ID, 1, after, maxBytes)
		e.ok(err)
		return got
	}
	for _, c := range []struct {
		after    int64
		maxBytes int
		want     int
	}{{0, 1 << 20, 10}, {9, 1 << 20, 1}, {10, 1 << 20, 0}, {99, 1 << 20, 0}, {0, 0, 1}, {3, 1, 1}, {3, 2 * size, 2}, {3, 3*size - 1, 2}} {
		got := read(c.after, c.maxBytes)
		if len(got) != c.want {
			e.Fatalf("read %d outcomes after %d in %d bytes, want %d", len(got), c.after, c.maxBytes, c.want)
		}
		for i := range got {
			e.same(&got[i], outcomes[c.after+int64(i)])
		}
	}
	got := read(0, 1<<20)
	for i := range got { // they are the caller's
		clear(got[i].Public)
	}
	if got := read(0, 1<<20); got[0].Public[0] != '{' {
		e.Fatal("the caller changed the store")
	}
	_, err := e.s().ReadSegment(e.ctx, j.ID, 2, 0, 100)
	e.is(err, storage.ErrNotFound)
	_, err = e.s().ReadSegment(e.ctx, job.NewID(), 1, 0, 100)
	e.is(err, storage.ErrNotFound)
	e.seal(lease, j.ID)
	_, err = e.s().ReadSegment(e.ctx, j.ID, 1, 0, 100)
	e.is(err, storage.ErrNotFound)
}

func freezeAndSeal(e *env) {
	j, lease := e.processing("a", 10)
	freeze := func(n int64) storage.Segment {
		e.Helper()
		s, err := e.s().Freeze(e.ctx, lease.Term, j.ID)
		e.ok(err)
		if s.N != n || !s.Frozen {
			e.Fatalf("froze %+v, want segment %d", s, n)
		}
		return s
	}
	_, err := e.s().Freeze(e.ctx, lease.Term, j.ID)
	e.is(err, storage.ErrNotFound)
	e.answer(j.ID, 2, result(1), failure(2))
	one := freeze(1)
	if r := e.answer(j.ID, 0); r.Open.N != 2 || r.Open.Outcomes != 0 || r.Open.FirstOffset != 3 || r.Open.ResultsBefore != 1 {
		e.Fatalf("the next outcome goes to %+v", r.Open)
	}
	e.answer(j.ID, 2, result(3), failure(4))
	e.same(freeze(1), one) // not sealed: again, and before a younger one
	part := e.part(one.Range, e.read(j.ID, one))
	before := e.get(j.ID)
	e.ok(e.s().Seal(e.ctx, lease.Term, j.ID, 1, part))
	e.same(e.get(j.ID), before) // counts and offsets stand still
	parts, err := e.s().Parts(e.ctx, j.ID)
	e.ok(err)
	e.same(parts, []storage.Part{part.Part})
	two := freeze(2)
	if two.FirstOffset != 3 || two.ResultsBefore != 1 || two.Outcomes != 2 {
		e.Fatalf("the second segment is %+v", two)
	}
	second := e.seal(lease, j.ID)
	parts, err = e.s().Parts(e.ctx, j.ID)
	e.ok(err)
	e.same(parts, []storage.Part{part.Part, second.Part})
	segments, err := e.s().Segments(e.ctx, j.ID)
	e.ok(err)
	e.same(segments, []storage.Segment{})
	_, err = e.s().Freeze(e.ctx, lease.Term, j.ID)
	e.is(err, storage.ErrNotFound)
	if r := e.answer(j.ID, 1, result(5)); r.Open.N != 3 || r.Open.FirstOffset != 5 {
		e.Fatalf("the next outcome went to %+v", r.Open)
	}
	// Sealed lines are done for good.
	c := e.claim(e.hold(), j.ID)
	e.same(c.Done.ToArray(), []uint32{1, 2, 3, 4, 5})
}

func sealRefuses(e *env) {
	j, lease := e.processing("a", 10)
	e.answer(j.ID, 2, result(1), failure(2))
	open, err := e.s().Segments(e.ctx, j.ID)
	e.ok(err)
	part := e.part(open[0].Range, e.read(j.ID, open[0]))
	refused := func(n int64, p storage.NewPart) {
		e.Helper()
		before := e.get(j.ID)
		if err := e.s().Seal(e.ctx, lease.Term, j.ID, n, p); err == nil {
			e.Fatalf("segment %d was sealed with %+v", n, p)
		}
		parts, err := e.s().Parts(e.ctx, j.ID)
		e.ok(err)
		if len(parts) != 0 {
			e.Fatalf("listed are %+v", parts)
		}
		e.same(e.get(j.ID), before)
	}
	refused(1, part) // it is open
	_, err = e.s().Freeze(e.ctx, lease.Term, j.ID)
	e.ok(err)
	e.answer(j.ID, 1, result(3))
	for _, change := range []func(p *storage.NewPart){
		func(p *storage.NewPart) { p.FirstOffset++ },
		func(p *storage.NewPart) { p.Outcomes--; p.Done.Remove(1) },
		func(p *storage.NewPart) { p.Results = 2; p.Failed.Clear() },
		func(p *storage.NewPart) { p.Totals.ErrorBytes++ },
		func(p *storage.NewPart) { p.Split.ResultBytes++ },
		func(p *storage.NewPart) { p.ResultsBefore++ },
		func(p *storage.NewPart) { p.ResultsOnly = true },
		func(p *storage.NewPart) { p.Done.Remove(1) },
		func(p *storage.NewPart) { p.Failed.Add(1) },
		func(p *storage.NewPart) { p.Done = nil },
	} {
		p := e.part(open[0].Range, e.read(j.ID, open[0]))
		change(&p)
		refused(1, p)
	}
	refused(2, part) // not the oldest
	e.is(e.s().Seal(e.ctx, lease.Term, j.ID, 7, part), storage.ErrNotFound)
	e.ok(e.s().Seal(e.ctx, lease.Term, j.ID, 1, part))
	e.ok(e.s().Seal(e.ctx, lease.Term, j.ID, 1, part)) // the answer was lost, and it came again
	another := part
	another.Name = e.name("part")
	e.is(e.s().Seal(e.ctx, lease.Term, j.ID, 1, another), storage.ErrNotFound)
	parts, err := e.s().Parts(e.ctx, j.ID)
	e.ok(err)
	e.same(parts, []storage.Part{part.Part})
}

// segmentFillsUp: no segment ever holds more than MaxSegmentOutcomes, though
// one call brings many more.
func segmentFillsUp(e *env) {
	const prompts = 2*storage.MaxSegmentOutcomes + 7
	j, lease := e.processing("a", prompts)
	r := e.answer(j.ID, prompts, results(1, prompts)...)
	if r.Open.N != 3 || r.Open.Outcomes != 7 || r.Open.Frozen {
		e.Fatalf("open is %+v", r.Open)
	}
	e.reopen()
	segments, err := e.store.Segments(e.ctx, j.ID)
	e.ok(err)
	if len(segments) != 3 || !segments[0].Frozen || !segments[1].Frozen || segments[2].Frozen ||
		segments[0].Outcomes != storage.MaxSegmentOutcomes || segments[1].ResultsBefore != storage.MaxSegmentOutcomes {
		e.Fatalf("segments are %+v", segments)
	}
	younger := e.part(segments[1].Range, e.read(j.ID, segments[1]))
	if err := e.store.Seal(e.ctx, lease.Term, j.ID, 2, younger); err == nil {
		e.Fatal("a segment was sealed before an older one")
	}
	for range 3 {
		e.seal(lease, j.ID)
	}
	e.finish(lease, j.ID, job.Completed)
}

func segmentFillsUpByBytes(e *env) {
	const each = storage.MaxSegmentBytes/4 + 1
	j, _ := e.processing("a", 6)
	for line := range int64(6) {
		e.answer(j.ID, 1, large(line+1, each))
	}
	segments, err := e.store.Segments(e.ctx, j.ID)
	e.ok(err)
	if len(segments) != 2 || segments[0].Outcomes != 4 || !segments[0].Frozen || segments[1].Outcomes != 2 {
		e.Fatalf("segments are %+v", segments)
	}
}

// splitAtTheEdge: a segment that crosses the edge of a results file knows what
// lies on this side of it.
func splitAtTheEdge(e *env) {
	const prompts = 8_000
	j, lease := e.processing("a", prompts)
	e.answer(j.ID, 2, failure(1), result(2))
	e.seal(lease, j.ID)
	var outcomes []*job.Outcome
	for line := int64(3); line <= prompts; line++ {
		if line%4 == 0 {
			outcomes = append(outcomes, failure(line))
		} else {
			outcomes = append(outcomes, result(line))
		}
	}
	e.answer(j.ID, len(outcomes), outcomes...)
	segments, err := e.store.Segments(e.ctx, j.ID)
	e.ok(err)
	crossed := false
	for _, s := range segments {
		before, after := s.ResultsBefore/storage.ResultsPerFile, (s.ResultsBefore+s.Results-1)/storage.ResultsPerFile
		var split job.Totals
		results := s.ResultsBefore
		for _, o := range e.read(j.ID, s) {
			if o.Failed {
				continue
			}
			if results/storage.ResultsPerFile == before {
				split.Add(&o)
			}
			results++
		}
		e.same(s.Split, split)
		crossed = crossed || before != after
		e.seal(lease, j.ID)
	}
	if !crossed {
		e.Fatal("no segment crossed the edge")
	}
}

func fileNames(e *env) {
	names := func(want ...string) {
		e.Helper()
		got, err := e.s().FileNames(e.ctx)
		e.ok(err)
		all := map[string]bool{}
		for _, n := range want {
			all[n] = true
		}
		e.same(got, all)
	}
	names()
	j := e.create("a")
	names()
	u := e.unusable(e.file(3), 4)
	e.complete(j.ID, u)
	names(u.Prompts.Name, u.Unusable[0].Name)
	lease := e.holdAndClaim(j.ID)
	e.answer(j.ID, 1, result(1))
	part := e.seal(lease, j.ID)
	e.cancel(j.ID)
	e.settle(lease, j.ID)
	e.resume("a", j.ID)
	names(u.Prompts.Name, u.Unusable[0].Name, part.Name)
}
