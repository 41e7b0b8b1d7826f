package rate

import (
	"slices"
	"testing"
	"time"
)

// quick are the scenarios that limit requests, without the largest limit.
func quick() []Scenario {
	return only(cold(Silent), func(sc *Scenario) bool { return sc.RPM > 0 && sc.RPM <= 6000 })
}

// The oracle's own pace, a hair below the limit, passes every limiter: what the
// laws promise, they keep.
func TestEvenPaceFitsEveryLimiter(t *testing.T) {
	var lab Lab
	for _, sc := range quick() {
		sc.Length = 5 * minute
		// A window of N holds N and a few more that are on their way.
		pace := sc.RPM * (1 - 0.006)
		run := lab.Run(&sc, NewPaced(pace), 1)
		if n := run.Refusals(0, sc.Length); n > 0 {
			t.Errorf("%s: %d refused", sc.Name(), n)
		}
		share := float64(run.Answers(0, sc.Length)) / sc.Oracle(0, 0, sc.Length)
		if share < 0.98 || share > 1.01 {
			t.Errorf("%s: share %.3f", sc.Name(), share)
		}
	}
}

// Above the limit a minute holds no more than the limit and what was saved up.
func TestLimitersHoldTheirLimit(t *testing.T) {
	var lab Lab
	for _, sc := range quick() {
		if sc.Counted {
			continue
		}
		sc.Length = 4 * minute
		run := lab.Run(&sc, NewPaced(3*sc.RPM), 1)
		taken := run.arrivals()
		most := int(sc.RPM)
		switch {
		case sc.Kind == Bucket:
			most += int(max(1, sc.RPM*sc.Depth.Minutes()))
		case sc.Kind == Fixed:
			most *= 2
		}
		for i := most; i < len(taken); i++ {
			if taken[i]-taken[i-most] < minute-time.Microsecond {
				t.Fatalf("%s: more than %d in a minute", sc.Name(), most)
			}
		}
		// What is refused a moment too early loses that moment.
		if n := run.Answers(2*minute, sc.Length); float64(n) < 0.8*2*sc.RPM {
			t.Errorf("%s: only %d answers in 2 minutes", sc.Name(), n)
		}
	}
}

// Where refusals count, who hammers gets next to nothing.
func TestCountedRefusalsCost(t *testing.T) {
	var lab Lab
	for _, sc := range quick() {
		if !sc.Counted {
			continue
		}
		sc.Length = 4 * minute
		run := lab.Run(&sc, NewPaced(3*sc.RPM), 1)
		if share := run.Share(2*minute, sc.Length); share > 0.5 {
			t.Errorf("%s: share %.2f", sc.Name(), share)
		}
	}
}

func TestSameSeedSameRun(t *testing.T) {
	var one, other Lab
	for _, sc := range append(tokenBound(Told), latencyOnly()...) {
		sc.Length = 2 * minute
		a := slices.Clone(one.Run(&sc, Ours(&sc), 7).Records)
		other.Run(&sc, Ours(&sc), 8) // what it leaves behind must not matter
		if b := other.Run(&sc, Ours(&sc), 7).Records; !slices.Equal(a, b) {
			t.Errorf("%s: two runs of one seed differ", sc.Name())
		}
	}
}
