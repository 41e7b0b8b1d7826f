package rate

import (
	"testing"
	"time"
)

// atOnce is a provider that lets in so many requests at once; 0: any number.
type atOnce struct {
	places  int
	latency time.Duration
	open    []time.Time // when each is done
}

func (p *atOnce) ask(now time.Time) (bool, Feedback) {
	for len(p.open) > 0 && !p.open[0].After(now) {
		p.open = p.open[1:]
	}
	if p.places > 0 && len(p.open) >= p.places {
		return false, Feedback{Verdict: Refused}
	}
	p.open = append(p.open, now.Add(p.latency))
	return true, Feedback{}
}

// comers are providers that a lane comes back to, by name.
func comers() map[string]func(time.Time) (bool, Feedback) {
	return map[string]func(time.Time) (bool, Feedback){
		"a bucket of 1 s":   (&bucket{perSecond: 40, depth: 40, level: 40}).ask,
		"a bucket of 60 s":  (&bucket{perSecond: 40, depth: 2400, level: 2400}).ask,
		"a window":          (&minuteWindow{limit: 2400}).ask,
		"40 at once":        (&atOnce{places: 40, latency: 200 * time.Millisecond}).ask,
		"no limit but ours": (&atOnce{latency: 200 * time.Millisecond}).ask,
	}
}

// lives is one lane after another at one provider, each from what the one
// before had learned.
type lives struct {
	c   *Controller
	now time.Time
	ask func(time.Time) (bool, Feedback)
}

func (l *lives) live(span time.Duration) (accepted, refused int) {
	accepted, refused = driveProvider(l.c, l.now, span, func() time.Duration { return 200 * time.Millisecond }, 50*time.Millisecond, l.ask)
	l.now = l.now.Add(span)
	return accepted, refused
}

func (l *lives) die() {
	learned := l.c.Learned()
	l.now = l.now.Add(time.Second)
	l.c = New(Config{Concurrency: 100}, &learned, l.now)
}

// A lane that is begun again is as fast as before within seconds, and however
// often that happens nothing is lost.
func TestRestartRegainsWithinSeconds(t *testing.T) {
	for _, age := range []time.Duration{10 * time.Second, 3 * time.Minute} {
		for name, ask := range comers() {
			l := lives{c: New(Config{Concurrency: 100}, nil, start), now: start, ask: ask}
			l.live(age - 5*time.Second)
			before, _ := l.live(5 * time.Second)
			least, most := 0.3, 0.9
			switch {
			case l.c.Learned().RPM == 0:
				least = 0.1 // nothing was learned but that there is no limit
			case age < time.Minute && (name == "a window" || name == "a bucket of 60 s"):
				least, most = 0, 0 // it gave a minute's worth away at once
			}
			for again := range 4 {
				l.die()
				first, refused := l.live(5 * time.Second)
				then, more := l.live(5 * time.Second)
				if refused += more; refused > 40 || float64(first) < least*float64(before) || float64(then) < most*float64(before) {
					t.Errorf("%s, after %v: %d in 5 s before, %d and %d in twice 5 s after restart %d, %d refused", name, age, before, first, then, again+1, refused)
				}
			}
		}
	}
}

// The same after a hold.
func TestHoldRegainsWithinSeconds(t *testing.T) {
	for name, ask := range comers() {
		l := lives{c: New(Config{Concurrency: 100}, nil, start), now: start, ask: ask}
		l.live(3 * time.Minute)
		before, _ := l.live(5 * time.Second)
		l.now = l.now.Add(10 * time.Minute)
		l.c.Resume(l.now)
		first, _ := l.live(5 * time.Second)
		then, refused := l.live(5 * time.Second)
		if float64(first) < 0.3*float64(before) || float64(then) < 0.9*float64(before) {
			t.Errorf("%s: %d in 5 s before, %d and %d in twice 5 s after the hold, %d refused", name, before, first, then, refused)
		}
	}
}
