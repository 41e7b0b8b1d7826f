package rate

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// A provider that says nothing, and counts tokens, is known by what varies least
// between its refusals. That is a matter of chance, so that a few are looked at.
func TestUnitsTellWhatIsCounted(t *testing.T) {
	const seeds, span = 36, 15 * time.Minute
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
		if share < 0.92 || refusals > c.refused || told < 2*seeds/3 || right < seeds/2 {
			t.Errorf("%s: %.3f of what is allowed was charged, %.4f refused; of %d, %d say that it is tokens, %d how many", name, share, refusals, seeds, told, right)
		}
	}
}

// Requests are what is counted where tokens only happen to be many.
func TestUnitsStayRequests(t *testing.T) {
	m := newMeter(0, 0, 0, false)
	m.silent, m.requests = true, 600
	c := New(Config{Concurrency: 4096}, nil, start)
	driveTokens(c, m, 15*time.Minute)
	if s := c.Snapshot(start.Add(15 * time.Minute)); s.Bound != BoundRPM || s.TPM != 0 || math.Abs(s.RPM/600-1) > 0.05 {
		t.Errorf("at 600 requests a minute of all lengths it says %+v", s)
	}
}

// judged feeds spans of about n requests and returns what is then counted.
func judged(kind kind, spans int, exact measure, alike bool) measure {
	rng := rand.New(rand.NewPCG(5, 5))
	u, l := newUnits(), newLearner(0, kindUnknown)
	l.kind = kind
	var sum spend
	at, k := 0.0, Ticket{}
	for range spans {
		before := exact.of(sum)
		for exact.of(sum)-before < 300*map[measure]float64{byRequest: 1, byTokens: 260, byMost: 1200, byPrompt: 160}[exact] {
			c := spend{requests: 1, prompts: 100, most: 1000}
			answer := 100.0
			if !alike {
				c.prompts *= math.Exp(rng.NormFloat64())
				c.most *= math.Exp(rng.NormFloat64())
				answer *= math.Exp(rng.NormFloat64())
			}
			ticket := Ticket{cost: c, answer: answer}
			u.take(&ticket, 0, false)
			u.answered(&l, 0, &ticket, answer)
			sum.add(c)
			sum.add(spend{answers: answer, settled: c.most})
			at += 0.2
			k = Ticket{at: at, spent: sum}
		}
		k.ago = u.spent
		u.judge(&l, &k, sum)
	}
	return u.measure
}

func TestUnitsOfAWindowAreToldSoon(t *testing.T) {
	for exact := range measures {
		if got := judged(kindWindow, 5, exact, false); got != exact {
			t.Errorf("measure %d is exact in a window, %d is taken for what is counted", exact, got)
		}
	}
	// Where all are alike nothing can be told, and nothing is said.
	if got := judged(kindWindow, 8, byMost, true); got != byRequest {
		t.Errorf("all requests are alike, and measure %d is taken for what is counted", got)
	}
}

func TestMedian(t *testing.T) {
	if median([]float64{3, 1, 2}) != 2 || median([]float64{4, 1, 3, 2}) != 2.5 {
		t.Error("it is not the middle")
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

// A window's count is exact: what is close but not exact is not it, whatever
// varies more.
func TestFiguresOfAWindowAreExact(t *testing.T) {
	var f figures
	for _, n := range [][measures]float64{{1193, 580e3, 2531e3, 370e3}, {1209, 677e3, 2528e3, 382e3}} {
		f.add(n)
	}
	if requests, most := f.likely(byRequest, true), f.likely(byMost, true); most < requests+surerOfWindow {
		t.Errorf("requests are as likely as %v, max_tokens as %v", requests, most)
	}
	if requests, most := f.likely(byRequest, false), f.likely(byMost, false); most > requests+surer {
		t.Errorf("of a bucket, where nothing is exact, it is taken for sure: max_tokens are as likely as %v, requests as %v", most, requests)
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
