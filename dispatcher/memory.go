package dispatcher

import (
	"context"
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
	Kind    string    `json:"kind"`
	Reason  string    `json:"reason"`
	Status  int       `json:"status,omitempty"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until,omitzero"`
	Unnamed bool      `json:"unnamed,omitzero"`
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
		m.Hold = &heldMemory{Kind: h.kind.String(), Reason: h.reason, Status: h.status, Since: h.since.UTC(), Until: h.until, Unnamed: h.unnamed}
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
// but for a day's quota whose end was named.
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
		l.hold = &hold{kind: kind, reason: m.Hold.Reason, status: m.Hold.Status, since: m.Hold.Since, until: m.Hold.Until, unnamed: m.Hold.Unnamed, next: now}
		if m.Hold.Until.After(now) && !m.Hold.Unnamed {
			l.hold.next = m.Hold.Until
		}
		l.tell("a lane is still held", l.hold)
	}
}

// save keeps what is known of the lane. One save is under way at a time, so
// that an older one never replaces a newer one.
func (r *laneRunner) save() {
	if r.saving {
		r.saveAgain = true
		return
	}
	r.saving, r.saveAgain, r.savedAt = true, false, time.Now()
	m := r.lane.memory()
	go func() {
		err := r.keep(&m)
		if err != nil {
			pause := time.NewTimer(storeRetry)
			defer pause.Stop()
			select {
			case <-pause.C:
			case <-r.d.hard.Done():
			}
		}
		r.post(func(time.Time) {
			r.saving = false
			if err == nil {
				r.lane.saved(&m)
			}
			if r.saveAgain || err != nil && !r.lane.stopping {
				r.save()
			}
		})
	}()
}

func (r *laneRunner) keep(m *memory) error {
	learned, err := json.Marshal(m)
	if err == nil {
		err = r.d.cfg.Store.SaveLane(context.Background(), r.lease, learned)
	}
	if err != nil {
		r.d.log.Warn("what was learned about a lane could not be kept", "lane", r.key.String(), "error", err)
	}
	return err
}
