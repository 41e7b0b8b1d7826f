package rate

import (
	"math"
	"math/rand/v2"
	"testing"
)

// spanOf lets a bucket that was just emptied meet a rate that doubles, and
// returns the trace of it, the time of the refusal and how much was accepted.
func spanOf(tr *trace, perSecond, depth, first, doubling float64) (end, count, top float64) {
	tr.begin(0, false)
	level, t := emptyLevel, 0.0
	for {
		top = first * math.Exp2(t/doubling)
		step := 1 / top
		t += step
		if level = min(depth, level+perSecond*step); level < 1 {
			return t, count, top
		}
		tr.add(t, count)
		level--
		count++
	}
}

// A span's replay under the true depth gives the true rate, and two unlike
// spans tell which depth that is.
func TestReplayFindsTheRateWhateverTheDepth(t *testing.T) {
	for _, perSecond := range []float64{1, 10, 500} {
		for _, depth := range []float64{1, perSecond, 60 * perSecond} {
			if depth < 1 {
				continue
			}
			var b belief
			for _, first := range []float64{perSecond / 8, perSecond * 0.7, perSecond * 0.95} {
				var tr trace
				end, count, top := spanOf(&tr, perSecond, depth, first, 20/perSecond+1)
				b.add(tr.explain(end, count, top, spanSpread))
			}
			if best, _, _ := b.rate(); math.Abs(best/perSecond-1) > 0.08 {
				t.Errorf("%v a second, depth %v: learned %v", perSecond, depth, best)
			}
		}
	}
}

// Without the depth one span is ambiguous, and that is said.
func TestReplayOfOneSpanGivesARange(t *testing.T) {
	var b belief
	var tr trace
	end, count, top := spanOf(&tr, 10, 1, 1, 1)
	b.add(tr.explain(end, count, top, spanSpread))
	if _, low, high := b.rate(); low > 6 || high < 9.5 {
		t.Errorf("one span of a bucket of 1 at 10 a second lets it lie between %v and %v", low, high)
	}
}

func TestTraceStaysSmall(t *testing.T) {
	var tr trace
	tr.begin(0, false)
	for i := range 1_000_000 {
		tr.add(float64(i)/500, float64(i))
	}
	if tr.n > traceSize || tr.points[tr.n-1].count < 900_000 {
		t.Errorf("%d points, the last at %v", tr.n, tr.points[tr.n-1])
	}
}

func TestBeliefForgets(t *testing.T) {
	var b belief
	for range 2 * spansKept {
		b.add(explained{})
	}
	b.forgetAllBut(1)
	if b.n != 1 {
		t.Errorf("%d spans are kept", b.n)
	}
	if b.forget(); b.n != 0 {
		t.Errorf("%d spans are kept after forgetting", b.n)
	}
}

func TestMinuteCountsTheLastSixtySeconds(t *testing.T) {
	var m minute
	rng := rand.New(rand.NewPCG(1, 1))
	var at []float64
	for now := 0.0; now < 300; now += rng.Float64() * 0.2 {
		m.sent(now, 10)
		at = append(at, now)
		exact, loose := 0.0, 0.0
		for _, x := range at {
			if now-x < minuteSeconds {
				exact++
			}
			if now-x < minuteSeconds+binSeconds {
				loose++
			}
		}
		if m.sum.requests < exact || m.sum.requests > loose {
			t.Fatalf("at %v it counts %v, of %v to %v", now, m.sum.requests, exact, loose)
		}
	}
	if opens := m.opens(at[len(at)-1], 10, false); opens < at[len(at)-1]+minuteSeconds-3 {
		t.Errorf("with 10 a minute it opens at %v", opens)
	}
}

func TestMinuteForgetsRefused(t *testing.T) {
	var m minute
	m.sent(1, 10)
	m.sent(1, 10)
	m.refused(1.1, 1, 10)
	if m.sum.requests != 1 || m.sum.tokens != 10 || m.sum.refused != 1 {
		t.Errorf("it counts %+v", m.sum)
	}
	if opens := m.opens(2, 2, false); opens > 2 {
		t.Errorf("one accepted of two: it opens at %v", opens)
	}
	if opens := m.opens(2, 2, true); opens < 61 {
		t.Errorf("with the refused one it opens at %v", opens)
	}
	m.sent(1000, 1)
	if m.sum.requests != 1 {
		t.Errorf("after a long pause it counts %v", m.sum.requests)
	}
}
