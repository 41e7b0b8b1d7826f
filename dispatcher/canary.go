package dispatcher

import (
	"slices"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/dispatcher/rate"
)

const (
	// A canary is about so many bytes and tokens.
	canaryBytes  = 64
	canaryTokens = 8
)

// canarySize is what the rate reckons with.
var canarySize = rate.Size{Bytes: canaryBytes, MaxTokens: canaryTokens}

// canary sends a canary, which has its slot.
func (l *lane) canary(now time.Time) {
	l.inFlight++
	l.canaryKey, l.canaryGeneration = l.keys.pick(now), l.keys.generation
	l.today.sent++
	l.leftAt = now
	l.left++
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

// canaried hears what became of a canary.
func (l *lane) canaried(now time.Time, a *provider.Answer) {
	l.inFlight--
	l.slot.free(&l.seat)
	onlyKey := l.credential(now, l.canaryKey, l.canaryGeneration, a)
	l.succeeded = l.succeeded || a.Class == provider.Done
	if passed(a) {
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
	case failing(a) || a.Class == provider.Fatal || a.Class == provider.UsedUp:
		h.weather = true
		l.worse(now, a)
	case h.kind == outage:
		l.otherPassed(now)
	default:
		l.resume(now)
	}
}

// passed tells whether the provider itself took a request.
func passed(a *provider.Answer) bool { return verdict(a.Class) == rate.Accepted && !failing(a) }

// vouch has canaries tell, one after the other, where no other prompt is left
// to: one that is too large must not circle for ever, nor one with a broken
// answer be taken for broken itself where a proxy answers everybody. only tells
// that nothing else may leave; wake is when to look again.
func (l *lane) vouch(now time.Time) (wake time.Time, only bool) {
	if l.trial != nil || !l.unripe() && !l.asksLater() || l.othersWait() {
		return time.Time{}, false
	}
	l.slot.leave(&l.seat)
	if l.inFlight > 0 {
		return time.Time{}, true // what is out may pass
	}
	if l.vouchAt.After(now) {
		return l.vouchAt, true
	}
	if ok, at := l.ctl.Permit(now, canarySize); !ok {
		return at, true
	}
	if !l.dayPermits(now) {
		if l.hold != nil {
			return now, true
		}
		return time.Time{}, true // after the next save
	}
	if !l.slot.take(&l.seat) {
		return now.Add(slotPoll), true
	}
	l.vouching, l.vouchTicket = true, l.ctl.Sent(now, canarySize)
	l.canary(now)
	l.vouchLeft = l.left
	return time.Time{}, true
}

// vouched hears what became of such a canary. Where it did not pass, nothing is
// known of the prompts that are refused either: they go back among the others.
// Where it failed as those with a broken answer did, it is the weather.
func (l *lane) vouched(now time.Time, a *provider.Answer) {
	l.vouching = false
	l.ctl.Answered(now, rate.Feedback{
		Verdict: verdict(a.Class), Ticket: l.vouchTicket, Bytes: canaryBytes, Tokens: a.Tokens(), PromptTokens: a.Prompt(), RetryAfter: a.Pause(), Limits: a.Limits,
	})
	if l.hold == nil && failing(a) && l.asksLater() {
		l.begin(now, newOutage(now, a))
		l.hold.weather = true
		return
	}
	well := passed(a)
	l.askNow(now, func(it *item) bool {
		told := it.brokenAt < l.vouchLeft
		if told && well {
			it.failing = false // of itself, perhaps, but not of the weather
		}
		return told
	})
	if well {
		l.vouchWait = 0
		return
	}
	l.vouchWait = min(maxRefusalWait, max(time.Second, 2*l.vouchWait))
	l.vouchAt = now.Add(max(l.vouchWait, min(maxRefusalWait, a.Pause())))
	l.release(func(it *item) bool {
		if l.ripe(it) {
			return false
		}
		if it.notBefore.Before(l.vouchAt) {
			it.notBefore = l.vouchAt
		}
		return true
	})
}

// unripe tells whether a prompt waits for others to pass before it is tried
// alone.
func (l *lane) unripe() bool {
	for _, r := range l.runs {
		if slices.ContainsFunc(r.suspects, func(it *item) bool { return !l.ripe(it) }) {
			return true
		}
	}
	return false
}
