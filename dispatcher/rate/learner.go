package rate

import "time"

// kind is how a provider limits.
type kind int

const (
	kindUnknown kind = iota
	kindBucket       // units flow in evenly, up to a depth, be it one
	kindWindow       // so many a minute, by the clock or in any 60 s
)

// limiters are the kinds as they are saved.
var limiters = map[kind]string{kindBucket: "bucket", kindWindow: "window"}

// kindOf is the kind that was learned.
func kindOf(l *Learned) kind {
	switch {
	case l.Limiter == limiters[kindWindow] && l.RPM >= leastWindow:
		return kindWindow
	case l.Limiter == limiters[kindBucket]:
		return kindBucket
	}
	return kindUnknown
}

// phase is what a learner is about.
type phase int

const (
	ramp   phase = iota // doubling until the first refusal
	closed              // refused: one probe at a time until one is accepted
	climb               // the limit lies between two rates: narrowing
	cruise              // the limit is known: at it, and a little beyond now and then
	regain              // it was known some time ago: up to it from half of it
	trying              // refusals seem to have nothing to do with the rate: far beyond it
)

const (
	// pollSeconds is how often a growing rate is looked at, at most.
	pollSeconds = 0.1
	// firstFeedback is what a refusal is taken to need before one came.
	firstFeedback = 0.1
	// feedbackSpread of a refusal's usual time is waited before a request
	// counts as accepted; its answer may take much longer.
	feedbackSpread = 1.5
	// fullShare of a span in which the pace, and nothing else, held requests back
	// makes what was accepted in it the provider's doing.
	fullShare = 0.9
)

// learner learns the rate at which a provider accepts requests, and paces them.
// Times are in seconds of the Controller's life, rates a second.
type learner struct {
	phase phase
	kind  kind

	pace    pacer
	double  float64 // seconds in which a ramp doubles
	answer  float64 // seconds that an answer takes, until the first refusal; 0: none came
	base    float64 // requests a second at the phase's beginning
	grown   float64 // seconds since then in which the pace held requests back
	last    float64
	waiting bool // the pace held a request back when it was last asked

	target  float64 // what a regain comes back to
	refuted bool    // a regain was refused
	reached float64 // by a ramp that nothing refused, before the last hold
	stage   int     // of a climb, from 1; 0: it is over
	factor  float64 // by which a climb grows each step
	step    float64 // seconds, at least

	rate    float64 // learned, a second; 0: nothing yet
	sure    bool    // nothing contradicts rate
	tried   int     // probes that were refused before the last was accepted
	early   float64 // refusals in a row that came early in a cruise
	shut    int     // and whose first probe had been refused
	far     bool    // a window refused far below its count, and it may have been chance
	counted float64 // in the minute before a window's last refusal
	wholeAt float64 // from when on the minute holds all that a window counts: not at once after a restart
	patient bool    // a probe after a slight refusal came too early
	trace   trace
	belief  belief

	mark  mark
	since int64   // a refusal of a request with a smaller number tells nothing new
	busy  float64 // seconds since mark in which the pace held requests back

	noise     noise
	trial     trial
	suspected bool // a trial is to be made when the next probe passes
	lengths   lengths
	closure   closure
	minute    minute
	feedback  float64 // seconds that a refusal takes
	heard     bool    // a refusal came
	lastSent  int64   // the number of the newest request
	refusals  int64

	told told

	newest struct { // excess that was asked for
		of     excessOf
		excess float64
	}
}

// mark is a moment at which the provider had nothing left to give.
type mark struct {
	at      float64
	number  int64 // requests sent before it
	refused int64 // refusals known of then
}

// span is what was accepted between two such moments.
type span struct{ count, seconds float64 }

func (s span) rate() float64 { return s.count / max(s.seconds, 1e-3) }

// newLearner begins with a rate that is half of what was known; 0: nothing was.
// Where the kind is not known the rate was not made out to its end.
func newLearner(start float64, k kind) learner {
	l := learner{kind: k, base: rampStart, target: 2 * start, feedback: firstFeedback, double: rampDouble}
	if start > 0 {
		l.base, l.rate, l.wholeAt = start, 2*start, minuteSeconds
		if k != kindUnknown {
			l.phase = regain
		}
	}
	l.pace.even = true
	l.trace.begin(0, 0, 0)
	return l
}

// heldBack hears that something else than the pace holds requests back.
func (l *learner) heldBack(t float64) { l.last, l.waiting = t, false }

// permit tells whether a request may leave; where it may not, when to ask
// again, in seconds.
func (l *learner) permit(now time.Duration, t float64) (ok bool, at float64) {
	if l.waiting {
		l.busy += t - l.last
		if l.phase != closed {
			l.grown += t - l.last
		}
	}
	l.last, l.waiting = t, false
	if l.phase == closed {
		if at := l.closure.next(l, t); at > t {
			l.waiting = true
			return false, at
		}
		if l.closure.probing {
			l.open(now, t)
		} else {
			return true, t
		}
	}
	if l.phase == trying {
		if at := l.tries(t); at > t {
			return false, at
		}
	}
	switch {
	case l.told.rate > 0:
		if l.phase != cruise && l.phase != regain && l.current() >= l.told.rate*toldShare {
			l.beginTold(t)
		}
		if l.phase == regain && l.current() >= l.target {
			l.beginTold(t)
		}
		if !l.told.verified && l.phase == cruise && l.excess(l.grown) > 0 && l.told.exceeded(l.underTold(l.lastSent+1), t-l.told.since.at) {
			rate := l.current()
			l.disbelieve()
			l.begin(ramp, rate)
		} else if at := l.told.opens(t, &l.minute); at > t {
			l.waiting = true
			return false, at
		}
	case l.phase == regain && l.current() >= l.target:
		l.sure, l.refuted = true, false
		l.begin(cruise, l.target)
	case l.phase == cruise && l.beyond(t):
		l.begin(ramp, l.current())
	}
	rate := l.current()
	if l.told.rate > 0 {
		rate *= l.yield(t)
	}
	l.pace.SetRate(now, 60*rate)
	if ready := l.pace.Ready(now); ready > now {
		l.waiting = true
		// The rate grows meanwhile.
		wait := inSeconds(ready - now)
		return false, t + min(wait, max(pollSeconds, wait/2))
	}
	if l.kind == kindWindow && l.phase == cruise && l.told.rate == 0 {
		if at := l.minute.opens(t, 60*l.rate*(1+max(0, l.excess(l.grown))), false); at > t {
			l.waiting = true
			return false, at
		}
	}
	return true, t
}

// known tells whether the limit of requests a minute is known.
func (l *learner) known() bool {
	return l.rate > 0 && (l.told.rate > 0 || l.sure)
}

// worth is the rate that is worth keeping: what a climb is about to find is less
// than what was accepted at once before it.
func (l *learner) worth() float64 {
	if l.phase == climb || l.phase == closed && l.closure.from == climb {
		return min(l.rate, l.current())
	}
	return l.rate
}

// resume begins again after a hold, not before a moment: with one request, and
// when it is accepted with half of what was known. The provider's bucket may be
// full by now.
func (l *learner) resume(t, notBefore float64) {
	if l.phase == ramp {
		l.reached = l.current()
	}
	l.phase, l.since, l.waiting = closed, l.lastSent+1, false
	l.closure = closure{from: regain, resumed: true, lastSent: notBefore, notBefore: notBefore, rho: rampStart, gap: 1}
	l.mark, l.busy = mark{t, l.lastSent + 1, l.refusals}, 0
	l.trace.begin(t, 0, 0)
}

// resuming tells whether the first request after a hold is still to be accepted.
func (l *learner) resuming() bool { return l.phase == closed && l.closure.resumed }

// regain begins with half of what was known.
func (l *learner) regain() {
	known := l.rate
	if l.told.rate > 0 {
		known = l.told.rate * toldShare
	}
	if known == 0 {
		l.begin(ramp, max(rampStart, l.reached/2))
		return
	}
	l.target = known
	l.begin(regain, known/2)
}

// restart begins to learn anew, from a rate.
func (l *learner) restart(rate float64) {
	l.begin(climb, rate)
	l.kind, l.stage, l.factor, l.sure = kindUnknown, 1, 2, false
	l.step = max(rampDouble, 2/l.base, stepFeedback*l.feedback)
	l.since, l.waiting = l.lastSent+1, false
	l.belief.forget()
}

func (l *learner) begin(p phase, base float64) {
	l.phase, l.base, l.grown = p, max(base, slowest), 0
}

// sent hears that a request left.
func (l *learner) sent(now time.Duration, k *Ticket) {
	l.lastSent = k.number
	l.minute.sent(k.at, k.estimate)
	l.noise.sent(l.phase == cruise && l.within(l.grown))
	l.trial.lastAt = k.at
	l.trace.add(k.at, float64(k.number-l.mark.number-(l.refusals-l.mark.refused)))
	l.pace.Take(now, 1)
	if l.phase == closed {
		l.closure.probe(k)
	}
}

// unsent takes back what sent took.
func (l *learner) unsent(now time.Duration, k Ticket) {
	l.minute.take(k.at, k.estimate)
	l.pace.Take(now, -1)
	if k.number >= l.mark.number {
		l.mark.refused--
	}
	if l.phase == closed && l.closure.probing && k.number == l.closure.number {
		l.closure.probing = false
	}
}

// accepted hears that a request was answered.
func (l *learner) accepted(now time.Duration, t float64, k *Ticket) {
	if l.phase == closed && l.closure.probing && k.number == l.closure.number {
		l.open(now, t)
	}
	if l.phase == ramp && !l.heard {
		l.quicken(t - k.at)
	}
}

// quicken has a ramp grow as fast as the provider answers.
func (l *learner) quicken(took float64) {
	if took = max(took, rampFastest); l.answer == 0 {
		l.answer = took
	}
	l.answer += (took - l.answer) / rampMemory
	double := min(rampDouble, rampAnswers*l.answer)
	if double == l.double {
		return
	}
	l.begin(ramp, max(l.current(), rampAtOnce/l.answer))
	l.double = double
}

// spanTo is the span from the mark to a refused request.
func (l *learner) spanTo(k Ticket) span {
	return span{max(0, float64(k.number-l.mark.number-(l.refusals-l.mark.refused))), k.at - l.mark.at}
}

// refused hears that a request was refused.
func (l *learner) refused(t float64, k Ticket, retryAfter float64) {
	took := t - k.at
	if !l.heard {
		if l.phase == ramp {
			l.begin(ramp, l.current())
		}
		l.feedback, l.heard, l.double = took, true, rampDouble
	}
	l.feedback += (took - l.feedback) / 8
	l.minute.refused(t, k.at, k.estimate)
	switch {
	case k.number < l.since:
		if l.phase == closed {
			l.closure.refused++
		}
	case l.phase == closed:
		l.closure.probeRefused(l, t, k, retryAfter)
	default:
		l.close(t, k, retryAfter)
	}
	l.refusals++
	if k.number >= l.mark.number {
		l.mark = mark{k.at, k.number + 1, l.refusals}
		l.trace.begin(k.at, max(1, l.closure.refused), k.at-l.closure.sentAt)
		l.busy = t - k.at
	} else {
		l.mark.refused = min(l.mark.refused+1, l.refusals) // it came out of its turn
		l.trace.refused++
	}
}
