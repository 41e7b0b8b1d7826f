package dispatcher

import (
	"net/http"
	"testing"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
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

// TestPaceOverAHold: while the lane is held its jobs show no rate and no end;
// after it, the rate of now.
func TestPaceOverAHold(t *testing.T) {
	s := newSim(t, func(_ int64, at time.Duration) provider.Answer {
		if at > 20*time.Second && at < 5*time.Minute {
			return down()
		}
		return done()
	})
	s.lane.cfg.Rate.RPM = 600
	s.lane.ctl.SetCaps(s.now, s.lane.cfg.Rate)
	r := s.job("a", 1, 10_000, job.Job{})
	told, after := false, time.Duration(0)
	for s.since() < 7*time.Minute {
		s.run(500 * time.Millisecond)
		p := s.lane.pace(s.now, r, int64(10_000-r.outcomes))
		at := s.since()
		if p.CurrentRPM > 600 {
			t.Fatalf("at %s: %v a minute under a cap of 600", at, p.CurrentRPM)
		}
		if s.lane.hold != nil {
			told = true
			if p.CurrentRPM != 0 || !p.EstimatedCompletionAt.IsZero() || !p.EstimatedLatest.IsZero() || p.BoundBy != "hold" {
				t.Fatalf("held at %s: %+v", at, p)
			}
			continue
		}
		if !told {
			continue
		}
		if after == 0 {
			after = at
		}
		if since := at - after; since > 6*time.Second {
			span := min(since, 10*time.Second)
			want := float64(s.sentBetween(at-span, at)) / span.Minutes()
			if p.CurrentRPM < want*0.6-15 || p.CurrentRPM > want*1.6+15 {
				t.Errorf("%s after the hold it tells %v a minute, want about %v", since, p.CurrentRPM, want)
			}
		}
		left := float64(10_000-r.outcomes) / 600
		if since := at - after; since > 60*time.Second {
			rest := p.EstimatedCompletionAt.Sub(s.now).Minutes()
			if rest < left*0.95 || rest > left*1.5 || p.EstimatedEarliest.After(p.EstimatedCompletionAt) || p.EstimatedLatest.Before(p.EstimatedCompletionAt) {
				t.Fatalf("%s after the hold it tells %v min, want about %v: %+v", since, rest, left, p)
			}
		}
	}
	if !told || after == 0 {
		t.Error("it was never held, or never went on")
	}
}

// TestPaceUnderAJobsCap: never more than the cap, nor sooner than it allows,
// also at the beginning.
func TestPaceUnderAJobsCap(t *testing.T) {
	s := newSim(t, func(int64, time.Duration) provider.Answer { return done() })
	s.latency = 20 * time.Millisecond
	r := s.job("a", 1, 200, job.Job{RPM: 60})
	known := false
	for s.endedAt[r] == 0 && s.since() < time.Hour {
		s.run(250 * time.Millisecond)
		open := int64(200 - r.outcomes)
		p := s.lane.pace(s.now, r, open)
		if p.CurrentRPM > 60 {
			t.Fatalf("at %s: %v a minute under a cap of 60", s.since(), p.CurrentRPM)
		}
		if p.EstimatedCompletionAt.IsZero() {
			continue
		}
		known = true
		if soonest := p.EstimatedEarliest.Sub(s.now); soonest < time.Duration(open-1)*time.Second {
			t.Fatalf("at %s: %d prompts in %s under a cap of 60", s.since(), open, soonest)
		}
	}
	if !known {
		t.Error("no end was ever told")
	}
}

// Where the last answers take longer than all the others did, nobody knows when
// they come: no end is told that is always a second away.
func TestPaceOfTheLastAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		last    func(at time.Duration) provider.Answer
		unknown time.Duration // for so long, at least, no end is told
	}{
		"slow answers": {func(time.Duration) provider.Answer {
			a := done()
			a.Latency = 5 * time.Minute
			return a
		}, 4*time.Minute + 30*time.Second},
		"a retry that hangs": {func(at time.Duration) provider.Answer {
			a := done()
			if a.Latency = 3 * time.Minute; at < 25*time.Second {
				a = down()
			}
			return a
		}, 2*time.Minute + 30*time.Second},
	} {
		s := newSim(t, func(line int64, at time.Duration) provider.Answer {
			if line > 498 {
				return c.last(at)
			}
			return done()
		})
		s.latency = 50 * time.Millisecond
		r := s.job("a", 1, 500, job.Job{MaxRetries: 10})
		var known, unknown, off time.Duration
		for s.endedAt[r] == 0 && s.since() < time.Hour {
			s.run(500 * time.Millisecond)
			p := s.lane.pace(s.now, r, int64(500-r.outcomes))
			switch {
			case p.EstimatedCompletionAt.IsZero() && r.outcomes == 498:
				unknown += 500 * time.Millisecond
			case !p.EstimatedCompletionAt.IsZero() && r.outcomes < 498:
				known += 500 * time.Millisecond
			case r.outcomes == 498 && p.EstimatedLatest.Before(s.now.Add(2*time.Second)):
				off += 500 * time.Millisecond
			}
		}
		s.want(r, "COMPLETED")
		if known < 2*time.Second || unknown < c.unknown || off > 5*time.Second { // the last seconds of each wait for a retry are known
			t.Errorf("%s: an end was told for %s before them, none for %s, and at once for %s", name, known, unknown, off)
		}
	}
}
