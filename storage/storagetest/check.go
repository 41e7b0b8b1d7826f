package storagetest

import (
	"context"
	"math"
	"testing"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// Check tells whether what a store holds of some clients is sound: counts add
// up with the outcomes that can be read, offsets have no gap, no line has two
// outcomes, no client has more turns than it may, no PENDING job is forgotten
// or overtaken. It changes nothing, and wants that nobody else does meanwhile.
func Check(t testing.TB, s storage.Store, maxActivePerClient int, clients ...string) {
	t.Helper()
	c := checker{TB: t, store: s, ctx: context.Background()}
	var err error
	if c.names, err = s.FileNames(c.ctx); err != nil {
		t.Fatal(err)
	}
	work, err := s.Work(c.ctx)
	if err != nil {
		t.Fatal(err)
	}
	c.work = map[job.ID]bool{}
	for _, j := range work {
		if !j.TakesTurn() {
			t.Errorf("Work lists %s, which is %s", j.ID, j.Status)
		}
		c.work[j.ID] = true
	}
	for _, client := range clients {
		c.client(client, maxActivePerClient)
	}
}

type checker struct {
	testing.TB
	store storage.Store
	ctx   context.Context
	names map[string]bool
	work  map[job.ID]bool
}

func (c *checker) client(client string, maxActive int) {
	c.Helper()
	turns, pending := 0, 0
	lastTurn, firstPending := uint64(0), uint64(math.MaxUint64)
	for q := (storage.ListQuery{Client: client, Limit: 1000}); ; {
		page, more, err := c.store.ListJobs(c.ctx, q)
		if err != nil {
			c.Fatal(err)
		}
		for _, j := range page {
			if q.Before != 0 && j.Seq >= q.Before {
				c.Errorf("job %s with Seq %d is listed after Seq %d", j.ID, j.Seq, q.Before)
			}
			q.Before = j.Seq
			c.job(j)
			switch {
			case j.Status == job.Pending:
				pending++
				firstPending = min(firstPending, j.QueueSeq)
			case j.TakesTurn():
				turns++
				lastTurn = max(lastTurn, j.QueueSeq)
			}
		}
		if !more {
			break
		}
	}
	if turns > maxActive {
		c.Errorf("%d jobs of %s take a turn, at most %d may", turns, client, maxActive)
	}
	if turns < maxActive && pending > 0 {
		c.Errorf("%d jobs of %s take a turn, and %d are PENDING", turns, client, pending)
	}
	if lastTurn > firstPending {
		c.Errorf("a job of %s with QueueSeq %d overtook %d, which is PENDING", client, lastTurn, firstPending)
	}
}

func (c *checker) job(j *job.Job) {
	c.Helper()
	wrong := func(when bool, what string) {
		if when {
			c.Errorf("job %s (%s) %s: %+v", j.ID, j.Status, what, *j)
		}
	}
	wrong(j.TakesTurn() != c.work[j.ID], "is in Work and should not be, or the other way round")
	wrong(j.Settled() && !j.Status.Final(), "is settled and not final")
	wrong(j.Status.Final() == j.CompletedAt.IsZero(), "has no CompletedAt, or one too early")
	wrong(j.Status == job.Completed && (!j.Settled() || j.Open() != 0), "is not done")
	wrong(j.Status == job.Processing && (j.Term.IsZero() || j.StartedAt.IsZero()), "is nobody's")
	wrong(j.Status == job.Failed && j.FailureReason == "", "does not say why")
	wrong(j.Open() < 0, "has more outcomes than prompts")
	wrong(!j.Parsed && (j.PromptCount != 0 || j.Outcomes() != 0), "counts before its file is parsed")
	wrong(j.Prompts.Name != "" && !c.names[j.Prompts.Name], "has a prompts file that is not listed")
	c.outcomes(j)
}

func (c *checker) outcomes(j *job.Job) {
	c.Helper()
	parts, err := c.store.Parts(c.ctx, j.ID)
	if err != nil {
		c.Fatal(err)
	}
	segments, err := c.store.Segments(c.ctx, j.ID)
	if err != nil {
		c.Fatal(err)
	}
	all := storage.Range{FirstOffset: 1}
	follow := func(r *storage.Range) {
		if r.FirstOffset != all.LastOffset()+1 || r.Outcomes < 1 || r.Outcomes > storage.MaxSegmentOutcomes {
			c.Errorf("job %s: outcomes %d to %d follow %d", j.ID, r.FirstOffset, r.LastOffset(), all.LastOffset())
		}
		if r.ResultsBefore != all.Results {
			c.Errorf("job %s: %d results before offset %d, not %d", j.ID, all.Results, r.FirstOffset, r.ResultsBefore)
		}
		all.Outcomes += r.Outcomes
		all.Results += r.Results
		all.Totals = all.Totals.Plus(r.Totals)
	}
	for i := range parts {
		p := &parts[i]
		if !c.names[p.Name] {
			c.Errorf("job %s: part %s is not listed", j.ID, p.Name)
		}
		if p.ResultsOnly && p.Outcomes != p.Results {
			c.Errorf("job %s: part %s counts error records that are passed over", j.ID, p.Name)
		}
		follow(&p.Range)
	}
	lines := map[int64]bool{}
	for i := range segments {
		s := &segments[i]
		if i < len(segments)-1 && !s.Frozen {
			c.Errorf("job %s: segment %d is not frozen, and another is open", j.ID, s.N)
		}
		if i > 0 && s.N <= segments[i-1].N {
			c.Errorf("job %s: segment %d follows %d", j.ID, s.N, segments[i-1].N)
		}
		follow(&s.Range)
		c.segment(j, s, lines)
	}
	if all.Results != j.CompletedCount || all.Outcomes-all.Results != j.FailedCount || all.Totals != j.Totals {
		c.Errorf("job %s counts %d results, %d errors, %+v; to be read are %+v", j.ID, j.CompletedCount, j.FailedCount, j.Totals, all)
	}
}

func (c *checker) segment(j *job.Job, s *storage.Segment, lines map[int64]bool) {
	c.Helper()
	read := storage.Range{FirstOffset: s.FirstOffset, ResultsBefore: s.ResultsBefore}
	bytes := int64(0)
	for {
		some, err := c.store.ReadSegment(c.ctx, j.ID, s.N, read.LastOffset(), 1<<20)
		if err != nil {
			c.Fatal(err)
		}
		for i := range some {
			o := &some[i]
			if lines[o.Line] {
				c.Errorf("job %s: line %d has two outcomes", j.ID, o.Line)
			}
			lines[o.Line] = true
			read.Add(o)
			bytes += int64(len(o.AppendBinary(nil)))
		}
		if len(some) == 0 {
			break
		}
	}
	if read != s.Range || bytes != s.Bytes {
		c.Errorf("job %s: segment %d says %+v, %d bytes; it holds %+v, %d", j.ID, s.N, s.Range, s.Bytes, read, bytes)
	}
}
