package rate

import (
	"math"
	"time"
)

const (
	// So many refusals in a row that came in a climb, or early in a cruise although
	// the rate was cut each time, and after which the first probe passed, are
	// suspected to have nothing to do with the rate; after a trial that showed
	// otherwise, twice as many.
	noiseEarly     = 9
	noiseMostEarly = 64
	// So many times as many are needed where they may have to do with how long
	// requests are: there they come early too.
	noiseLengths = 2
	// A rate so much lower than what was known is low enough for all lengths.
	noiseStarved = 8.0
	// A trial sends trialRequests, and trialBanked times what a limit may have
	// saved up since it refused, at so many times the rate that was refused last.
	// A limit refuses about half of them; what refuses no more than
	// trialRefused and the share that was seen before does not look at the rate.
	trialRequests = 16
	trialBanked   = 2
	trialFactor   = 2.0
	trialRefused  = 2
	// A trial is made only so many times a refusal's time, or requests, after
	// the refusal.
	trialSoon  = 10
	trialSaved = 40
	// noiseAbove is how many more refusals than the share that was seen are
	// excused, and noiseSaved how many can be saved up: with that one in thousands
	// runs out by chance.
	noiseAbove = 1.3
	noiseSaved = 10.0
	// noiseOpened is how many are excused after a closure at least.
	noiseOpened = 2.0
	// noiseUnseen is added to the refusals that were seen, and noiseSpread
	// standard deviations, since few tell little of their share.
	noiseUnseen = 2
	noiseSpread = 2
	// noiseGone is below how many refusals there is no share any more; the count
	// is halved each time.
	noiseGone = 0.1
	// noiseMost is the largest share that is excused.
	noiseMost = 0.3
	// noiseProbes is how many probes of a closure may be refused at random.
	noiseProbes = 2
	// noiseRequests is after how many requests the share is looked at again.
	noiseRequests = 400
)

// noise is a share of requests that a provider refuses whatever the rate. So
// many refusals are excused; what is refused beyond it is a limit's doing.
type noise struct {
	share  float64 // about the most that it may be; 0: there is none
	excuse float64 // refusals that are excused now

	// Seen since the last refusal that was not early, or since share was set.
	refused, requests float64
	// early refusals in a row, and how many must be for the next trial.
	early, needed int
}

// sent hears that a request left, and whether at a rate that is surely within
// every limit: what is refused at others may be a limit's doing.
func (n *noise) sent(within bool) {
	if n.requests++; n.share == 0 {
		return
	}
	n.excuse = min(noiseSaved, n.excuse+noiseAbove*n.share)
	if n.requests < noiseRequests {
		return
	}
	switch {
	case n.refused < noiseGone:
		n.share = 0
	case within || n.upper() < n.share:
		n.share = n.upper()
	}
	n.requests, n.refused = n.requests/2, n.refused/2
}

// upper is a share that is likely not exceeded.
func (n *noise) upper() float64 {
	return min(noiseMost, (n.refused+noiseUnseen+noiseSpread*math.Sqrt(n.refused))/max(1, n.requests))
}

// opened hears that a closure is over, in which a limit had taken what was
// excused.
func (n *noise) opened() {
	if n.share > 0 {
		n.excuse = max(n.excuse, noiseOpened)
	}
}

// excuses tells whether a refusal is one of those that are excused.
func (n *noise) excuses() bool {
	if n.share == 0 {
		return false
	}
	n.refused++
	if n.excuse < 1 {
		return false
	}
	n.excuse--
	return true
}

// probes is how many refused probes tell nothing.
func (n *noise) probes() int {
	if n.share > 0 {
		return noiseProbes
	}
	return 0
}

// isEarly hears of a refusal that reached the learner and came early; it counts
// twice where no limit explains it.
func (n *noise) isEarly(unexplained bool) {
	if n.early++; unexplained {
		n.early++
	}
	if n.share == 0 {
		n.refused++
	}
}

// isLate hears of one that came when the limit was met or exceeded.
func (n *noise) isLate() {
	if n.early = 0; n.share == 0 {
		n.refused, n.requests = 0, 0
	}
}

// suspected tells whether what was refused is to be tried.
func (n *noise) suspected(lengths bool) bool {
	early := n.early
	if lengths {
		early /= noiseLengths
	}
	return early >= n.needed && (n.share > 0 || early >= noiseEarly)
}

// tried ends a trial.
func (n *noise) tried(passed bool) {
	n.early = 0
	if !passed {
		n.needed = min(noiseMostEarly, 2*max(noiseEarly, n.needed))
		return
	}
	n.share, n.excuse, n.needed = n.upper(), noiseSaved, 0
	n.refused, n.requests = 0, 0
}

// trial is a few requests at a rate that no limit would accept.
type trial struct {
	number   int64 // the first of them
	requests float64
	allowed  float64 // refusals
	refused  float64
	lastAt   float64 // when the last of them left
}

// try begins a trial at so many times a rate. What it interrupts goes on where
// it fails.
func (l *learner) try(t, rate float64) {
	n := trialRequests + trialBanked*rate*(t-l.closure.sentAt)
	l.trial = trial{number: l.lastSent + 1, requests: n, allowed: trialRefused + n*l.noise.upper()}
	l.since = l.lastSent + 1
	l.begin(trying, rate*trialFactor)
}

// soon tells whether a closure was over before a limit could have saved much up:
// chance refuses one, and not the next.
func (c *closure) soon(l *learner, t float64) bool {
	return t-c.sentAt <= max(trialSoon*l.feedback, trialSaved/c.top)
}

// tries is until when a trial lets nothing leave; the present or earlier when a
// request may leave, or when it is over.
func (l *learner) tries(t float64) (until float64) {
	if float64(l.lastSent+1-l.trial.number) < l.trial.requests {
		return t
	}
	if until = l.trial.lastAt + feedbackSpread*max(l.feedback, firstFeedback); until > t {
		return until
	}
	l.noise.tried(true)
	l.forget()
	l.begin(ramp, l.closure.top)
	return t
}

// forget ends what was believed of the limit.
func (l *learner) forget() {
	l.rate, l.kind, l.stage, l.sure = 0, kindUnknown, 0, false
	l.early, l.tried = 0, 0
	l.belief.forget()
}

// excuse tells whether a refusal has nothing to do with the rate; it is then as
// if the request had not been sent.
func (l *learner) excuse(now time.Duration, t float64, k Ticket) bool {
	switch {
	case l.told.rate > 0 || k.number < l.since || l.phase == closed:
		return false
	case l.phase == trying:
		l.noise.refused++
		if l.trial.refused++; l.trial.refused > l.trial.allowed {
			l.noise.tried(false)
			l.phase, l.since = closed, l.lastSent+1
			l.closure.lastSent, l.closure.refused = t, l.closure.refused+l.trial.refused
			return false
		}
	case !l.noise.excuses():
		return false
	}
	l.unsent(now, k)
	return true
}
