package dispatcher

import (
	"slices"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/dispatcher/rate"
	"github.com/promptforge/promptforge/job"
)

const (
	// A prompt that was refused for the rate so often while so many others
	// passed, the last trialsAlone times with the whole budget left for it, is
	// itself the cause.
	refusalsOfItsOwn = 10
	passedMeanwhile  = 100
	trialsAlone      = 3

	maxRefusalWait = time.Minute

	// Limits are counted by the minute: after so long without a request any
	// budget is free. The second more is for clocks that differ.
	quiet = 61 * time.Second
)

// slowDown gives a prompt that was refused for the rate another try, in the end
// one with nothing else under way, or ends it where it is refused that, too.
func (l *lane) slowDown(now time.Time, it *item, a *provider.Answer, p *job.Prompt, alone bool) {
	if it.refused == 0 {
		it.passed = l.passed
	}
	it.refused++
	it.refusedAt = l.passed
	switch {
	case alone && it.drained:
		it.alone++
	case alone:
		it.drained = true
	}
	others := l.passed - it.passed
	if it.alone >= trialsAlone && it.refused >= refusalsOfItsOwn && others >= passedMeanwhile {
		l.finish(it, a.Failure(p, job.CodeRateLimit, it.attempts))
		return
	}
	wait := a.RetryAfter
	if it.refused > 1 {
		wait = max(wait, min(maxRefusalWait, time.Second<<min(it.refused-2, 10)))
	}
	if it.refused < refusalsOfItsOwn-trialsAlone {
		l.again(it, now.Add(wait))
		return
	}
	if others < passedMeanwhile {
		l.again(it, now.Add(wait))
		l.passSomething(now)
		return
	}
	if it.run.draining {
		return
	}
	if alone {
		wait = a.RetryAfter // the budget is still free
	}
	it.notBefore = now.Add(max(wait, time.Second))
	it.run.suspects = append(it.run.suspects, it)
}

// passSomething sends a canary where no other prompt is left that could pass:
// a prompt that is too large must not circle for ever in a small job.
func (l *lane) passSomething(now time.Time) {
	if l.canaryOut || l.hold != nil || l.inFlight > 0 {
		return
	}
	for _, r := range l.runs {
		if r.draining {
			continue
		}
		if len(r.fresh) > 0 || !r.eof || slices.ContainsFunc(r.retry, func(it *item) bool { return it.refused < refusalsOfItsOwn-trialsAlone }) {
			return
		}
	}
	if !l.dayPermits(now) || !l.slot.take(&l.seat) {
		return
	}
	l.canary(now)
}

// suspect picks the prompt that is tried alone next.
func (l *lane) suspect() *item {
	var first *item
	for _, r := range l.runs {
		for _, it := range r.suspects {
			if first == nil || it.notBefore.Before(first.notBefore) {
				first = it
			}
		}
	}
	return first
}

// tryAlone lets the lane fall quiet for a prompt that is always refused, and
// then sends it alone: first as soon as nothing else is in flight, since that
// may be all it needs, and then with the budget of a minute free. silent tells that nothing else may leave; wake is when
// to look again.
func (l *lane) tryAlone(now time.Time) (wake time.Time, silent bool) {
	if l.trial != nil {
		return time.Time{}, true
	}
	it := l.suspect()
	if it == nil {
		return time.Time{}, false
	}
	// Others take turns with it: a file of such prompts stops no lane.
	if l.openUntil.After(now) && l.othersWait() {
		return l.openUntil, false
	}
	begin, at := it.notBefore.Add(-quiet), l.leftAt.Add(quiet)
	if !it.drained {
		begin, at = it.notBefore, it.notBefore
	}
	if begin.After(now) && l.othersWait() {
		return begin, false
	}
	if l.silentSince.IsZero() {
		l.silentSince = now
	}
	l.bound = rate.BoundRPM
	l.slot.leave(&l.seat)
	if l.inFlight > 0 {
		return time.Time{}, true
	}
	for _, other := range []time.Time{it.notBefore, it.run.requests.Ready(now), it.run.tokens.Ready(now)} {
		if other.After(at) {
			at = other
		}
	}
	if at.After(now) {
		return at, true
	}
	if !l.dayPermits(now) {
		return time.Time{}, true
	}
	if !l.slot.take(&l.seat) {
		return now.Add(slotPoll), true
	}
	l.trial = it
	l.leaves(now, it)
	return time.Time{}, true
}

// tried hears what became of a trial. What passed took its budget. Then, or
// when the lane was quiet for long, others go on for as long.
func (l *lane) tried(now time.Time, a *provider.Answer) {
	l.trial = nil
	passed := a.Class != provider.SlowDown
	if passed {
		l.leftAt = now
	}
	if passed || now.Sub(l.silentSince) >= 2*quiet {
		l.openUntil, l.silentSince = now.Add(2*quiet), time.Time{}
	}
}

// othersWait tells whether the lane has anything else to send.
func (l *lane) othersWait() bool {
	for _, r := range l.runs {
		if !r.draining && (len(r.fresh) > 0 || !r.eof || len(r.retry) > 0) {
			return true
		}
	}
	return false
}

// unsuspect puts the suspects back among the others: a hold has other worries.
func (l *lane) unsuspect() {
	for _, r := range l.runs {
		for _, it := range r.suspects {
			l.again(it, it.notBefore)
		}
		r.suspects = nil
	}
}
