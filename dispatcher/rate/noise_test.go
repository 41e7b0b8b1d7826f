package rate

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// atRandom refuses a share of what comes before ask looks at it.
func atRandom(share float64, ask func(time.Time) (bool, Feedback)) func(time.Time) (bool, Feedback) {
	rng := rand.New(rand.NewPCG(3, 3))
	return func(now time.Time) (bool, Feedback) {
		if rng.Float64() < share {
			return false, Feedback{Verdict: Refused}
		}
		return ask(now)
	}
}

// Refusals that come at any rate do not slow a lane down.
func TestRandomRefusalsAreNotObeyed(t *testing.T) {
	for _, share := range []float64{0.01, 0.05, 0.1} {
		for _, latency := range []time.Duration{50 * time.Millisecond, time.Second} {
			c := New(Config{Concurrency: 100}, nil, start)
			free := &atOnce{latency: latency}
			span := 90 * time.Second
			if latency >= time.Second {
				span = 5 * time.Minute
			}
			accepted, refused := driveWith(c, span, func() time.Duration { return latency }, atRandom(share, free.ask))
			if possible := 100 * span.Seconds() / latency.Seconds(); float64(accepted) < 0.6*possible {
				t.Errorf("%v refused at random, answers in %v: %d of %.0f, %d refused", share, latency, accepted, possible, refused)
			}
		}
	}
}

// Nor do they hide a limit.
func TestLimitBehindRandomRefusals(t *testing.T) {
	for name, ask := range map[string]func(time.Time) (bool, Feedback){
		"bucket": (&bucket{perSecond: 10, depth: 10, level: 10}).ask,
		"window": (&minuteWindow{limit: 600}).ask,
	} {
		c := New(Config{Concurrency: 100}, nil, start)
		accepted, refused := driveWith(c, 10*time.Minute, func() time.Duration { return time.Second }, atRandom(0.05, ask))
		if accepted < 4500 || refused > accepted/5 {
			t.Errorf("%s of 600 a minute, 0.05 refused at random: %d accepted, %d refused in 10 minutes", name, accepted, refused)
		}
	}
}

// A limit is not taken for chance.
func TestLimitsAreNotNoise(t *testing.T) {
	for name, ask := range comers() {
		c := New(Config{Concurrency: 100}, nil, start)
		driveWith(c, 10*time.Minute, func() time.Duration { return 200 * time.Millisecond }, ask)
		if n := c.learner.noise; n.share > 0 {
			t.Errorf("%s: %+v", name, n)
		}
	}
}

// What is refused beyond the share is passed on, and a share that is not seen
// any more is forgotten.
func TestNoiseExcusesItsShareOnly(t *testing.T) {
	n := noise{refused: 5, requests: 100}
	n.tried(true)
	passed := 0
	for range 100 {
		n.sent(false)
		if !n.excuses() {
			passed++
		}
	}
	if passed < 60 {
		t.Errorf("of 100 refusals in a row %d are passed on", passed)
	}
	for range 10 * noiseRequests {
		n.sent(true)
	}
	if n.share > 0 {
		t.Errorf("nothing was refused for long, and it is %+v", n)
	}
}

// A trial that a limit refused is not repeated soon.
func TestNoiseTriesSeldomInVain(t *testing.T) {
	var n noise
	var trials []int
	for i := range 400 {
		if n.isEarly(false); n.suspected(false) {
			trials = append(trials, i)
			n.tried(false)
		}
	}
	if len(trials) > 9 || len(trials) < 3 {
		t.Errorf("trials after %v early refusals", trials)
	}
	if n.isLate(); n.early != 0 {
		t.Errorf("a refusal at the limit leaves %+v", n)
	}
}

// Where some are refused at random, a window that refuses far below its count is
// not believed at once; where none are, it is.
func TestWindowFarBelowItsCount(t *testing.T) {
	for share, want := range map[float64]float64{0: 2, 0.05: 10} {
		l := newLearner(0, kindWindow)
		l.rate, l.noise.share = 10, share
		for range 120 {
			l.minute.sent(1, 1)
		}
		l.phase = cruise
		l.learn(span{120, 60}, 10, 20, 0, true)
		if math.Abs(l.rate-want) > 1e-9 {
			t.Errorf("share %v: after one refusal at 120 of 600 the rate is %v, want %v", share, l.rate, want)
		}
		if l.learn(span{120, 60}, 10, 20, 0, true); l.rate != 2 {
			t.Errorf("share %v: after two the rate is %v", share, l.rate)
		}
	}
}

// A closure leaves something to excuse.
func TestNoiseExcusesAfterAClosure(t *testing.T) {
	n := noise{share: 0.05}
	if n.opened(); !n.excuses() {
		t.Error("the first refusal after a closure is not excused")
	}
	var none noise
	if none.opened(); none.excuses() {
		t.Error("a refusal is excused that is not random")
	}
}

// Where lengths vary, refusals at random are told from those for tokens.
func TestRandomRefusalsOfAllLengths(t *testing.T) {
	for _, share := range []float64{0.01, 0.05, 0.1} {
		m := newMeter(0, 0, 0, false)
		m.silent, m.chance = true, share
		c := New(Config{Concurrency: 100}, nil, start)
		span := 5 * time.Minute
		// An answer takes a little more than a second on average.
		if accepted, refused := driveTokens(c, m, span); float64(accepted) < 0.5*90*span.Seconds() {
			t.Errorf("%v refused at random, of all lengths: %d accepted, %d refused in %v", share, accepted, refused, span)
		}
	}
}

// What may be for tokens is tried later, but not where the rate is far below
// what was known.
func TestLengthsDelayATrial(t *testing.T) {
	for name, c := range map[string]struct {
		lengths bool
		early   int
		top     float64
		phase   phase
		want    bool
	}{
		"alike":             {false, noiseEarly, 10, cruise, true},
		"of all lengths":    {true, noiseEarly, 10, cruise, false},
		"and many":          {true, noiseLengths * noiseEarly, 10, cruise, true},
		"starved":           {true, noiseEarly, 1, cruise, true},
		"starved in climbs": {true, noiseEarly, 1, climb, true},
		"a climb":           {false, noiseEarly, 10, climb, false},
	} {
		l := newLearner(0, kindUnknown)
		l.phase, l.rate, l.lengths, l.closure.top, l.noise.early = c.phase, 10, lengths{matter: c.lengths}, c.top, c.early-1
		if l.suspect(0); l.suspected != c.want {
			t.Errorf("%s: suspected is %v", name, l.suspected)
		}
	}
}
