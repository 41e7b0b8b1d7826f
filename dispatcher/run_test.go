package dispatcher

import (
	"testing"
	"time"

	"github.com/promptforge/promptforge/job"
)

// TestLinesInDoubtWaitForTheirCount: two kills in a row had prompts sent three
// times and counted as possibly repaid once, since the second life sent the
// lines in doubt before their number was durable. Now they leave after the
// first commit, which has it.
func TestLinesInDoubtWaitForTheirCount(t *testing.T) {
	r := newRun(&job.Job{ID: job.NewID(), SentThrough: 40}, time.Now())
	for line := range int64(100) {
		r.fresh = append(r.fresh, &item{run: r, line: line + 1})
	}
	if r.ready() {
		t.Fatal("a line in doubt may leave before any commit")
	}
	line, ask := r.reserve()
	if !ask || line != 40 {
		t.Fatalf("it asks for lines up to %d (%v), and the holder before had reserved 40", line, ask)
	}
	r.reservedTo(line)
	if n := r.allowed(); n != 40 {
		t.Errorf("%d lines may leave after the commit, want 40", n)
	}
}
