package rate

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// bucket is a provider that refuses what exceeds its rate.
type bucket struct {
	perSecond, depth, level float64
	at                      time.Time
	headers                 bool
	quick                   bool // a refusal takes 50 ms
	retryAfter              bool
	counted                 bool // a refusal costs as much as an acceptance
}

func (b *bucket) ask(now time.Time) (ok bool, f Feedback) {
	if !b.at.IsZero() {
		b.level = min(b.depth, b.level+now.Sub(b.at).Seconds()*b.perSecond)
	}
	b.at = now
	if b.headers {
		f.Limits.RequestsPerMinute = b.perSecond * 60
	}
	if b.level < 1 {
		f.Verdict = Refused
		if b.counted {
			b.level = max(-b.depth, b.level-1)
		}
		if b.retryAfter {
			f.RetryAfter = time.Duration((1 - b.level) / b.perSecond * float64(time.Second))
		}
		return false, f
	}
	b.level--
	return true, f
}

type flight struct {
	at time.Time
	f  Feedback
}

// drive sends as much as the controller permits for a span, and counts.
func drive(c *Controller, b *bucket, span, latency time.Duration) (accepted, refused int) {
	return driveFrom(c, b, start, span, latency)
}

func driveFrom(c *Controller, b *bucket, from time.Time, span, latency time.Duration) (accepted, refused int) {
	quick := latency
	if b.quick {
		quick = 50 * time.Millisecond
	}
	return driveProvider(c, from, span, func() time.Duration { return latency }, quick, b.ask)
}

func driveWith(c *Controller, span time.Duration, latency func() time.Duration, ask func(time.Time) (bool, Feedback)) (accepted, refused int) {
	return driveProvider(c, start, span, latency, 50*time.Millisecond, ask)
}

func driveProvider(c *Controller, from time.Time, span time.Duration, latency func() time.Duration, quick time.Duration, ask func(time.Time) (bool, Feedback)) (accepted, refused int) {
	var flying flights
	end := from.Add(span)
	for now := from; now.Before(end); {
		for len(flying) > 0 && !flying[0].at.After(now) {
			c.Answered(now, heap.Pop(&flying).(flight).f)
		}
		ok, at := c.Permit(now, Size{Bytes: 100})
		if ok {
			ticket := c.Sent(now, Size{Bytes: 100})
			good, f := ask(now)
			f.Ticket, f.Bytes = ticket, 100
			took := latency()
			if good {
				accepted++
			} else {
				refused++
				took = quick
			}
			heap.Push(&flying, flight{now.Add(took), f})
			continue
		}
		next := end
		if !at.IsZero() {
			next = at
		}
		if len(flying) > 0 && flying[0].at.Before(next) {
			next = flying[0].at
		}
		now = next
	}
	for len(flying) > 0 {
		c.Answered(end, heap.Pop(&flying).(flight).f)
	}
	return accepted, refused
}

func TestControllerKeepsToHeaders(t *testing.T) {
	for _, rpm := range []float64{60, 600, 6000} {
		c := New(Config{Concurrency: 4096}, nil, start)
		b := &bucket{perSecond: rpm / 60, depth: max(1, rpm/60), level: max(1, rpm/60), headers: true, retryAfter: true}
		accepted, refused := drive(c, b, 10*time.Minute, time.Second)
		if float64(accepted) < 0.95*rpm*10 || float64(refused) > 10+0.01*float64(accepted) {
			t.Errorf("at %v a minute with headers: %d accepted, %d refused in ten minutes", rpm, accepted, refused)
		}
	}
}

func TestControllerLearnsASilentRate(t *testing.T) {
	for _, rpm := range []float64{600, 6000} {
		c := New(Config{Concurrency: 4096}, nil, start)
		b := &bucket{perSecond: rpm / 60, depth: rpm / 60, level: rpm / 60}
		accepted, refused := drive(c, b, 10*time.Minute, time.Second)
		if float64(accepted) < 0.8*rpm*10 || float64(refused) > 0.2*float64(accepted) {
			t.Errorf("at %v a minute, silent: %d accepted, %d refused in ten minutes", rpm, accepted, refused)
		}
	}
}

func TestControllerKeepsTheOperatorsCap(t *testing.T) {
	c := New(Config{RPM: 120, Concurrency: 64}, nil, start)
	accepted, _ := drive(c, &bucket{perSecond: 1e6, depth: 1e6, level: 1e6}, 10*time.Minute, time.Second)
	if accepted < 1190 || accepted > 1210 {
		t.Errorf("%d left in ten minutes under a cap of 120 a minute", accepted)
	}
	if s := c.Snapshot(start.Add(10 * time.Minute)); s.Bound != BoundCap || s.CurrentRPM < 110 || s.CurrentRPM > 130 {
		t.Errorf("it says %+v", s)
	}
}

// TestControllerTellsWhoseWidthBinds: a provider's own cap is the operator's
// will, and any other width is what the machine allows.
func TestControllerTellsWhoseWidthBinds(t *testing.T) {
	for capped, want := range map[bool]Bound{true: BoundCap, false: BoundMachine} {
		c := New(Config{Concurrency: 4, ConcurrencyCapped: capped}, nil, start)
		now := start
		for range 4 {
			if ok, _ := c.Permit(now, Size{Bytes: 100}); !ok {
				t.Fatal("refused within the width")
			}
			c.Sent(now, Size{Bytes: 100})
			now = now.Add(time.Second)
		}
		if ok, _ := c.Permit(now, Size{Bytes: 100}); ok || c.Snapshot(now).Bound != want {
			t.Errorf("capped %t: a fifth leaves: %t, bound by %q, want %q", capped, ok, c.Snapshot(now).Bound, want)
		}
	}
}

func TestControllerStopsWideningWhenItOnlyGetsSlower(t *testing.T) {
	// A server that does 100 requests a second however many are in flight.
	c := New(Config{Concurrency: 4096}, nil, start)
	now, free := start, start
	var flying []flight
	for now.Before(start.Add(2 * time.Minute)) {
		for len(flying) > 0 && !flying[0].at.After(now) {
			c.Answered(now, flying[0].f)
			flying = flying[1:]
		}
		ok, at := c.Permit(now, Size{Bytes: 100})
		if ok {
			k := c.Sent(now, Size{Bytes: 100})
			free = later(free, now).Add(10 * time.Millisecond)
			flying = append(flying, flight{later(free, now.Add(100*time.Millisecond)), Feedback{Ticket: k, Bytes: 100}})
			continue
		}
		if len(flying) == 0 || !at.IsZero() && at.Before(flying[0].at) {
			now = at
		} else {
			now = flying[0].at
		}
	}
	if w := c.Width(); w < 9 || w > 200 {
		t.Errorf("the window is %d wide where 10 are of use", w)
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func TestControllerResumesGently(t *testing.T) {
	c := New(Config{Concurrency: 4096}, nil, start)
	drive(c, &bucket{perSecond: 1e6, depth: 1e6, level: 1e6}, 10*time.Second, 100*time.Millisecond)
	wide := c.Width()
	c.Resume(start.Add(time.Hour))
	if w := c.Width(); w >= wide/2 {
		t.Errorf("after a hold the window is %d wide, before it was %d", w, wide)
	}
}

func TestControllerBeginsAtHalfOfWhatWasLearned(t *testing.T) {
	c := New(Config{Concurrency: 4096}, &Learned{RPM: 600, Concurrency: 100, TokensPerByte: 2}, start)
	if got := 60 * c.learner.current(); got != 300 {
		t.Errorf("it begins at %v a minute", got)
	}
	if c.Width() != 50 || c.Estimate(Size{Bytes: 100}) != 200 {
		t.Errorf("width %d, estimate %d", c.Width(), c.Estimate(Size{Bytes: 100}))
	}
}

func TestControllerUnsentGivesThePermitBack(t *testing.T) {
	c := New(Config{RPM: 60, Concurrency: 1}, nil, start)
	for range 100 {
		if ok, _ := c.Permit(start, Size{Bytes: 100}); !ok {
			t.Fatal("a request that never left used up a permit")
		}
		c.Unsent(start, c.Sent(start, Size{Bytes: 100}))
	}
}

// Long-tailed latencies are what a model's answers have; they narrow nothing.
func TestControllerWidensThroughLongTails(t *testing.T) {
	for _, sigma := range []float64{0.5, 1, 1.3} {
		rng := rand.New(rand.NewPCG(7, 7))
		c := New(Config{Concurrency: 256}, nil, start)
		now := start
		var flying flights
		answers := 0
		for now.Before(start.Add(10 * time.Minute)) {
			ok, at := c.Permit(now, Size{Bytes: 100})
			if ok {
				k := c.Sent(now, Size{Bytes: 100})
				latency := time.Duration(float64(time.Second) * math.Exp(sigma*rng.NormFloat64()))
				heap.Push(&flying, flight{now.Add(latency), Feedback{Ticket: k, Bytes: 100}})
				continue
			}
			if len(flying) == 0 || !at.IsZero() && at.Before(flying[0].at) {
				now = at
				continue
			}
			f := heap.Pop(&flying).(flight)
			now = f.at
			c.Answered(now, f.f)
			answers++
		}
		mean := math.Exp(sigma * sigma / 2)
		if possible := 256 * 600 / mean; float64(answers) < 0.6*possible {
			t.Errorf("sigma %v: %d answers of %.0f that 256 at once would bring; the window is %d wide", sigma, answers, possible, c.Width())
		}
	}
}

// A silent window of a minute opens by itself: what it gave is not forgotten.
func TestControllerOutlivesASilentWindow(t *testing.T) {
	c := New(Config{Concurrency: 256}, nil, start)
	now, windowAt, count, accepted := start, start, 0, 0
	var flying []flight
	for now.Before(start.Add(30 * time.Minute)) {
		for len(flying) > 0 && !flying[0].at.After(now) {
			c.Answered(now, flying[0].f)
			flying = flying[1:]
		}
		if ok, at := c.Permit(now, Size{Bytes: 100}); ok {
			k := c.Sent(now, Size{Bytes: 100})
			if now.Sub(windowAt) >= time.Minute {
				windowAt, count = now.Truncate(time.Minute), 0
			}
			f := Feedback{Ticket: k, Bytes: 100}
			if count++; count > 600 {
				f.Verdict = Refused
			} else {
				accepted++
			}
			flying = append(flying, flight{now.Add(200 * time.Millisecond), f})
			continue
		} else if at.IsZero() || len(flying) > 0 && flying[0].at.Before(at) {
			now = flying[0].at
		} else {
			now = at
		}
	}
	if accepted < 600*30*6/10 {
		t.Errorf("%d answers in half an hour of 600 a minute", accepted)
	}
}

type flights []flight

func (f flights) Len() int           { return len(f) }
func (f flights) Less(i, j int) bool { return f[i].at.Before(f[j].at) }
func (f flights) Swap(i, j int)      { f[i], f[j] = f[j], f[i] }
func (f *flights) Push(x any)        { *f = append(*f, x.(flight)) }
func (f *flights) Pop() any {
	old := *f
	last := old[len(old)-1]
	*f = old[:len(old)-1]
	return last
}
