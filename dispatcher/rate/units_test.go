package rate

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// A provider that says nothing, and counts tokens, is known by the limit that
// explains its refusals best.
func TestUnitsTellWhatIsCounted(t *testing.T) {
	const seeds, span = 9, 15 * time.Minute
	for name, c := range map[string]struct {
		most               bool
		perMinute, refused float64
	}{
		"tokens by use":      {false, 200_000, 0.02},
		"max_tokens at once": {true, 1_200_000, 0.005},
	} {
		share, refusals, told, right := 0.0, 0.0, 0, 0
		for seed := range uint64(seeds) {
			m := newMeter(c.perMinute, 0, 0, c.most)
			m.silent, m.seed = true, seed+1
			ctl := New(Config{Concurrency: 4096}, nil, start)
			accepted, refused := driveTokens(ctl, m, span)
			share += m.charged[whole] / (span.Minutes() * c.perMinute) / seeds
			refusals += float64(refused) / float64(accepted) / seeds
			s := ctl.Snapshot(start.Add(span))
			if s.Bound == BoundTPM {
				told++
			}
			if s.RPM == 0 && math.Abs(s.TPM/c.perMinute-1) < 0.1 {
				right++
			}
			if l := ctl.Learned(); l.TPM != s.TPM || l.RPM == 0 {
				t.Errorf("%s: it keeps %+v of %+v", name, l, s)
			}
		}
		if share < 0.92 || refusals > c.refused || told < seeds || right < 2*seeds/3 {
			t.Errorf("%s: %.3f of what is allowed was charged, %.4f refused; of %d, %d say that it is tokens, %d how many", name, share, refusals, seeds, told, right)
		}
	}
}

// A window by the clock tells something but once a minute: five minutes are enough.
func TestUnitsTellAWindowByTheClock(t *testing.T) {
	const seeds, span = 9, 5 * time.Minute
	told, right := 0, 0
	for seed := range uint64(seeds) {
		m := newMeter(300_000, 0, 0, false)
		m.silent, m.byClock, m.seed = true, true, seed+1
		m.level[whole] = m.perMinute[whole]
		c := New(Config{Concurrency: 4096}, nil, start)
		driveTokens(c, m, span)
		s := c.Snapshot(start.Add(span))
		if passed := c.units.witness.evidence.newest()[anyMinute][byTokens].passed; passed < 200_000 {
			t.Errorf("it knows of %.0f tokens that were accepted in a minute", passed)
		}
		if s.Bound == BoundTPM {
			told++
		}
		if math.Abs(s.TPM/300_000-1) < 0.05 {
			right++
		}
	}
	if told < seeds || right < seeds-1 {
		t.Errorf("of %d, %d say after %v that it is tokens, %d how many", seeds, told, span, right)
	}
}

// Requests are what is counted where tokens only happen to be many, also where
// some are refused at random.
func TestUnitsStayRequests(t *testing.T) {
	const seeds, span = 5, 15 * time.Minute
	for _, chance := range []float64{0, 0.03} {
		told, right := 0, 0
		for seed := range uint64(seeds) {
			m := newMeter(0, 0, 0, false)
			m.silent, m.requests, m.chance, m.seed = true, 600, chance, seed+1
			c := New(Config{Concurrency: 4096}, nil, start)
			driveTokens(c, m, span)
			s := c.Snapshot(start.Add(span))
			if s.Bound == BoundRPM && s.TPM == 0 {
				told++
			}
			if math.Abs(s.RPM/600-1) < 0.05 {
				right++
			}
		}
		if told < seeds || right < seeds-1 {
			t.Errorf("of %d at 600 requests a minute of all lengths, %.2f of them refused at random, %d say that it is requests, %d how many", seeds, chance, told, right)
		}
	}
}

// judged feeds spans of about 300 requests, each of which ends when a minute's
// limit of one measure is exceeded, and returns what is then counted.
func judged(kind kind, spans int, exact measure, alike bool) measure {
	rng := rand.New(rand.NewPCG(5, 5))
	u, l := newUnits(), newLearner(0, kindUnknown)
	limit := 300 * amounts{1, 300, 1500, 150}[exact]
	t := newTokens(0)
	at := 0.0
	for range spans {
		ago := t.log.spent
		for refused := false; !refused; at += 0.2 {
			k := Ticket{at: at, cost: spend{requests: 1, prompts: 100, most: 1000}, ago: ago}
			answer := 100.0
			if !alike {
				k.cost.prompts *= math.Exp(rng.NormFloat64())
				k.cost.most *= math.Exp(rng.NormFloat64())
				answer *= math.Exp(rng.NormFloat64())
			}
			k.answer, k.spent = answer, t.log.spent
			k.spent.add(k.cost)
			u.take(&k, 0, false)
			if refused = exact.of(k.spent)-exact.of(ago) > limit; refused {
				u.judge(&k, &t, 0, kind)
				continue
			}
			u.witness.accepted(&k, &t)
			u.answered(&l, 0, &k, answer)
			t.log.spent.add(k.cost)
			t.log.spent.add(spend{answers: answer, settled: k.cost.most})
		}
		at += minuteSeconds
	}
	return u.measure
}

func TestUnitsOfAWindowAreToldSoon(t *testing.T) {
	for exact := range measures {
		if got := judged(kindWindow, 3, exact, false); got != exact {
			t.Errorf("measure %d is exact in a window, %d is taken for what is counted", exact, got)
		}
	}
	// Where all are alike nothing can be told, and nothing is said.
	if got := judged(kindWindow, 8, byMost, true); got != byRequest {
		t.Errorf("all requests are alike, and measure %d is taken for what is counted", got)
	}
}

// What is taken in whole units comes to what was really used.
func TestUnitsAddUpToWhatAnswersTook(t *testing.T) {
	u, l := newUnits(), newLearner(0, kindUnknown)
	u.measure, u.size = byTokens, 200
	next, used := int64(0), 0.0
	for i := range 500 {
		k := Ticket{cost: spend{requests: 1, prompts: 50}, answer: 100}
		u.take(&k, next, false)
		next = k.number + 1
		answer := float64(10 * (i % 40))
		u.answered(&l, 0, &k, answer)
		used += 50 + answer
	}
	if math.Abs(float64(next)-used/200) > 2 {
		t.Errorf("%v tokens were used, and %d units of 200 counted", used, next)
	}
	k := Ticket{cost: spend{requests: 1, prompts: 1}}
	if u.take(&k, next, true); k.number != next {
		t.Error("a probe has no unit of its own")
	}
}

// A long request that is refused was refused with all its units, and what was
// accepted before it stays what it was.
func TestUnitsOfARefusedRequest(t *testing.T) {
	u, l := newUnits(), newLearner(0, kindUnknown)
	u.measure, u.size = byPrompt, 100
	next := int64(0)
	send := func(at, prompt float64) Ticket {
		k := Ticket{at: at, cost: spend{requests: 1, prompts: prompt}}
		u.take(&k, next, false)
		next = k.number + 1
		l.sent(0, &k)
		u.sent(&l, 0, &k)
		return k
	}
	refuse := func(k Ticket) {
		l.refused(k.at+0.05, k, 0)
		u.refused(&l, &k)
	}
	for i := range 10 {
		send(float64(i)*0.01, 100)
	}
	long := send(0.11, 400)
	if l.minute.sum.requests != 14 {
		t.Errorf("the minute counts %v units, want 14", l.minute.sum.requests)
	}
	refuse(long)
	if l.minute.sum.requests != 10 || l.closure.refused != 4 {
		t.Errorf("the minute counts %v units, want 10; refused were %v, want 4", l.minute.sum.requests, l.closure.refused)
	}
	for i := range 5 {
		send(1+float64(i)*0.01, 100)
	}
	if s := l.spanTo(send(2, 300)); s.count != 7 {
		t.Errorf("%v units came since, want 5 and 2 of the last one's 3", s.count)
	}
	late := send(2.1, 200)
	u.unsent(&l, 0, &late)
	l.unsent(0, late)
	if s := l.spanTo(send(2.2, 100)); s.count != 8 {
		t.Errorf("%v units came since, want 8: what never left does not count", s.count)
	}
}

// That refusals follow much, or nothing in particular, tells whether they may
// have to do with lengths.
func TestUnitsPossible(t *testing.T) {
	for name, want := range map[string]bool{"after much": true, "after anything": false, "alike": false} {
		rng := rand.New(rand.NewPCG(2, 2))
		u := newUnits()
		for i, refusals := 0, 0; refusals < 40; i++ {
			k := Ticket{cost: spend{requests: 1, prompts: 100, most: 100}}
			if name != "alike" {
				k.cost.prompts *= math.Exp(rng.NormFloat64())
			}
			u.take(&k, int64(i), false)
			if r := u.recent[byPrompt]; i > 100 && (name != "after much" && rng.Float64() < 0.05 || name == "after much" && r.sum > r.mean+1.5*math.Sqrt(r.square)) {
				refusals++
				for m := byTokens; m < measures; m++ {
					u.recent[m].refused()
				}
			}
		}
		if got := u.possible(); got != want {
			t.Errorf("%s: possible is %v", name, got)
		}
	}
}

// A learner that took a window of tokens for something else is told that it is one.
func TestUnitsTeachTheKind(t *testing.T) {
	learn := func(m measure, counts ...float64) learner {
		u, l := newUnits(), newLearner(0, kindUnknown)
		u.measure, u.size, u.witness.evidence = m, 4, *refusedAt(4, counts...)
		l.kind, l.rate, l.stage, l.phase = kindBucket, 2, 2, closed
		if u.decide(kindBucket) {
			t.Error("something else is counted than what was taken for it")
		}
		u.teach(&l)
		return l
	}
	if l := learn(byMost, 1200, 1203, 1201); l.kind != kindWindow || !l.known() || l.stage != 0 || math.Abs(l.rate-1203.0/4/60) > 0.1 {
		t.Errorf("a window of 1203 tokens is taken for kind %d at %v units a second", l.kind, l.rate)
	}
	if l := learn(byMost, 1200, 1350, 1100); l.kind != kindBucket || l.rate != 2 {
		t.Errorf("what explains nothing is taken for kind %d at %v units a second", l.kind, l.rate)
	}
}

// Tokens are said when they are much more likely than requests, also than requests
// that others take some of.
func TestUnitsAreSaidWhenTheyAreSure(t *testing.T) {
	for name, c := range map[string]struct {
		requests, tokens []float64
		want             measure
	}{
		"tokens are exact":            {[]float64{300, 330, 320, 290}, []float64{1200, 1202, 1203, 1201}, byMost},
		"both are":                    {[]float64{300, 300, 301, 300}, []float64{1200, 1202, 1203, 1201}, byRequest},
		"nothing is":                  {[]float64{300, 400, 200, 260}, []float64{1200, 1500, 1000, 840}, byRequest},
		"others take of the requests": {[]float64{300, 315, 290, 320}, []float64{1200, 1205, 1203, 1050}, byRequest},
	} {
		u := newUnits()
		for i, n := range c.requests {
			b := u.witness.evidence.add(300)
			b[anyMinute][byRequest], b[anyMinute][byMost] = counted(1, n), counted(4, c.tokens[i])
			b[anyMinute][byRequest].off, b[anyMinute][byMost].off = 0.007*n, 0.007*c.tokens[i]
		}
		if u.decide(kindWindow); u.measure != c.want {
			t.Errorf("%s: measure %d is taken for what is counted, want %d", name, u.measure, c.want)
		}
	}
}
