package rate

import (
	"math"
	"testing"
	"time"
)

// minuteWindow is a provider that takes so many in each minute of its clock,
// the first of which begins with the first request.
type minuteWindow struct {
	limit, used int
	since       time.Time
}

func (w *minuteWindow) ask(now time.Time) (bool, Feedback) {
	if w.since.IsZero() {
		w.since = now
	}
	if gone := now.Sub(w.since) / time.Minute; gone > 0 {
		w.since, w.used = w.since.Add(gone*time.Minute), 0
	}
	if w.used >= w.limit {
		return false, Feedback{Verdict: Refused}
	}
	w.used++
	return true, Feedback{}
}

// A provider that answers as fast as it refuses is overshot by a few per cent
// of what it accepted, whatever its limit.
func TestRampOvershootsByAFewPerCent(t *testing.T) {
	for _, limit := range []int{300, 600, 6000} {
		for _, latency := range []time.Duration{time.Millisecond, 10 * time.Millisecond, 50 * time.Millisecond} {
			c := New(Config{Concurrency: 4096}, nil, start)
			w := &minuteWindow{limit: limit}
			accepted, refused := driveProvider(c, start, 55*time.Second, func() time.Duration { return latency }, latency, w.ask)
			if accepted < limit || refused > 12+limit*6/100 {
				t.Errorf("a window of %d, answers in %v: %d accepted, %d refused", limit, latency, accepted, refused)
			}
		}
	}
}

// A provider that refuses nothing is not crawled up to.
func TestRampIsSteepWhereAnswersAreFast(t *testing.T) {
	for latency, atMost := range map[time.Duration]time.Duration{
		100 * time.Microsecond: time.Second,
		time.Millisecond:       time.Second,
		10 * time.Millisecond:  5 * time.Second,
		50 * time.Millisecond:  12 * time.Second,
	} {
		c := New(Config{Concurrency: 4096}, nil, start)
		accepted := 0
		took := func() time.Duration {
			if accepted++; accepted > 40_000 {
				return time.Hour // it is enough
			}
			return latency
		}
		driveProvider(c, start, atMost, took, latency, func(time.Time) (bool, Feedback) { return true, Feedback{} })
		if accepted < 40_000 {
			t.Errorf("answers in %v: %d in %v", latency, accepted, atMost)
		}
	}
}

// A climb that passed all that explains the spans hastens on.
func TestClimbBeyondItsExplanationsHastens(t *testing.T) {
	l := learner{phase: climb, base: 1, factor: 1.02, step: 3, stage: 3}
	slow := l.after(climbSteps * l.step)
	if want := math.Pow(1.02, climbSteps); math.Abs(slow-want) > 1e-9 {
		t.Errorf("at its end it is at %v, want %v", slow, want)
	}
	if r := l.after((climbSteps + 2*refutedSteps) * l.step); r < 4*slow {
		t.Errorf("from %v it comes to %v", slow, r)
	}
}

// What refuses everything at the very beginning, and nothing afterwards, is met at
// full speed within a minute or two.
func TestRefusedByAllAtFirst(t *testing.T) {
	for shut, within := range map[time.Duration]time.Duration{2 * time.Second: time.Minute, 12 * time.Second: 2 * time.Minute} {
		free := &atOnce{latency: 200 * time.Millisecond}
		c := New(Config{Concurrency: 256}, nil, start)
		accepted, _ := driveProvider(c, start, within, func() time.Duration { return free.latency }, 50*time.Millisecond, func(now time.Time) (bool, Feedback) {
			if now.Before(start.Add(shut)) {
				return false, Feedback{Verdict: Refused}
			}
			return free.ask(now)
		})
		if accepted < 1000 {
			t.Errorf("shut for %v at first: %d accepted within %v", shut, accepted, within)
		}
	}
}
