package dispatcher

import (
	"fmt"
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

	// After so many refusals while so many others passed it is in doubt whether
	// a refusal tells anything of the rate: a controller that listened would
	// slow down for prompts that no pace helps. Where none is left that could
	// pass, one that did is enough.
	refusalsInDoubt = 3
	passedInDoubt   = 10
	doubtLasts      = 2 * time.Minute // after the last such refusal

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
	if it.alone >= trialsAlone && it.refused >= refusalsOfItsOwn && l.ripe(it) {
		l.finish(it, l.overTheLimit(it, a, p))
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
	if it.run.draining {
		return
	}
	// Nothing is sent beside it: no more than what the provider asked for needs
	// to be waited.
	it.notBefore = now.Add(max(a.RetryAfter, time.Second))
	it.run.suspects = append(it.run.suspects, it)
}

// ripe tells whether enough others passed to look at the prompt itself.
func (l *lane) ripe(it *item) bool { return l.passed-it.passed >= passedMeanwhile }

// ofItself tells whether a refusal for the rate tells of the prompt, and
// nothing of the rate: it was refused before, and others passed since. Where
// that happens to a prompt again and again, one that is refused for the first
// time is taken for another such prompt, unless the one before it was, too.
func (l *lane) ofItself(now time.Time, it *item) bool {
	alike := l.passed > l.firstRefusedAt && now.Before(l.doubtUntil)
	if it.refused == 0 {
		l.firstRefusedAt = l.passed
		return alike
	}
	others := l.passed - it.passed
	if it.refused >= refusalsInDoubt && (others >= passedInDoubt || others > 0 && !l.anyFresh()) {
		l.doubtUntil = now.Add(doubtLasts)
		return true
	}
	return l.passed > it.refusedAt
}

// anyFresh tells whether there is a prompt that was not sent yet.
func (l *lane) anyFresh() bool {
	for _, r := range l.runs {
		if !r.draining && (len(r.fresh) > 0 || !r.eof) {
			return true
		}
	}
	return false
}

// overTheLimit is the error record of a prompt that is refused for the rate
// whatever the rate is. Its refusals were for itself, so they count as attempts.
func (l *lane) overTheLimit(it *item, a *provider.Answer, p *job.Prompt) *job.Outcome {
	told := *a
	told.Message = fmt.Sprintf("The provider refused this prompt for the rate %d times while %d other requests passed, the last %d times with nothing else in flight and the budget of a minute free: the prompt by itself is over the limit. It said: %s",
		it.refused, l.passed-it.passed, it.alone, a.Message)
	return told.Failure(p, job.CodeRateLimit, it.attempts+it.refused)
}

// suspect picks the prompt that is tried alone next.
func (l *lane) suspect() *item {
	var first *item
	for _, r := range l.runs {
		for _, it := range r.suspects {
			if !l.ripe(it) {
				continue
			}
			if first == nil || it.notBefore.Before(first.notBefore) {
				first = it
			}
		}
	}
	return first
}

// tryAlone lets the lane fall quiet for a prompt that is always refused, and
// then sends it alone: first as soon as nothing else is in flight, since that
// may be all it needs, and then with the budget of a minute free. silent tells
// that nothing else may leave; wake is when to look again.
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
	l.slot.leave(&l.seat)
	for _, other := range []time.Time{it.notBefore, it.run.requests.Ready(now), it.run.tokens.Ready(now)} {
		if other.After(at) {
			at = other
		}
	}
	l.aloneUntil = at
	if l.inFlight > 0 {
		return time.Time{}, true
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
	waits := func(it *item) bool { return !it.heldBack }
	return l.anyFresh() || slices.ContainsFunc(l.runs, func(r *run) bool { return !r.draining && slices.ContainsFunc(r.retry, waits) })
}

// unsuspect puts the suspects back among the others: a hold has other worries.
func (l *lane) unsuspect() { l.release(func(*item) bool { return true }) }

// release puts the suspects of a kind back among the others.
func (l *lane) release(which func(*item) bool) {
	for _, r := range l.runs {
		kept := r.suspects[:0]
		for _, it := range r.suspects {
			if which(it) {
				l.again(it, it.notBefore)
			} else {
				kept = append(kept, it)
			}
		}
		clear(r.suspects[len(kept):])
		r.suspects = kept
	}
}

// setAside tells whether all others wait for prompts that are tried alone, and
// lets the log know when that begins and ends.
func (l *lane) setAside(now time.Time, aside bool) {
	aside = aside && l.waitAlone() > 0
	if aside {
		l.bound = rate.BoundHold
	}
	switch {
	case aside && l.aloneSince.IsZero():
		l.aloneSince = now
		l.emit(command{verb: doLog, note: note{what: "prompts that are always refused for the rate are tried alone", count: l.waitAlone()}})
	case !aside && !l.aloneSince.IsZero():
		l.aloneSince, l.aloneUntil, l.resumedAt = time.Time{}, time.Time{}, now
		l.emit(command{verb: doLog, note: note{what: "a lane goes on after prompts were tried alone", count: l.waitAlone(), good: true}})
	}
}

// waitAlone counts the prompts that are, or wait to be, tried alone.
func (l *lane) waitAlone() int {
	n := 0
	if l.trial != nil {
		n++
	}
	for _, r := range l.runs {
		n += len(r.suspects)
	}
	return n
}

// aloneReason is what the lane's jobs show meanwhile.
func (l *lane) aloneReason() string {
	n := l.waitAlone()
	if n == 1 {
		return "1 prompt waits to be tried alone: the provider refuses it for the rate again and again while others pass. Nothing else is sent until it was tried with the whole budget of a minute free."
	}
	return fmt.Sprintf("%d prompts wait to be tried alone: the provider refuses them for the rate again and again while others pass. Nothing else is sent until they were tried with the whole budget of a minute free.", n)
}
