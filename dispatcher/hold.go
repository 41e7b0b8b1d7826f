package dispatcher

import (
	"fmt"
	"strings"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/dispatcher/rate"
	"github.com/promptforge/promptforge/job"
)

type holdKind int

const (
	outage  holdKind = iota // the provider is down
	refusal                 // the credential, the account or the model is refused
	usedUp                  // a day's quota is used up
	dayCap                  // the operator's own cap of a day is reached: no probe leaves
)

// String is the kind as it is kept and told.
func (k holdKind) String() string { return [...]string{"outage", "refused", "used_up", "day_cap"}[k] }

const (
	firstOutageProbe = time.Second
	lastOutageProbe  = time.Minute
	usedUpProbe      = 15 * time.Minute
	// With fewer open prompts, or none that was never sent, every second probe
	// is a canary; otherwise it is one that was never sent.
	canaryBelow = 20
)

// refusalProbes are the waits after a confirmed refusal; the last repeats.
var refusalProbes = []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 5 * time.Minute}

// hold is why a lane spends nothing but one probe at a time.
type hold struct {
	kind    holdKind
	reason  string
	status  int // what the provider answered; 0: nothing
	since   time.Time
	until   time.Time // the provider named it; zero: it did not
	next    time.Time // when the next probe leaves
	probes  int       // answered so far
	probing bool
	canary  bool // the probe that is out is a canary
	other   bool // the next probe is a canary or a prompt that was not tried yet
	passed  bool // such a probe passed: the next one tells whether the others do
	misled  bool // the end of a day's quota was named, and was not
	weather bool // such a probe failed: it is no fault of the prompts that failed before it
}

func newOutage(now time.Time, a *provider.Answer) *hold {
	return &hold{kind: outage, status: a.HTTPStatus, since: now, next: now.Add(firstOutageProbe), reason: downReason(a)}
}

// downReason says what an outage looks like. Where no answer came the words are
// ours, and quote nobody.
func downReason(a *provider.Answer) string {
	if a.HTTPStatus == 0 && a.Message != "" {
		return "The provider is down: " + strings.ToLower(a.Message[:1]) + a.Message[1:]
	}
	return "The provider is down" + statusOf(a) + "."
}

// statusOf is what of an answer every job of a lane may show. The provider's
// own words may quote the prompt of another client.
func statusOf(a *provider.Answer) string {
	if a.HTTPStatus == 0 {
		return " (" + a.Code + ")"
	}
	return fmt.Sprintf(" (it answers %d)", a.HTTPStatus)
}

// newRefusal begins with a probe at once, which confirms or denies it.
func newRefusal(now time.Time, a *provider.Answer) *hold {
	return &hold{kind: refusal, status: a.HTTPStatus, since: now, next: now, reason: a.Message}
}

func newUsedUp(now time.Time, a *provider.Answer) *hold {
	h := &hold{kind: usedUp, status: a.HTTPStatus, since: now, next: now.Add(usedUpProbe), reason: "A day's quota is used up" + statusOf(a) + "."}
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
	l.unsuspect()
	l.tell("a lane is held", h)
	l.emit(command{verb: doSave})
	if h.kind != outage {
		return
	}
	excuse := func(it *item) {
		it.excused, it.verdict = 0, nil // by an earlier hold
		if it.transient && !it.atFault {
			it.excused, it.spent = it.spent, 0
		}
	}
	for _, r := range l.runs {
		for _, it := range r.retry {
			excuse(it)
		}
	}
	for it := range l.flying {
		excuse(it)
	}
}

// resume ends the hold.
func (l *lane) resume(now time.Time) {
	l.unhold(now, "a lane goes on")
	l.ctl.Resume(now)
}

// unhold forgets the hold.
func (l *lane) unhold(now time.Time, what string) {
	told := *l.hold
	l.emit(command{verb: doLog, note: note{what: what, hold: &told, good: true}})
	l.hold, l.resumedAt = nil, now
	l.weather.forget()
	l.emit(command{verb: doSave})
}

func (l *lane) tell(what string, h *hold) {
	told := *h
	l.emit(command{verb: doLog, note: note{what: what, hold: &told}})
}

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

// canary sends a canary, which has its slot.
func (l *lane) canary(now time.Time) {
	l.inFlight++
	l.canaryKey, l.canaryGeneration = l.keys.pick(now), l.keys.generation
	l.today.sent++
	l.leftAt = now
	l.anyRun().account.requests.Add(1)
	l.emit(command{verb: doCanary, key: l.canaryKey})
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

// canaried hears what became of a canary.
func (l *lane) canaried(now time.Time, a *provider.Answer) {
	l.inFlight--
	l.slot.free(&l.seat)
	onlyKey := l.credential(now, l.canaryKey, l.canaryGeneration, a)
	l.succeeded = l.succeeded || a.Class == provider.Done
	if verdict(a.Class) == rate.Accepted {
		l.passed++
	}
	if l.vouching {
		l.vouched(now, a)
		return
	}
	h := l.hold
	if h == nil || !h.canary {
		return
	}
	h.probing, h.canary = false, false
	switch {
	case onlyKey:
		h.other, h.next = true, now // another credential tells
	case a.Class == provider.Transient || a.Class == provider.Fatal || a.Class == provider.UsedUp:
		h.weather = true
		l.worse(now, a)
	case h.kind == outage:
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

// blame says that the prompts that failed are themselves at fault, it among
// them: their retries are spent from now on. Where nothing else failed during
// the hold there was no bad weather, and what was excused by it counts: so they
// end after exactly max_retries + 1 requests, unless probes took more.
func (l *lane) blame(it *item) {
	weather := l.hold.weather
	charge := func(it *item) (spent bool) {
		it.atFault = true
		if !weather {
			it.spent += it.excused
			it.excused = 0
		}
		return it.spent > it.run.maxRetries && it.verdict != nil
	}
	charge(it)
	for _, r := range l.runs {
		waiting := r.retry
		r.retry = nil
		for _, it := range waiting {
			if it.transient && charge(it) {
				l.finish(it, it.verdict)
				continue
			}
			r.retry.add(it)
		}
	}
}

// maxVerdict bounds what is kept of a provider's answer for a verdict that may
// never be given.
const maxVerdict = 4 << 10

// excuse notes a transient answer that spends no retry, because of a hold.
func (it *item) excuse(a *provider.Answer, p *job.Prompt) {
	it.excused++
	if it.spent+it.excused <= it.run.maxRetries {
		return
	}
	told := *a
	if len(told.Response) > maxVerdict {
		told.Response = nil
	}
	it.verdict = told.Failure(p, a.Code, it.attempts)
}

// probed hears what became of a probe with a prompt.
func (l *lane) probed(now time.Time, it *item, a *provider.Answer) {
	h := l.hold
	h.probing = false
	failed := a.Class == provider.Transient || a.Class == provider.Fatal || a.Class == provider.UsedUp
	untried := it.attempts <= 1
	switch {
	case h.kind == outage && h.passed && a.Class == provider.Transient:
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

// failAll gives up every job of the lane and is then open for new ones.
func (l *lane) failAll(now time.Time, reason string) {
	for _, r := range l.runs {
		l.fail(r, reason)
	}
	l.unhold(now, "a lane's jobs are given up")
}
