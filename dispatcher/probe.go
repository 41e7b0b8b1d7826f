package dispatcher

import (
	"fmt"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
)

// probeNow has the next probe leave at once. It tells whether there is
// anything to probe.
func (l *lane) probeNow(now time.Time) bool {
	if l.hold == nil || l.hold.kind == dayCap {
		return false
	}
	l.hold.next = now
	return true
}

// probe sends the next probe when it is time, and returns when that is.
func (l *lane) probe(now time.Time) time.Time {
	h := l.hold
	if h.probing {
		return time.Time{}
	}
	if h.next.After(now) {
		return h.next
	}
	if h.kind == dayCap {
		l.resume(now)
		return now
	}
	open := 0
	for _, r := range l.runs {
		if !r.draining {
			open += r.open()
			if !r.eof {
				open += canaryBelow
			}
		}
	}
	if open == 0 {
		return time.Time{}
	}
	if !l.dayPermits(now) {
		if l.hold.kind == dayCap {
			return l.hold.next
		}
		return time.Time{} // after the next save
	}
	if !l.slot.take(&l.seat) {
		return now.Add(slotPoll)
	}
	h.probing = true
	if h.kind != usedUp && h.other && (h.kind == outage && open < canaryBelow || !l.untried()) {
		h.other, h.canary = false, true
		l.canary(now)
		return time.Time{}
	}
	it := l.probeItem(now, h.other)
	if it == nil {
		h.probing = false
		l.slot.free(&l.seat)
		return now.Add(firstOutageProbe)
	}
	h.other = !h.other
	it.probe = true
	l.leaves(now, it)
	return time.Time{}
}

// probeItem picks a prompt to probe with: the one that has waited longest, or
// with other one that was never sent, where there is one. Backoffs don't matter
// to a probe.
func (l *lane) probeItem(now time.Time, other bool) *item {
	var oldest, fresh *item
	for _, r := range l.runs {
		if r.draining || r.capped(now) {
			continue
		}
		for _, it := range r.retry {
			if oldest == nil || it.seq < oldest.seq {
				oldest = it
			}
		}
		if fresh == nil && r.ready() {
			fresh = r.fresh[0]
		}
	}
	if fresh != nil && (other || oldest == nil) {
		return fresh
	}
	if oldest == nil {
		return nil
	}
	// It is put first, so that leaves finds it there.
	oldest.notBefore, oldest.seq = time.Time{}, 0
	r := oldest.run
	rest := r.retry
	r.retry = nil
	for _, it := range rest {
		r.retry.add(it)
	}
	return oldest
}

// probed hears what became of a probe with a prompt.
func (l *lane) probed(now time.Time, it *item, a *provider.Answer) {
	h := l.hold
	h.probing = false
	failed := failing(a) || a.Class == provider.Fatal || a.Class == provider.UsedUp
	untried := it.attempts <= 1
	switch {
	case h.kind == outage && h.passed && failing(a):
		l.blame(it)
		l.resume(now)
	case failed:
		h.weather = h.weather || untried
		l.worse(now, a)
	case h.kind == outage && untried:
		l.otherPassed(now)
	default:
		l.resume(now)
	}
}

// otherPassed hears that a canary passed, or a prompt that was not tried before.
// One of the prompts that failed is probed at once: where it passes, too, the
// outage is over, and where it does not, they are at fault.
func (l *lane) otherPassed(now time.Time) {
	for _, r := range l.runs {
		if !r.draining && len(r.retry) > 0 {
			l.hold.passed, l.hold.other, l.hold.next = true, false, now
			return
		}
	}
	l.resume(now)
}

// worse goes on holding after a probe that failed, for the reason that it
// gave, and gives up what was held for too long.
func (l *lane) worse(now time.Time, a *provider.Answer) {
	h := l.hold
	h.probes++
	switch {
	case a.Class == provider.Fatal && h.kind != refusal:
		// MaxHold counts from the refusal, not from what held before.
		*h = *newRefusal(now, a)
		l.emit(command{verb: doSave})
		l.tell("a lane is held", h)
		return
	case a.Class == provider.UsedUp:
		since, was := h.since, h.kind
		told := *a
		// Where the time that it named has passed, and it names one as short
		// again, it does not mean the day: Gemini's RetryInfo is of the minute,
		// whatever quota is used up. Nobody knows when the day's is there again.
		misled := h.misled || was == usedUp && !h.until.IsZero() && a.RetryAfter < usedUpProbe
		if misled && a.RetryAfter < usedUpProbe {
			told.RetryAfter = 0
		}
		*h = *newUsedUp(now, &told)
		h.since, h.misled = since, misled
		l.emit(command{verb: doSave})
		if was != usedUp {
			l.tell("a lane is held", h)
		}
		return
	case a.Class == provider.Fatal:
		h.reason = a.Message
		// The first probe repeats the prompt, the second asks with another or
		// with a canary, where there is another: one prompt alone fails no lane.
		if !l.succeeded && (h.probes > 1 || !l.untried()) {
			l.failAll(now, a.Message)
			return
		}
		h.other = true
		if !l.succeeded {
			h.next = now
			break
		}
		h.next = now.Add(refusalProbes[min(h.probes-1, len(refusalProbes)-1)])
	case h.kind == usedUp:
		h.next = now.Add(usedUpProbe)
	default:
		if h.kind == outage {
			h.reason, h.status = downReason(a), a.HTTPStatus // a proxy may answer for it by now
		}
		h.next = now.Add(min(lastOutageProbe, firstOutageProbe<<min(h.probes, 10)))
	}
	held := now.Sub(h.since)
	switch {
	case h.kind == refusal && held >= l.cfg.MaxHold:
		l.failAll(now, fmt.Sprintf("Held for %s, and it did not mend: %s", l.cfg.MaxHold, h.reason))
	case h.kind == outage && held >= l.cfg.MaxOutage:
		l.failAll(now, fmt.Sprintf("The provider was down for %s. %s", l.cfg.MaxOutage, downReason(a)))
	}
}

// untried tells whether a prompt waits that was never sent.
func (l *lane) untried() bool {
	for _, r := range l.runs {
		if !r.draining && r.ready() {
			return true
		}
	}
	return false
}
