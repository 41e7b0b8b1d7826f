package rate

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// liar is a bucket that names another limit than its own.
func liar(c *Controller, rpm, says float64, span time.Duration) (accepted, refused int) {
	b := &bucket{perSecond: rpm / 60, depth: max(1, rpm/60), level: 1}
	rng := rand.New(rand.NewPCG(1, 1))
	return driveWith(c, span, func() time.Duration { return time.Duration(float64(time.Second) * math.Exp(0.4*rng.NormFloat64())) }, func(now time.Time) (bool, Feedback) {
		ok, f := b.ask(now)
		f.Limits = Limits{RequestsPerMinute: says, Requests: Budget{Known: true, Left: says, Reset: 0}}
		return ok, f
	})
}

func TestToldTooMuchIsNotBelieved(t *testing.T) {
	for _, says := range []float64{6000, 1e6} {
		c := New(Config{Concurrency: 4096}, nil, start)
		accepted, refused := liar(c, 600, says, 10*time.Minute)
		if accepted < 5400 || refused > 120 {
			t.Errorf("600 a minute that says %v: %d accepted, %d refused in ten minutes", says, accepted, refused)
		}
		if s := c.Snapshot(start.Add(10 * time.Minute)); s.RPM < 540 || s.RPM > 660 {
			t.Errorf("it says that it learned %v", s.RPM)
		}
	}
}

func TestToldTooLittleIsNotBelieved(t *testing.T) {
	c := New(Config{Concurrency: 4096}, nil, start)
	if accepted, _ := liar(c, 6000, 600, 10*time.Minute); accepted < 50_000 {
		t.Errorf("6000 a minute that says 600: %d accepted in ten minutes", accepted)
	}
}

func TestToldIsFollowedAtOnce(t *testing.T) {
	c := New(Config{Concurrency: 4096}, nil, start)
	b := &bucket{perSecond: 10, depth: 10, level: 10, headers: true, quick: true}
	drive(c, b, 5*time.Minute, time.Second)
	b.perSecond, b.depth = 100, 100
	accepted, refused := driveFrom(c, b, start.Add(5*time.Minute), time.Minute, time.Second)
	if accepted < 5700 || refused > 1 {
		t.Errorf("after a raise from 600 to 6000: %d accepted, %d refused in a minute", accepted, refused)
	}
}

// Answers come out of order: a limit that was ruled on before the newest one is
// the old one.
func TestToldHearsTheNewestRuling(t *testing.T) {
	l := newLearner(0, kindUnknown)
	said := func(rpm, left float64) Limits {
		return Limits{RequestsPerMinute: rpm, Requests: Budget{Known: true, Left: left}}
	}
	l.hear(1, Ticket{number: 5}, said(600, 9))
	l.hear(2, Ticket{number: 8}, said(6000, 8))
	l.hear(3, Ticket{number: 6}, said(600, 7))
	if l.told.rate != 100 || l.told.left != 8 {
		t.Errorf("it goes by %v a minute with %v left, where the newest says 6000 and 8", 60*l.told.rate, l.told.left)
	}
	l.hear(4, Ticket{number: 9}, said(600, 7))
	if l.told.rate != 10 {
		t.Errorf("it goes by %v a minute after a fall to 600", 60*l.told.rate)
	}
}

// What others take of a limit is seen in what is left of it.
func TestToldLeavesOthersTheirShare(t *testing.T) {
	for _, depth := range []float64{60, 600} {
		c := New(Config{Concurrency: 4096}, nil, start)
		b := &bucket{perSecond: 10, depth: depth, level: depth, headers: true}
		rng := rand.New(rand.NewPCG(1, 1))
		others := start
		accepted, refused := driveWith(c, 20*time.Minute, func() time.Duration { return time.Second }, func(now time.Time) (bool, Feedback) {
			for !others.After(now) {
				b.ask(others)
				others = others.Add(time.Duration(rng.ExpFloat64() / 5 * float64(time.Second)))
			}
			ok, f := b.ask(now)
			f.Limits.Requests = Budget{Known: true, Left: math.Floor(max(0, b.level)), Reset: time.Duration((depth - b.level) / 10 * float64(time.Second))}
			return ok, f
		})
		if accepted < 5700 || refused > 60 {
			t.Errorf("a bucket of %v at 600 a minute, half of it others': %d accepted, %d refused in 20 minutes", depth, accepted, refused)
		}
		if c.learner.told.rate != 10 {
			t.Error("the limit is not believed any more")
		}
	}
}
