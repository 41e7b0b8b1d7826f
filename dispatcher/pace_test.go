package dispatcher

import (
	"net/http"
	"testing"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/simulator"
)

// TestDispatcherTellsThePace: while a job runs it says how fast, what is known
// of the limits, what bounds it, and when it will be done.
func TestDispatcherTellsThePace(t *testing.T) {
	b := newBench(t, simulator.Config{RPM: 60_000, Headers: true})
	b.start(nil)
	id := b.submit("a", job.Job{RPM: 1200}, prompts(2000, "pace")...)
	j := b.wait(id, func(j *job.Job) bool {
		p := &j.Pace
		return p.BoundBy == "cap" && p.CurrentRPM > 0 && p.LearnedRPM > 0 && p.EstimatedCompletionAt.After(time.Now()) || j.Settled()
	})
	if j.Settled() || j.Pace.HoldReason != "" {
		t.Errorf("%s with %+v", j.Status, j.Pace)
	}
}

// TestDispatcherTellsThePaceOfASlowServer: a server that answers nothing for a
// long time is slow by the operator's cap, and nobody knows how long the rest
// takes, however many requests left at once.
func TestDispatcherTellsThePaceOfASlowServer(t *testing.T) {
	b := newBench(t, simulator.Config{})
	answer := make(chan struct{})
	b.width = 2
	b.before = func(http.ResponseWriter, *http.Request) bool { <-answer; return false }
	b.start(nil)
	id := b.submit("a", job.Job{}, prompts(6, "slow")...)
	j := b.wait(id, func(j *job.Job) bool { return j.Pace.BoundBy == "cap" || j.Settled() })
	if j.Settled() || j.Pace.CurrentRPM == 0 || !j.Pace.EstimatedCompletionAt.IsZero() {
		t.Errorf("%s with %+v", j.Status, j.Pace)
	}
	close(answer)
	if j := b.wait(id, (*job.Job).Settled); j.CompletedCount != 6 {
		t.Errorf("%s with %d results", j.Status, j.CompletedCount)
	}
}

// TestDispatcherTellsAHold: why nothing is sent, and since when.
func TestDispatcherTellsAHold(t *testing.T) {
	b := newBench(t, simulator.Config{Errors: 1})
	begin := time.Now()
	b.start(nil)
	id := b.submit("a", job.Job{MaxRetries: 20}, prompts(200, "hold")...)
	j := b.wait(id, func(j *job.Job) bool { return j.Pace.HoldReason != "" || j.Settled() })
	if j.Status != job.Processing || j.Pace.BoundBy != "hold" || j.Pace.HeldSince.Before(begin) || !j.Pace.HeldUntil.IsZero() {
		t.Errorf("%s with %+v", j.Status, j.Pace)
	}
	if j.FailedCount != 0 {
		t.Errorf("%d prompts were blamed for the provider's outage", j.FailedCount)
	}
}
