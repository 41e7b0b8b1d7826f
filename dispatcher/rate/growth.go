package rate

import "math"

const (
	// rampStart is the first rate, a second: a refusal comes back before many
	// more have left. It doubles in rampDouble seconds; what is then refused
	// until the first refusal is known is a few per cent of what was accepted.
	rampStart  = 16.0
	rampDouble = 0.9
	// A provider that answers at once, and never refused, is met faster: it is
	// reckoned to refuse as fast as it answers, rampFastest seconds or more. With
	// rampAtOnce requests at once, doubled in the time of rampAnswers answers, an
	// overshoot is the same few per cent of what was accepted.
	rampFastest = 0.001
	rampAtOnce  = 2
	rampAnswers = 18
	// rampMemory is over how many answers their time is taken, so that one that
	// grows slow under the load is not met with more.
	rampMemory = 8

	// climbCount requests are enough for a climb to double.
	climbCount = 8.0

	// slowest is the least rate, a second: one request a minute.
	slowest = 1.0 / 60

	// A cruise begins below the limit and reaches it after so many requests, or
	// seconds. Each refusal at its end is one in more than a hundred.
	cruiseRequests = 120.0
	cruiseSeconds  = 18.0
	below          = 0.01
	// Then it exceeds the limit by below, and twice as much in so many requests,
	// or seconds: a limit that was raised tenfold is found in ten such steps. A
	// window is probed more slowly, since what exceeds it is refused only at the
	// minute's end.
	probeRequests = 12.0
	probeSeconds  = 2.0
	windowSeconds = 6.0
	windowFlat    = 98.0
	// windowFlat is the most seconds within a window's count: a raise is to be
	// found in two windows and a half.
	//
	// A window by the clock lets twice its count pass within 60 s.
	beyondWindow = 2.1
)

// current is the rate that is paced at, a second.
func (l *learner) current() float64 { return l.after(l.grown) }

// after is the rate when the pace has held requests back for so long.
func (l *learner) after(grown float64) float64 {
	switch l.phase {
	case ramp:
		if l.told.rate > 0 {
			return min(l.base*math.Exp2(min(grown/min(toldDouble, l.double), 60)), l.told.rate*toldShare)
		}
		return l.base * math.Exp2(min(grown/l.double, 60))
	case regain:
		return min(l.base*math.Exp2(min(grown/regainDouble, 60)), l.target)
	case climb:
		return l.climbed(grown) * math.Exp2(l.refutes(grown))
	case cruise:
		return l.base * (1 + l.excess(grown))
	default:
		return l.base
	}
}

// climbed is the rate of a climb, which grows by its factor in each step. Where
// nothing had ever been accepted a step takes climbCount requests where those are
// faster, though never less than a ramp: else one that began far too low, since
// all was refused for a while, would take minutes.
func (l *learner) climbed(grown float64) float64 {
	rate, per := l.base, math.Log(l.factor)
	if l.stage > 1 || l.rate > 0 {
		return rate * math.Exp(grown/l.step*per)
	}
	if by := climbCount / l.step; rate < by {
		took := l.step * math.Log(by/rate) / per
		if grown <= took {
			return rate * math.Exp(grown/l.step*per)
		}
		rate, grown = by, grown-took
	}
	fastest := min(l.step, max(rampDouble, stepFeedback*l.feedback))
	if by := climbCount / fastest; rate < by {
		took := climbCount / per * (1/rate - 1/by)
		if grown <= took {
			return 1 / (1/rate - grown*per/climbCount)
		}
		rate, grown = by, grown-took
	}
	return rate * math.Exp(min(grown/fastest*per, 60))
}

// within tells whether a cruise is surely within the limit.
func (l *learner) within(grown float64) bool { return l.told.rate == 0 && grown < l.flat() }

// refutes is how many times a climb doubles that went beyond all that explains
// the spans, and nothing was refused.
func (l *learner) refutes(grown float64) float64 {
	if l.stage < 2 || l.lengths.matter {
		return 0
	}
	return min(60, max(0, grown/l.step-climbSteps)/refutedSteps)
}

// excess is by how much of the rate a cruise is beyond it.
func (l *learner) excess(grown float64) float64 {
	of := excessOf{grown, l.base, l.told.rate, l.told.verified, l.kind}
	if l.newest.of != of {
		l.newest.of, l.newest.excess = of, l.findExcess(grown)
	}
	return l.newest.excess
}

// excessOf is what an excess is made of. A permit asks for the same one several
// times.
type excessOf struct {
	grown, base, told float64
	verified          bool
	kind              kind
}

func (l *learner) findExcess(grown float64) float64 {
	if l.told.rate > 0 {
		return l.told.excess(grown)
	}
	flat := l.flat()
	if grown < flat {
		return -below * (1 - grown/flat)
	}
	step := max(probeRequests/l.base, probeSeconds)
	if l.kind == kindWindow {
		step = windowSeconds
	}
	return below * (math.Exp2(min((grown-flat)/step, 30)) - 1)
}

// beyond tells whether a cruise accepted so much that the limit must have risen.
func (l *learner) beyond(t float64) bool {
	if l.kind == kindWindow {
		l.minute.advance(t)
		return l.minute.sum.requests > beyondWindow*60*l.rate+5
	}
	return l.excess(l.grown) >= 1
}

// flat is for how many seconds a cruise stays within the limit.
func (l *learner) flat() float64 {
	flat := max(cruiseRequests/l.base, cruiseSeconds)
	if l.kind == kindWindow {
		flat = min(flat, windowFlat)
	}
	return flat
}
