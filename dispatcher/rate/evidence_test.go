package rate

import (
	"math"
	"testing"
)

// refusedAt is evidence of refusals in any minute by one measure: each was after so
// much, which one request more exceeded.
func refusedAt(step float64, counts ...float64) *evidence {
	e := &evidence{}
	for _, n := range counts {
		e.add(300)[anyMinute][byMost] = counted(step, n)
	}
	return e
}

func counted(step, n float64) bracket {
	return bracket{low: n, high: n + step, step: step, off: 0.002 * n, holds: 1, others: 1.5 * math.Sqrt(n*step)}
}

func likely(e *evidence, shared bool) float64 {
	v, _ := e.likely(anyMinute, byMost, shared)
	return v
}

// What a limit allows each time is the more likely the more exactly it is the same.
func TestEvidenceOfALimitIsThatItIsTheSame(t *testing.T) {
	same, near := refusedAt(4, 1200, 1203, 1201), refusedAt(4, 1200, 1260, 1150)
	if likely(same, false) < surer || likely(near, false) > -surer {
		t.Errorf("a limit that is the same is as likely as %.2f, one that is not as %.2f", likely(same, false), likely(near, false))
	}
	if _, limit := same.likely(anyMinute, byMost, false); math.Abs(limit-1203) > 5 {
		t.Errorf("the limit is %.0f, want about 1203", limit)
	}
	// Others who are not seen may take the difference.
	if likely(near, true) < likely(near, false)+surer || likely(same, true) > likely(same, false)-surer {
		t.Errorf("with others who share it the limit is as likely as %.2f and %.2f", likely(near, true), likely(same, true))
	}
}

// Of two requests of which the long one is refused, the long one is the likelier
// to be refused if tokens are counted.
func TestEvidenceOfALongRequest(t *testing.T) {
	if short, long := likely(refusedAt(1, 1200), false), likely(refusedAt(20, 1200), false); long < short+1 {
		t.Errorf("that the long one is refused is as likely as %.2f, the short one %.2f", long, short)
	}
}

// What was accepted refutes a limit that would have refused it.
func TestEvidenceOfWhatWasAccepted(t *testing.T) {
	e := refusedAt(4, 1200, 1203)
	was := likely(e, false)
	e.newest()[anyMinute][byMost].passed = 1190
	if v := likely(e, false); math.Abs(v-was) > 1e-9 {
		t.Errorf("less than the limit was accepted, and it is as likely as %.2f, not %.2f", v, was)
	}
	e.newest()[anyMinute][byMost].passed = 1250
	if v := likely(e, false); v > was-surer {
		t.Errorf("more than the limit was accepted, and it is as likely as %.2f, before %.2f", v, was)
	}
}

func TestEvidenceForgetsTheOldest(t *testing.T) {
	e := refusedAt(4, 500, 700, 900)
	for range bracketsKept {
		e.add(300)[anyMinute][byMost] = bracket{low: 1200, high: 1204, step: 4, off: 2, holds: 1}
	}
	if _, limit := e.likely(anyMinute, byMost, false); math.Abs(limit-1202) > 4 {
		t.Errorf("the limit is %.0f, want about 1202", limit)
	}
	if v, _ := (&evidence{}).likely(0, byRequest, false); !math.IsInf(v, -1) {
		t.Errorf("nothing was refused, and a bucket is as likely as %v", v)
	}
}

// A kind that was made out otherwise makes the laws of another less likely.
func TestLawsOfAKnownKind(t *testing.T) {
	if limiter(0).weight(kindUnknown) != 1 || limiter(0).weight(kindBucket) != 1 || anyMinute.weight(kindWindow) != 1 {
		t.Error("a law of its kind does not count whole")
	}
	if limiter(0).weight(kindWindow) >= 1 || clockWindow.weight(kindBucket) >= 1 {
		t.Error("a law of another kind counts whole")
	}
}
