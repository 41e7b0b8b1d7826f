package rate

import (
	"math"
	"time"
)

const (
	// A climb is over when all explanations agree to settled after a span of
	// settledCount, or after so many stages. A stage begins a little below the
	// lowest and takes about six steps to the highest.
	settled      = 1.06
	settledCount = 8
	mostStages   = 4
	climbBelow   = 0.97
	climbAbove   = 1.1
	climbSteps   = 6
	// Beyond the highest it doubles in so many more steps each time.
	refutedSteps = 5
	stepSeconds  = 0.4
	stepCount    = 3
	// stepFeedback of a refusal's time is the least step, lest much is sent
	// before the first refusal is known.
	stepFeedback = 1.5
	// longestStep is the most seconds of a step where all that is known is that
	// one request in a minute or so was accepted: it may have been a window that
	// was shut.
	longestStep = 12.0
	// disagree is by how much explanations must differ to end a cruise.
	disagree = 1.2
	// fewSpans say too little to question a rate that was known.
	fewSpans = 3

	// A span that shows less than this share of the rate tells of a fall.
	fellShare = 0.7
	// earlyCount, or earlyShare of those within the limit, is how few requests
	// before a refusal say little of the rate but that it is too high; it is then
	// cut by earlyCut, twice as much each time.
	earlyCount  = 30
	earlyShare  = 0.125
	earlyCut    = 0.02
	earlyInARow = 3
	// shutInARow early refusals after refused probes tell of a fall, however many
	// requests a deep bucket let pass in between.
	shutInARow = 2
	// withinFlat of the time that a cruise stays within the limit is surely so.
	withinFlat = 0.9
	// A refusal in a known window is at its count if it is within countNear of
	// it, or of the one before within countAgain.
	countNear  = 0.03
	countAgain = 0.02
	// countFar below it may be chance where some are refused at random.
	countFar = 0.1
	// leastWindow is the smallest count that is taken for a window's.
	leastWindow = 8

	// So many refused probes mean that a bucket's rate, or a window's count, is
	// not what it was.
	probesFell   = 2
	probesClimb  = 3
	probesWindow = 6
)

// close begins a closure with its first refusal.
func (l *learner) close(t float64, k Ticket, retryAfter float64) {
	s := l.spanTo(k)
	full := l.busy >= fullShare*s.seconds
	grown := max(0, l.grown-(t-k.at))
	top := l.after(grown)
	l.closure = closure{from: l.phase, at: t, sentAt: k.at, refused: 1, span: s, top: top, counted: l.minute.sum.requests, notBefore: t + retryAfter, gap: 1, lastSent: t}
	most := 0.0
	switch {
	case l.told.rate > 0:
		l.doubt(k)
		l.phase, l.since = closed, l.lastSent+1
		l.closure.rho = top
		return
	case s.count > 0:
		refused := refusedSpan{&l.trace, k.at, s.count, top, l.lengths.lumps, l.lengths.longest}
		var e explained
		e, most = refused.explain()
		l.belief.add(e, s.count)
	}
	l.suspect(grown)
	l.closure.rho = top
	switch l.phase {
	case ramp:
		// Whatever was known is exceeded.
		l.kind, l.rate = kindUnknown, max(l.rate, s.rate())
		l.belief.forgetAllBut(1)
		if c := l.minute.sum.requests; c < s.count {
			l.closure.span = span{c, minuteSeconds}
		}
	case climb:
		l.narrow(s)
	case cruise:
		l.learn(s, top, grown, most, full)
	}
	l.phase, l.since = closed, l.lastSent+1
}

// suspect watches for refusals that have nothing to do with the rate.
func (l *learner) suspect(grown float64) {
	switch within := grown < withinFlat*l.flat(); {
	case l.phase == cruise && !within, l.phase == ramp && l.noise.share == 0, l.phase == regain:
		l.noise.isLate()
	case l.tried == 0 || l.noise.share > 0:
		l.noise.isEarly(l.belief.unexplained())
	}
	starved := l.closure.top < l.rate/noiseStarved
	l.suspected = l.noise.suspected(l.lengths.matter && !starved) && (l.phase == cruise || starved || l.noise.share > 0)
}

// narrow takes what a climb brought.
func (l *learner) narrow(s span) {
	best, low, high := l.belief.rate()
	if s.count < 2 {
		// It tells nothing but that this is too fast.
		l.base = max(l.base/2, 0.5/max(s.seconds, l.feedback))
		l.step = l.leastStep()
		return
	}
	if best == 0 {
		best, low, high = s.rate(), s.rate(), max(s.rate(), l.closure.top)
	}
	// What a climb refused at may be many times the rate.
	if !l.lengths.matter {
		l.closure.rho = min(l.closure.top, 2*max(low, s.rate()))
	}
	if high <= settled*low && s.count >= settledCount || l.stage >= mostStages {
		l.settle(best)
		return
	}
	l.stage++
	if l.stage > 2 {
		// From the middle on the explanations differ in what they expect.
		low = math.Sqrt(low * high)
	}
	l.base = low * climbBelow
	l.step = l.leastStep()
	l.factor = math.Pow(climbAbove*high/low, 1.0/climbSteps)
}

func (l *learner) leastStep() float64 {
	return max(stepSeconds, stepCount/l.base, stepFeedback*l.feedback)
}

// settle ends the climb: the rate is known.
func (l *learner) settle(rate float64) {
	l.rate, l.stage, l.sure = rate, 0, true
}

// learn takes what a cruise brought.
func (l *learner) learn(s span, top, grown, most float64, full bool) {
	if l.kind == kindWindow {
		c := l.minute.sum.requests
		n := 60 * l.rate
		if c < n && l.closure.sentAt < l.wholeAt {
			return
		}
		if far := c < (1-countFar)*n; far && l.noise.share > 0 && !l.far {
			l.far = true // it may be chance once
			return
		}
		l.far = false
		if c < n || c <= (1+countNear)*n || math.Abs(c-l.counted) < countAgain*c {
			l.rate = c / 60
		}
		if l.counted = c; c < leastWindow {
			l.kind, l.closure.fell = kindUnknown, true
			l.rate = max(l.rate, slowest)
		}
		return
	}
	early := grown < l.flat()/2
	l.closure.slight = full && !early
	if l.shut++; !early || l.tried == 0 {
		l.shut = 0
	}
	switch {
	case !full:
	case l.tried > 0 && s.count < 3, l.shut >= shutInARow:
		// What was waited would have been enough at the known rate.
		l.closure.fell = true
	case most > 0 && most*(1+2/(s.count+1)) < fellShare*l.rate:
		l.closure.fell = true
	case early && s.count < max(earlyCount, earlyShare*l.base*l.flat()):
		l.rate = min(l.rate, top) * (1 - earlyCut*math.Exp2(l.early))
		l.early = min(l.early+1, earlyInARow)
		return
	default:
		best, low, high := l.belief.rate()
		if l.belief.n < fewSpans && l.sure && low <= l.rate && l.rate <= high*settled {
			best = l.rate // as it was known before a restart or a hold
		} else if high > disagree*low {
			l.stage = 1
			l.narrow(s)
			l.closure.from = climb
			return
		}
		l.rate = min(best, top)
	}
	l.early = 0
}

// open ends a closure: the probe was accepted.
func (l *learner) open(now time.Duration, t float64) {
	c := &l.closure
	l.noise.opened()
	l.reopen(t)
	l.waiting, l.tried = false, c.probes
	l.pace.Begin(now, 60*l.base, -1+(t-c.probeAt)*l.base)
}

// reopen decides how it goes on after a closure.
func (l *learner) reopen(t float64) {
	c := &l.closure
	gap := max(c.probeAt-l.mark.at, 1e-3)
	low := 0.5 / gap
	if c.from != cruise {
		low = max(low, c.span.count/(60+c.span.seconds))
	}
	switch {
	case l.suspected && c.probes < probesFell && c.soon(l, t):
		l.suspected = false
		l.try(t, c.top)
	case c.from == regain && c.probes < probesFell && (c.resumed || !l.refuted):
		l.refuted = !c.resumed
		l.regain()
	case l.told.rate > 0 && c.from == ramp:
		l.begin(ramp, c.top/2)
	case l.told.rate > 0:
		l.begin(cruise, l.told.rate*toldShare)
	case l.kind == kindWindow && c.probes < probesWindow:
		l.begin(cruise, l.rate)
	case c.from == climb && c.probes < probesClimb && l.stage == 0:
		l.kind = kindBucket
		l.begin(cruise, l.rate)
	case c.from == climb && c.probes < probesClimb:
		l.begin(climb, l.base)
	case c.from == cruise && c.probes < probesFell && !c.fell:
		l.begin(cruise, l.rate)
	default:
		if c.from == ramp && l.rate > 0 {
			low = max(low, c.top/4)
		}
		l.kind, l.stage, l.factor = kindUnknown, 1, 2
		l.sure = l.sure && c.from == ramp
		if c.fell && c.span.count > 0 {
			low, l.factor = max(low, 0.9*c.span.rate()), 1.3
		}
		switch {
		case c.from == regain:
			l.belief.forget()
		case c.from == cruise:
			l.belief.lowered()
		case c.from == climb:
			l.belief.restart()
		}
		if c.from == regain {
			l.rate, l.refuted = min(l.rate, c.top/2), false
		}
		l.begin(climb, min(low, c.top/2))
		l.step = max(rampDouble, min(2/l.base, longestStep), stepFeedback*l.feedback)
	}
}
