package dispatcher

import (
	"fmt"
	"strings"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
)

type holdKind int

const (
	outage  holdKind = iota // the provider is down, or answers nobody in its own way
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
	until   time.Time // the provider named it, or its day ends then; zero: nobody knows
	unnamed bool      // until is the day's end, which no answer named: it is probed before, all the same
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
// ours, and quote nobody; of a broken one no word of its body is told.
func downReason(a *provider.Answer) string {
	if a.Class == provider.Broken {
		what := fmt.Sprintf("status %d", a.HTTPStatus)
		if a.ContentType != "" {
			what += ", " + a.ContentType
		}
		return "The provider's answers are not its JSON, or not whole (" + what + "): a proxy's page, perhaps."
	}
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
	switch {
	case a.DayEnds > 0 && a.RetryAfter < usedUpProbe:
		h.until, h.unnamed = now.Add(a.DayEnds), true
		if h.until.Before(h.next) {
			h.next = h.until
		}
	case a.RetryAfter > 0:
		h.until = now.Add(a.RetryAfter)
		h.next = h.until
	}
	return h
}

// begin holds the lane. What an outage's first answers cost is given back:
// nothing is spent on the provider's weather.
func (l *lane) begin(now time.Time, h *hold) {
	l.hold = h
	l.weather.forget()
	l.unsuspect()
	l.askNow(now, func(*item) bool { return true })
	l.tell("a lane is held", h)
	l.emit(command{verb: doSave})
	if h.kind != outage {
		return
	}
	excuse := func(it *item) {
		it.excused, it.verdict = tries{}, nil // by an earlier hold
		if it.failing && !it.atFault {
			it.excused, it.spent = it.spent, tries{}
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

// failAll gives up every job of the lane and is then open for new ones.
func (l *lane) failAll(now time.Time, reason string) {
	for _, r := range l.runs {
		l.fail(r, reason)
	}
	l.unhold(now, "a lane's jobs are given up")
}
