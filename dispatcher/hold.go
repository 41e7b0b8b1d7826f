package dispatcher

import (
	"fmt"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
)

type holdKind int

const (
	outage  holdKind = iota // the provider is down
	refusal                 // the credential, the account or the model is refused
	usedUp                  // a day's quota is used up
)

const (
	firstOutageProbe = time.Second
	lastOutageProbe  = time.Minute
	usedUpProbe      = 15 * time.Minute
	canaryBelow      = 20 // open prompts: with fewer, every second probe is a canary
)

// refusalProbes are the waits after a confirmed refusal; the last repeats.
var refusalProbes = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 5 * time.Minute}

// hold is why a lane spends nothing but one probe at a time.
type hold struct {
	kind    holdKind
	reason  string
	since   time.Time
	until   time.Time // the provider named it; zero: it did not
	next    time.Time // when the next probe leaves
	probes  int       // answered so far
	probing bool
	canary  bool // the next probe is a canary, if few prompts are open
}

func newOutage(now time.Time, a *provider.Answer) *hold {
	return &hold{kind: outage, since: now, next: now.Add(firstOutageProbe), reason: "The provider is down: " + a.Message}
}

// newRefusal begins with a probe at once, which confirms or denies it.
func newRefusal(now time.Time, a *provider.Answer) *hold {
	return &hold{kind: refusal, since: now, next: now, reason: a.Message}
}

func newUsedUp(now time.Time, a *provider.Answer) *hold {
	h := &hold{kind: usedUp, since: now, next: now.Add(usedUpProbe), reason: "A day's quota is used up: " + a.Message}
	if a.RetryAfter > 0 {
		h.until = now.Add(a.RetryAfter)
		h.next = h.until
	}
	return h
}

// begin holds the lane. What an outage's first answers cost in retries is
// given back: no retry is spent on the provider's weather.
func (l *lane) begin(now time.Time, h *hold) {
	l.hold = h
	l.weather.forget()
	if h.kind != outage {
		return
	}
	for _, r := range l.runs {
		for _, it := range r.retry {
			if it.transient && !it.atFault {
				it.spent = max(0, it.spent-1)
			}
		}
	}
}

// resume ends the hold.
func (l *lane) resume(now time.Time) {
	l.hold = nil
	l.weather.forget()
	l.ctl.Resume(now)
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
	if !l.slot.take() {
		return now.Add(slotPoll)
	}
	h.probing = true
	if h.kind == outage && h.canary && open < canaryBelow {
		h.canary = false
		l.inFlight++
		l.anyRun().account.requests.Add(1)
		l.emit(command{verb: doCanary})
		return time.Time{}
	}
	it := l.probeItem(now)
	if it == nil {
		h.probing = false
		l.slot.free()
		return now.Add(firstOutageProbe)
	}
	h.canary = true
	it.probe = true
	l.leaves(now, it)
	return time.Time{}
}

// anyRun is a run that a canary is booked on.
func (l *lane) anyRun() *run {
	for _, r := range l.runs {
		if !r.draining {
			return r
		}
	}
	return l.runs[0]
}

// probeItem picks the prompt that has waited longest, so that probes go out
// with different prompts. Backoffs don't matter to a probe.
func (l *lane) probeItem(now time.Time) *item {
	var oldest *item
	for _, r := range l.runs {
		if r.draining || r.capped(now) {
			continue
		}
		for _, it := range r.retry {
			if oldest == nil || it.seq < oldest.seq {
				oldest = it
			}
		}
		if oldest == nil && r.allowed() > 0 {
			return r.fresh[0]
		}
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

// canaried hears what became of a canary.
func (l *lane) canaried(now time.Time, a *provider.Answer) {
	l.inFlight--
	l.slot.free()
	h := l.hold
	if h == nil {
		return
	}
	h.probing = false
	if a.Class == provider.Transient || a.Class == provider.Fatal || a.Class == provider.UsedUp {
		l.worse(now, a)
		return
	}
	// The provider answers, so what fails are these prompts.
	for _, r := range l.runs {
		for _, it := range r.retry {
			if it.transient {
				it.atFault = true
			}
		}
	}
	l.resume(now)
}

// probed hears what became of a probe with a prompt.
func (l *lane) probed(now time.Time, it *item, a *provider.Answer) {
	l.hold.probing = false
	if a.Class == provider.Transient || a.Class == provider.Fatal || a.Class == provider.UsedUp {
		l.worse(now, a)
		return
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
		return
	case a.Class == provider.UsedUp:
		since := h.since
		*h = *newUsedUp(now, a)
		h.since = since
		return
	case a.Class == provider.Fatal:
		h.reason = a.Message
		if !l.succeeded {
			l.failAll(a.Message)
			return
		}
		h.next = now.Add(refusalProbes[min(h.probes-1, len(refusalProbes)-1)])
	case h.kind == usedUp:
		h.next = now.Add(usedUpProbe)
	default:
		h.next = now.Add(min(lastOutageProbe, firstOutageProbe<<min(h.probes, 10)))
	}
	held := now.Sub(h.since)
	switch {
	case h.kind == refusal && held >= l.cfg.MaxHold:
		l.failAll(fmt.Sprintf("Held for %s, and it did not mend: %s", l.cfg.MaxHold, h.reason))
	case h.kind == outage && held >= l.cfg.MaxOutage:
		l.failAll(fmt.Sprintf("The provider was down for %s: %s", l.cfg.MaxOutage, a.Message))
	}
}

// failAll gives up every job of the lane and is then open for new ones.
func (l *lane) failAll(reason string) {
	for _, r := range l.runs {
		l.fail(r, reason)
	}
	l.hold = nil
	l.weather.forget()
}
