package rate

import (
	"math"
	"math/rand/v2"
	"testing"
)

// spanOf lets a bucket that was just emptied meet a rate that doubles, and
// returns the trace of it, the time of the refusal and how much was accepted.
func spanOf(tr *trace, perSecond, depth, first, doubling float64) (end, count, top float64) {
	tr.begin(0, 1, 0)
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
				e, _ := (&refusedSpan{&tr, end, count, top, 0, 1}).explain()
				b.add(e, 100)
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
	e, _ := (&refusedSpan{&tr, end, count, top, 0, 1}).explain()
	b.add(e, 100)
	if _, low, high := b.rate(); low > 6 || high < 9.5 {
		t.Errorf("one span of a bucket of 1 at 10 a second lets it lie between %v and %v", low, high)
	}
}

func TestTraceStaysSmall(t *testing.T) {
	var tr trace
	tr.begin(0, 1, 0)
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
		b.add(explained{}, 1)
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

// crossing lets a bucket meet an even rate a little above its own until it
// refuses, after refusals that came before.
func crossing(law bucketLaw, perSecond, top, refused float64) (explained, float64) {
	var tr trace
	tr.begin(0, refused, 0)
	level := law.first(&tr, perSecond).value
	for count := 0.0; ; count++ {
		t := (count + 3*refused) / top
		if count > 0 {
			level = min(law.depth, level+perSecond/top)
		} else {
			level = min(law.depth, level+perSecond*t)
		}
		if level < 1 {
			return (&refusedSpan{&tr, t, count, top, 0, 1}).explain()
		}
		tr.add(t, count)
		level--
	}
}

// What refusals cost is told from what was not filled in: only the law that
// counts them explains spans after few and after many.
func TestBeliefTellsWhetherRefusalsCount(t *testing.T) {
	for _, counted := range []bool{false, true} {
		law := bucketLaw{100, counted}
		var b belief
		for i, refused := range []float64{1, 12, 2, 8} {
			e, _ := crossing(law, 10, []float64{12, 15, 11, 20}[i], refused)
			b.add(e, 100)
		}
		if best, low, high := b.rate(); math.Abs(best/10-1) > 0.02 || low < 9.5 || high > 10.5 {
			t.Errorf("counted is %v: %v, between %v and %v", counted, best, low, high)
		}
	}
}

// Spans that are all alike fit every depth; what told the depths apart before
// them is not forgotten.
func TestBeliefKeepsWhatOlderSpansSaid(t *testing.T) {
	law := bucketLaw{10, false}
	var b belief
	for _, top := range []float64{11, 14, 20, 40} {
		e, _ := crossing(law, 10, top, 1)
		b.add(e, 100)
	}
	for range 3 * spansKept {
		e, _ := crossing(law, 10, 11, 1)
		b.add(e, 100)
		if best, low, high := b.rate(); math.Abs(best/10-1) > 0.03 || high > disagree*low {
			t.Fatalf("%v, between %v and %v", best, low, high)
		}
	}
	b.lowered()
	// A bucket that held 10 may hold 1 after a fall to a tenth; whether refusals
	// count stays as it was.
	if b.n != 0 || b.past[0] > 1 || b.past[1] < costSpread {
		t.Errorf("%d spans, and of the laws it says %v", b.n, b.past)
	}
}

// refusedAfter is a span of so many requests at an even rate.
func refusedAfter(count, top float64) explained {
	var tr trace
	tr.begin(0, 1, 0)
	for n := range int(count) {
		tr.add((float64(n)+3)/top, float64(n))
	}
	e, _ := (&refusedSpan{&tr, (count + 3) / top, count, top, 0, 1}).explain()
	return e
}

// No law explains refusals at random.
func TestBeliefSeesThatNothingExplains(t *testing.T) {
	var b belief
	for i, top := range []float64{10, 3, 17, 5} {
		b.add(refusedAfter([]float64{40, 30, 15, 50}[i], top), 40)
	}
	if !b.unexplained() {
		t.Error("rates of 3 to 17 are explained")
	}
	b.forget()
	for range spansKept {
		b.add(refusedAfter(40, 10), 40)
	}
	if b.unexplained() {
		t.Error("the same rate four times is not explained")
	}
}

// What came last is kept the finest.
func TestTraceIsFineInTheEnd(t *testing.T) {
	var tr trace
	tr.begin(0, 1, 0)
	for i := range 100_000 {
		tr.add(float64(i)/50, float64(i))
	}
	for i := 2; i < tr.n; i++ {
		age := 2000 - tr.points[i].at
		if gap := tr.points[i].at - tr.points[i-1].at; gap > 0.3*age+0.1 {
			t.Errorf("a gap of %.2f s %.2f s before the end, of %d points", gap, age, tr.n)
		}
	}
}

// The spans of a rate are exact to a few requests, those of a limit of requests at
// once are not.
func TestBeliefIsExactUnderARate(t *testing.T) {
	for off, want := range map[float64]bool{0.0002: true, 0.02: false} {
		var b belief
		for i := range spansKept {
			if b.exact() {
				t.Errorf("exact after %d spans", i)
			}
			b.add(refusedAfter(2000, 100*(1+off*float64(i%2))), 2000)
		}
		if b.exact() != want {
			t.Errorf("rates that differ by %v: exact is %v", off, b.exact())
		}
	}
}
