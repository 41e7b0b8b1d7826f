package rate

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// meter is a provider that limits tokens by buckets: of whole requests, or of
// what is sent and what is answered apart.
type meter struct {
	perMinute, depth, level [parts]float64 // 0 a minute: no limit
	most                    bool           // charges max_tokens when it lets in
	quiet                   bool           // it does not say what is left
	silent                  bool           // it says nothing at all
	requests, room          float64        // a minute, and left now; 0 a minute: no limit
	at                      time.Time
	charged                 [parts]float64
	byClock                 bool    // it is whole again at each minute, 20 s after ours
	chance                  float64 // share that it refuses at random
	rng                     *rand.Rand
	seed                    uint64 // of what is sent to it
}

func newMeter(w, in, out float64, most bool) *meter {
	m := &meter{perMinute: [parts]float64{w, in, out}, most: most, at: start, rng: rand.New(rand.NewPCG(4, 4)), seed: 3}
	for p := range parts {
		m.depth[p] = max(8192, m.perMinute[p]/10)
		m.level[p] = m.depth[p]
	}
	return m
}

func (m *meter) settle(now time.Time) {
	left := m.level[whole]
	for p := range parts {
		m.level[p] = min(m.depth[p], m.level[p]+now.Sub(m.at).Seconds()*m.perMinute[p]/60)
	}
	if edge := 20 * time.Second; m.byClock {
		m.level[whole] = left
		if m.at.Sub(start.Add(edge)).Truncate(time.Minute) != now.Sub(start.Add(edge)).Truncate(time.Minute) || m.at.Before(start.Add(edge)) != now.Before(start.Add(edge)) {
			m.level[whole] = m.perMinute[whole]
		}
	}
	m.room = min(max(1, m.requests/60), m.room+now.Sub(m.at).Minutes()*m.requests)
	m.at = now
}

func (m *meter) charge(prompt, answer float64) {
	for p, n := range [parts]float64{prompt + answer, prompt, answer} {
		m.level[p] -= n
		m.charged[p] += n
	}
}

func (m *meter) enter(now time.Time, prompt, most float64) (ok bool, l Limits) {
	m.settle(now)
	if m.rng.Float64() < m.chance {
		return false, l
	}
	if !m.most {
		most = 0
	}
	ok = true
	for p, n := range [parts]float64{prompt + most, prompt, most} {
		ok = ok && (m.perMinute[p] == 0 || m.level[p] >= n)
	}
	ok = ok && (m.requests == 0 || m.room >= 1)
	if ok {
		m.charge(prompt, most)
		m.room--
	}
	if m.silent {
		return ok, l
	}
	left := func(p part) Budget {
		return Budget{Known: m.perMinute[p] > 0 && !m.quiet, Left: math.Floor(max(0, m.level[p])), Reset: time.Duration((m.depth[p] - m.level[p]) / m.perMinute[p] * float64(time.Minute))}
	}
	return ok, Limits{
		TokensPerMinute: m.perMinute[whole], InputTokensPerMinute: m.perMinute[input], OutputTokensPerMinute: m.perMinute[output],
		Tokens: left(whole), InputTokens: left(input), OutputTokens: left(output),
	}
}

// driveTokens sends prompts of a hundred tokens or so, whose answers are long now
// and then.
func driveTokens(c *Controller, m *meter, span time.Duration) (accepted, refused int) {
	rng := rand.New(rand.NewPCG(m.seed, 3))
	var flying flights
	next := func() (Size, float64, float64) {
		prompt := max(1, math.Floor(100*math.Exp(rng.NormFloat64())))
		answer := math.Floor(min(1024, 60*math.Exp(1.2*rng.NormFloat64())))
		return Size{Bytes: int(4 * prompt), MaxTokens: 1024}, prompt, answer
	}
	size, prompt, answer := next()
	answers := map[int64]float64{}
	for now, end := start, start.Add(span); now.Before(end); {
		for len(flying) > 0 && !flying[0].at.After(now) {
			f := heap.Pop(&flying).(flight).f
			if f.Verdict == Accepted && !m.most {
				m.settle(now)
				m.charge(0, answers[f.Ticket.number])
			}
			c.Answered(now, f)
		}
		ok, at := c.Permit(now, size)
		if ok {
			k := c.Sent(now, size)
			good, l := m.enter(now, prompt, 1024)
			f := Feedback{Verdict: Refused, Ticket: k, Bytes: size.Bytes, Limits: l}
			took := 50 * time.Millisecond
			if good {
				took = time.Duration(float64(time.Second) * math.Exp(0.4*rng.NormFloat64()))
				f.Verdict, f.Tokens, f.PromptTokens = Accepted, int(prompt+answer), int(prompt)
				answers[k.number] = answer
				accepted++
				size, prompt, answer = next()
			} else {
				refused++
			}
			heap.Push(&flying, flight{now.Add(took), f})
			continue
		}
		now = at
		if at.IsZero() || len(flying) > 0 && flying[0].at.Before(at) {
			now = flying[0].at
		}
	}
	return accepted, refused
}

func TestTokensAreHeldWhateverIsCharged(t *testing.T) {
	for name, m := range map[string]*meter{
		"all, by use":             newMeter(200_000, 0, 0, false),
		"all, max_tokens at once": newMeter(800_000, 0, 0, true),
		"sent tokens alone":       newMeter(0, 200_000, 0, false),
		"answered tokens alone":   newMeter(0, 0, 100_000, false),
		"answered, at once":       newMeter(0, 0, 800_000, true),
		"both, sent binds":        newMeter(0, 100_000, 400_000, false),
		"both, answered bind":     newMeter(0, 400_000, 100_000, false),
	} {
		c := New(Config{Concurrency: 4096}, nil, start)
		accepted, refused := driveTokens(c, m, 10*time.Minute)
		share := 0.0
		for p := range parts {
			if m.perMinute[p] > 0 {
				share = max(share, m.charged[p]/(10*m.perMinute[p]))
			}
		}
		if share < 0.97 || refused > accepted/50 {
			t.Errorf("%s: %.3f of the limit was charged, %d of %d refused", name, share, refused, accepted+refused)
		}
		s := c.Snapshot(start.Add(10 * time.Minute))
		if want := m.perMinute[whole] + m.perMinute[input] + m.perMinute[output]; s.TPM != want || s.Bound != BoundTPM {
			t.Errorf("%s: it says %+v, want a limit of %v", name, s, want)
		}
	}
}

// A limit without a word of what is left is kept by what requests take.
func TestTokensAreHeldWhereNothingSaysWhatIsLeft(t *testing.T) {
	m := newMeter(0, 200_000, 0, false)
	m.quiet = true
	c := New(Config{Concurrency: 4096}, nil, start)
	if _, refused := driveTokens(c, m, 10*time.Minute); m.charged[input] < 0.96*2e6 || refused > 5 {
		t.Errorf("%.0f tokens of 2,000,000 were sent, %d refused", m.charged[input], refused)
	}
}

func TestSpendLogKnowsTheMinuteBefore(t *testing.T) {
	var g spendLog
	rng := rand.New(rand.NewPCG(1, 1))
	var at, sums []float64
	sum := 0.0
	for now := 0.0; now < 300; now += rng.Float64() * 0.5 {
		g.add(now, spend{prompts: 10})
		sum += 10
		at, sums = append(at, now), append(sums, sum)
		low, high := 0.0, 0.0
		for i, x := range at {
			if x <= now-minuteSeconds-logSeconds {
				low = sums[i]
			}
			if x <= now-minuteSeconds+logSeconds {
				high = sums[i]
			}
		}
		if got := g.minuteAgo(now).prompts; got < low || got > high {
			t.Fatalf("at %v it says %v, of %v to %v", now, got, low, high)
		}
	}
}

// What was refused was not charged, also not to those that left before that was
// known.
func TestTakenBackCountsForThoseUnderWay(t *testing.T) {
	var b takenBack
	b.add(&Ticket{number: 5, cost: spend{prompts: 7}}, 9)
	for number, want := range map[int64]float64{4: 0, 6: 7, 8: 7, 9: 0, 10: 0} {
		if got := b.since(&Ticket{number: number}).prompts; got != want {
			t.Errorf("request %d left with %v too many, want %v", number, got, want)
		}
	}
	for i := range int64(1000) {
		b.add(&Ticket{number: 100 + i}, 101+i)
	}
}

// What is always 0, or always full, is not true: requests go on.
func TestTokensOutliveLies(t *testing.T) {
	for _, left := range []float64{0, 1e6} {
		c := New(Config{Concurrency: 64}, nil, start)
		now := start
		for range 200 {
			ok, at := c.Permit(now, Size{Bytes: 400})
			for !ok {
				now = at
				ok, at = c.Permit(now, Size{Bytes: 400})
			}
			k := c.Sent(now, Size{Bytes: 400})
			now = now.Add(50 * time.Millisecond)
			c.Answered(now, Feedback{Ticket: k, Bytes: 400, Tokens: 200, Limits: Limits{TokensPerMinute: 60_000, Tokens: Budget{Known: true, Left: left}}})
		}
		if took := now.Sub(start); took > 80*time.Second {
			t.Errorf("with %v left for ever 200 requests of 200 tokens at 60,000 a minute took %v", left, took)
		}
	}
}

// A prompt that is alone more than a limit leaves at once and costs nobody
// anything, also when others make its bytes look cheap; where one of that size
// passes, or the limit rises, it is waited for again.
func TestTooLargeIsNotWaitedFor(t *testing.T) {
	large, small := Size{Bytes: 60_000, MaxTokens: 20}, Size{Bytes: 400, MaxTokens: 20}
	limits := Limits{TokensPerMinute: 10_000, Tokens: Budget{Known: true, Left: 100}}
	for name, again := range map[string]struct {
		verdict Verdict
		limit   float64
		waits   bool
	}{
		"refused in plain words": {TooLarge, 10_000, false},
		"refused":                {Refused, 10_000, false},
		"passed":                 {Accepted, 10_000, true},
		"a higher limit":         {Refused, 20_000, true},
	} {
		c := New(Config{Concurrency: 100}, nil, start)
		now := start
		answer := func(s Size, v Verdict, tokens int) {
			k := c.Sent(now, s)
			now = now.Add(10 * time.Second)
			c.Answered(now, Feedback{Verdict: v, Ticket: k, Bytes: s.Bytes, Tokens: tokens, PromptTokens: tokens / 2, Limits: limits})
		}
		answer(small, Accepted, 100)
		if ok, at := c.Permit(now, large); !ok {
			t.Errorf("%s: it waits until %s at first", name, at)
		}
		answer(large, Refused, 0)
		for range 200 {
			answer(small, Accepted, 20)
		}
		limits := limits
		limits.TokensPerMinute = again.limit
		k := c.Sent(now, large)
		now = now.Add(10 * time.Second)
		c.Answered(now, Feedback{Verdict: again.verdict, Ticket: k, Bytes: large.Bytes, Limits: limits})
		if ok, _ := c.Permit(now, large); ok == again.waits {
			t.Errorf("%s: it may leave: %t", name, ok)
		}
	}
}
