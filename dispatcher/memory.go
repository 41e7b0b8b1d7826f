package dispatcher

import (
	"encoding/json"
	"time"

	"github.com/promptforge/promptforge/dispatcher/rate"
)

// memory is what the store keeps about a lane. Fields that an older version
// left out have their zero value.
type memory struct {
	Succeeded bool         `json:"succeeded"`
	Rate      rate.Learned `json:"rate"`
	Hold      *heldMemory  `json:"hold,omitempty"`
	Day       *dayMemory   `json:"day,omitempty"`
}

// heldMemory is a hold: --max-hold and --max-outage count on over a restart.
type heldMemory struct {
	Kind   string    `json:"kind"`
	Reason string    `json:"reason"`
	Status int       `json:"status,omitempty"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"`
}

// dayMemory is how many requests may have been sent on a day.
type dayMemory struct {
	Date time.Time `json:"date"`
	Sent int       `json:"sent"`
}

// readMemory reads what was kept. What cannot be read is begun anew.
func readMemory(kept []byte) (m memory, ok bool) {
	if kept == nil || json.Unmarshal(kept, &m) != nil {
		return memory{}, false
	}
	return m, true
}

// memory is what is to be kept now.
func (l *lane) memory() memory {
	m := memory{Succeeded: l.succeeded, Rate: l.ctl.Learned()}
	if h := l.hold; h != nil && h.kind != dayCap { // the count brings that one back
		m.Hold = &heldMemory{Kind: h.kind.String(), Reason: h.reason, Status: h.status, Since: h.since.UTC(), Until: h.until}
		if !h.until.IsZero() {
			m.Hold.Until = h.until.UTC()
		}
	}
	if l.cfg.RPD > 0 && !l.today.day.IsZero() {
		m.Day = &dayMemory{Date: l.today.day, Sent: max(l.today.sent, l.today.asked, l.today.reserved)}
	}
	return m
}

// remember goes on from what was kept. A hold goes on with a probe at once,
// but for a day's quota whose end is known.
func (l *lane) remember(now time.Time, m *memory) {
	l.succeeded = l.succeeded || m.Succeeded
	if m.Day != nil && m.Day.Date.Equal(now.UTC().Truncate(day)) {
		l.today = dayCount{day: m.Day.Date, sent: m.Day.Sent, reserved: m.Day.Sent}
	}
	if m.Hold == nil {
		return
	}
	for _, kind := range []holdKind{outage, refusal, usedUp} {
		if kind.String() != m.Hold.Kind {
			continue
		}
		l.hold = &hold{kind: kind, reason: m.Hold.Reason, status: m.Hold.Status, since: m.Hold.Since, until: m.Hold.Until, next: now}
		if m.Hold.Until.After(now) {
			l.hold.next = m.Hold.Until
		}
		l.tell("a lane is still held", l.hold)
	}
}
