package rate

import (
	"math"
	"time"
)

// measure is what a silent provider counts.
type measure int

const (
	byRequest measure = iota
	byTokens          // of prompts and of answers, when they are there
	byMost            // of prompts and the longest answers that they ask for
	byPrompt          // of prompts alone
	measures
)

// of is how much of it was spent.
func (m measure) of(s spend) float64 {
	switch m {
	case byTokens:
		return whole.charged(s, byUse)
	case byMost:
		return whole.charged(s, upFront)
	case byPrompt:
		return s.prompts
	default:
		return s.requests
	}
}

const (
	// surer is how much more likely something must be, as a logarithm, to be taken
	// for what is counted: nine times, so that nine of ten such sayings are right.
	surer = 2.2
	// adoptMost is how far from the rate of requests that of units may be.
	adoptMost = 2.0
	// A hurried window is probed by about a tenth, which is hurrySteps doublings
	// of a probe, for hurrySeconds: twice as much would leave it shut for long.
	hurrySteps   = 3.3
	hurryFirst   = 5.0
	hurrySeconds = 75.0
)

// units makes a limit of tokens out of a learner of requests: what a mean request
// takes is a unit, and a longer one takes several.
type units struct {
	measure measure
	size    float64 // tokens of a unit
	carry   float64 // of a unit, not yet taken

	witness witness
	law     limiter // by which what is counted is most likely
	clear   bool    // nothing else is nearly as likely
	window  bool    // it is surely a window

	hurried float64 // until when a window is probed by a tenth

	recent [measures]recent
	sizes  [measures]sizes
}

func newUnits() units { return units{size: 1} }

// bound is what binds where what is counted does.
func (u *units) bound() Bound {
	if u.measure == byRequest {
		return BoundRPM
	}
	return BoundTPM
}

// possible tells whether refusals may have to do with how long requests are: where
// that varies, and they do not come whatever left before them.
func (u *units) possible() bool {
	for m := byTokens; m < measures; m++ {
		if u.recent[m].proof > unproved && u.sizes[m].vary() {
			return true
		}
	}
	return u.measure != byRequest
}

// lengths is what is not known of a bucket at a refusal, in units, since requests
// are not all alike.
type lengths struct {
	matter  bool    // refusals may have to do with them
	lumps   float64 // variance of what the bucket holds
	longest float64 // what a request took at most: no bucket holds less
	owed    float64 // what the answers under way will take
}

// lengths are those after a span of so many requests, with so many under way.
func (u *units) lengths(requests, inFlight float64) lengths {
	if u.measure == byRequest {
		n := lengths{matter: u.possible(), longest: 1}
		if !n.matter {
			return n
		}
		for m := byTokens; m < measures; m++ {
			n.lumps = max(n.lumps, u.sizes[m].variance()*(1+requests))
		}
		return n
	}
	z := &u.sizes[u.measure]
	n := lengths{matter: true, lumps: z.variance(), longest: z.most / u.size}
	if u.measure == byTokens {
		n.owed = inFlight * max(0, z.mean-u.sizes[byPrompt].mean) / u.size
	}
	return n
}

// take gives a request its number: that of its last unit. A probe has one at
// least.
func (u *units) take(k *Ticket, next int64, probe bool) {
	k.units = 1
	if u.measure != byRequest {
		sum := k.cost
		sum.answers = k.answer
		k.units = u.measure.of(sum) / u.size
	}
	u.carry += k.units
	n := math.Floor(u.carry)
	if probe {
		n = max(1, n)
	}
	u.carry -= n
	prompts, most := k.cost.prompts, k.cost.prompts+k.cost.most
	u.recent[byTokens].sent(prompts)
	u.recent[byMost].sent(most)
	u.recent[byPrompt].sent(prompts)
	u.sizes[byMost].add(most)
	u.sizes[byPrompt].add(prompts)
	k.whole = n
	k.number = next + int64(n) - 1
}

// sent tells the learner of what a request takes beyond one unit.
func (u *units) sent(l *learner, now time.Duration, k *Ticket) {
	if u.measure == byRequest {
		return
	}
	l.pace.Take(now, k.units-1)
	l.minute.more(k.at, k.whole-1)
}

// answered corrects what an answer was reckoned to take.
func (u *units) answered(l *learner, now time.Duration, k *Ticket, answer float64) {
	u.recent[byTokens].sum += answer
	u.sizes[byTokens].add(k.cost.prompts + answer)
	if u.measure != byTokens {
		return
	}
	more := (answer - k.answer) / u.size
	l.pace.Take(now, more)
	u.carry += more
}

// unsent takes back what sent took.
func (u *units) unsent(l *learner, now time.Duration, k *Ticket) {
	l.pace.Take(now, 1-k.units)
	l.minute.more(k.at, 1-k.whole)
	if k.number >= l.mark.number {
		l.mark.refused -= int64(k.whole) - 1
	}
}

// refused tells the learner, which heard of one unit, of the others.
func (u *units) refused(l *learner, k *Ticket) {
	more := k.whole - 1
	if more == 0 {
		return
	}
	l.minute.more(k.at, -more)
	l.refusals += int64(more)
	l.mark.refused += int64(more)
	l.closure.refused += more
}

// judge takes in a refusal of a request when others had passed, and tells whether
// something else is counted than what was taken for it. crowd is of how many, that
// left shortly before it, it is not known yet whether they were refused; known is
// the kind of the limit.
func (u *units) judge(k *Ticket, t *tokens, crowd float64, known kind) (other bool) {
	varied := false
	for m := byTokens; m < measures; m++ {
		u.recent[m].refused()
		varied = varied || u.sizes[m].vary()
	}
	return u.witness.judge(k, t, &u.sizes, crowd, varied) && u.decide(known)
}

// decide takes for what is counted what the refusals speak for; where that is not
// what was taken for it before, it is to be surer, and tokens are to be surer than
// that refusals come at any moment. That it is tokens is told by all that may be
// counted of them together.
func (u *units) decide(known kind) (other bool) {
	var likely [measures]float64
	var by [measures]limiter
	var window [measures]float64
	best, tokens := u.measure, 0.0
	for m := range measures {
		if likely[m], by[m], window[m] = u.witness.likely(m, known); m != byRequest {
			tokens += math.Exp(likely[m])
		}
	}
	for m := range measures {
		if likely[m] > likely[best] {
			best = m
		}
	}
	enough, less := likely[best], max(0, likely[u.measure])
	switch {
	case best == byRequest:
		less = likely[u.measure]
	case u.measure == byRequest:
		enough = math.Log(tokens)
	}
	if best != u.measure && enough > less+surer {
		u.measure, other = best, true
	}
	u.law, u.clear, u.window = by[u.measure], likely[u.measure] > 0, likely[u.measure] > surer && window[u.measure] > surer
	for m := range measures {
		if m != u.measure && likely[m] > likely[u.measure]-surer {
			u.clear = false
		}
	}
	return other
}

// hurry has a window probed at once where it is not clear yet what is counted:
// else each minute tells but once in two.
func (u *units) hurry(l *learner) {
	if l.phase != cruise || l.kind != kindWindow || l.told.rate > 0 || u.clear {
		return
	}
	if !u.sizes[byTokens].vary() {
		return
	}
	steps := hurrySteps
	if u.witness.evidence.n < 2 {
		steps = hurryFirst // the ramp's requests take up the first part of the minute
	}
	hurried := l.flat() + steps*windowSeconds
	if l.grown < hurried {
		u.hurried = l.last + hurrySeconds
	}
	if l.last < u.hurried {
		l.grown = hurried
	}
}

// teach tells a learner, which is closed, that tokens are counted by a window where
// it did not make that out by how long it was refused.
func (u *units) teach(l *learner) {
	if u.measure == byRequest || !u.window || l.kind == kindWindow || l.told.rate > 0 {
		return
	}
	_, limit := u.witness.evidence.likely(u.law, u.measure, false)
	l.kind, l.sure, l.stage = kindWindow, true, 0
	l.rate = max(slowest, limit/u.size/minuteSeconds)
}

// adopt has a learner, which is closed, go on in units of what is counted now. A
// unit is what a mean request takes, so that its rates are about right; where they
// are known they are found again by what was seen.
func (u *units) adopt(l *learner, log *spendLog, t float64, next int64) {
	u.carry = 0
	u.size = u.sizes[u.measure].unit(u.measure)
	_, rate := u.witness.evidence.likely(u.law, u.measure, false)
	if rate /= u.size; u.law.window() {
		rate /= minuteSeconds
	}
	if l.closure.from == cruise && rate > l.rate/adoptMost && rate < l.rate*adoptMost {
		l.rate, l.early, l.counted = rate, 0, 0
		l.belief.forget()
		l.closure.rho, l.closure.fell = rate, false
	}
	l.mark, l.busy = mark{t, next, l.refusals}, 0
	l.trace.begin(t, 1, 0)
	l.closure.refused = 1
	l.minute.rewrite(t, func(from, to float64) float64 {
		passed := log.at(to)
		passed.add(log.at(from).negative())
		return u.measure.of(passed) / u.size
	})
}
