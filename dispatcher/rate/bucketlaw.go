package rate

import "math"

const (
	// The depths that are tried: 1, and each half as large again, the last of them
	// without end.
	depthSteps  = 28
	depthFactor = 1.5

	// emptyLevel is what a bucket holds when it refuses: less than one request;
	// emptySpread is how far that may be off.
	emptyLevel  = 0.97
	emptySpread = 0.3
	// depthSpread is the share by which a full bucket may hold more or less, and
	// depthError that by which a depth is off that lies between two that are tried.
	depthSpread = 0.2
	depthError  = 0.12
	// levelSpread is how far what a bucket holds may be off by what is not
	// reckoned, lateSpread how many seconds the ways of two requests differ.
	levelSpread = 0.05
	lateSpread  = 0.005
	// mostWeight keeps the rates of long spans from being taken for exact: they are
	// off by 1.5 %.
	mostWeight = 1 / (0.015 * 0.015)

	// The provider's rate is at least leastRate and at most mostRate of the one at
	// which requests left.
	leastRate = 0.02
	mostRate  = 1.1
	// rateError is how exactly a rate is solved for, as a share of it.
	rateError = 1e-6
)

// bucketLaw is a bucket as it may be: its depth, and whether refusals count, down
// to minus its depth.
type bucketLaw struct {
	depth   float64
	counted bool
}

// bucketLaws are all laws that are tried: of each depth both, the shallow first.
var bucketLaws = func() (all [2 * depthSteps]bucketLaw) {
	depth := 1.0
	for i := range depthSteps {
		if i == depthSteps-1 {
			depth = math.Inf(1)
		}
		all[2*i], all[2*i+1] = bucketLaw{depth, false}, bucketLaw{depth, true}
		depth *= depthFactor
	}
	return all
}()

// first is what a bucket holds at the beginning of a trace.
func (b bucketLaw) first(tr *trace, rate float64) level {
	switch {
	case tr.full:
		return level{b.depth, 0}
	case b.counted:
		l := level{emptyLevel - tr.refused + rate*tr.closed, tr.closed}
		return l.atMost(emptyLevel - 1).atLeast(-b.depth)
	}
	return level{min(b.depth, emptyLevel), 0}
}

// spread is how far that may be off.
func (b bucketLaw) spread(tr *trace) float64 {
	if tr.full {
		return depthSpread * b.depth
	}
	return emptySpread
}

// refusedSpan is a trace as a law has to explain it: requests left at the rate top in
// the end, and the last, after count others, was refused.
type refusedSpan struct {
	trace           *trace
	end, count, top float64
	// lumps is the variance of what a bucket holds by what is not known of how
	// long requests are, longest the units of the longest: no bucket holds less.
	lumps, longest float64
}

// explanation is what a span says of the rate under a law.
type explanation struct {
	rate   float64 // 0: the law cannot be
	weight float64 // one over the variance of the rate's logarithm
	cost   float64 // how much speaks against the law, as twice a log likelihood
}

// explained is what it says under each of bucketLaws.
type explained [len(bucketLaws)]explanation

// explain finds the rates at which a bucket of each law would have accepted all
// that left, and not what left last. most is the largest under any law.
func (s *refusedSpan) explain() (e explained, most float64) {
	for i, b := range bucketLaws {
		switch {
		case s.trace.full && (math.IsInf(b.depth, 1) || b.depth > depthFactor*s.count):
			return e, most
		case b.depth < s.longest:
		case i >= 2 && e[i-2].rate > 0 && s.neverFull(bucketLaws[i-2]):
			e[i] = e[i-2]
		default:
			var high float64
			e[i], high = s.under(b)
			most = max(most, high)
		}
	}
	return e, most
}

// neverFull tells that a deeper bucket makes no difference.
func (s *refusedSpan) neverFull(b bucketLaw) bool {
	fast, slow := b.first(s.trace, mostRate*s.top), b.first(s.trace, leastRate*s.top)
	_, _, most := s.trace.levels(fast, mostRate*s.top, math.Inf(1), s.end, s.count)
	return !s.trace.full && most < b.depth && slow.value > -b.depth
}

// under is what a span says under a law, and the largest rate that is possible.
func (s *refusedSpan) under(b bucketLaw) (x explanation, high float64) {
	high, slope := s.emptyAt(func(rate float64) level {
		last, _, _ := s.trace.levels(b.first(s.trace, rate), rate, b.depth, s.end, s.count)
		return last
	})
	low, _ := s.emptyAt(func(rate float64) level {
		_, least, _ := s.trace.levels(b.first(s.trace, rate), rate, b.depth, s.end, s.count)
		return least
	})
	first := b.first(s.trace, high)
	last, _, _ := s.trace.levels(first, high, b.depth, s.end, s.count)
	first.value -= b.spread(s.trace) / 2
	emptier, _, _ := s.trace.levels(first, high, b.depth, s.end, s.count)
	variance := s.lumps + square(levelSpread) + square(high*lateSpread) + square(2*(last.value-emptier.value))
	if b.depth > 1 && !math.IsInf(b.depth, 1) {
		deeper, _, _ := s.trace.levels(b.first(s.trace, high), high, b.depth*(1+depthSpread), s.end, s.count)
		variance += square(depthError / depthSpread * (deeper.value - last.value))
	}
	variance /= max(1e-6, square(high*slope))
	between := math.Log(high / low)
	if x.rate = math.Sqrt(low * high); between < 0 {
		x.rate, x.cost = high, square(between)/variance
	}
	x.weight = 1 / (1/mostWeight + square(between)/12 + variance)
	return x, high
}

func square(x float64) float64 { return x * x }

// emptyAt is the rate at which a level is just enough for one request, to within
// rateError of it, and how the level goes with the rate below that. A level is
// concave in the rate, so that Newton's steps from below never pass it.
func (s *refusedSpan) emptyAt(of func(rate float64) level) (rate, slope float64) {
	for rate = leastRate * s.top; ; {
		l := of(rate)
		if l.value >= 1 {
			return rate, slope
		}
		slope = l.slope
		step := (1 - l.value) / slope
		if !(rate+step < mostRate*s.top) {
			return mostRate * s.top, slope
		}
		if rate += step; step < rateError*rate {
			return rate, slope
		}
	}
}
