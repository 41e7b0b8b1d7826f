package dispatcher

import (
	"strconv"
	"time"
)

const day = 24 * time.Hour

// dayCount counts a lane's requests of a day (UTC) where the operator caps
// them. What may be sent is reserved in the store before it is, so that a crash
// makes the count too high and never too low.
type dayCount struct {
	day      time.Time // its midnight
	sent     int
	reserved int // durable: so many may be sent
	asked    int // what the next save makes durable
}

// share of a day's cap that is reserved at once, and at least leastDayShare.
const (
	dayShare      = 100
	leastDayShare = 16
)

// turn begins a new day.
func (d *dayCount) turn(now time.Time) {
	if today := now.UTC().Truncate(day); !today.Equal(d.day) {
		*d = dayCount{day: today}
	}
}

// counted is "1 request" or "2 requests".
func counted(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + one + "s"
}

// dayPermits tells whether the day's cap and what is reserved of it let another
// request leave. Without a cap it always may.
func (l *lane) dayPermits(now time.Time) (ok bool) {
	if l.cfg.RPD == 0 {
		return true
	}
	d := &l.today
	d.turn(now)
	if d.sent >= l.cfg.RPD {
		l.begin(now, &hold{
			kind: dayCap, since: now, until: d.day.Add(day), next: d.day.Add(day),
			reason: "The operator's cap of " + counted(l.cfg.RPD, "request") + " a day is reached.",
		})
		return false
	}
	chunk := max(leastDayShare, l.cfg.RPD/dayShare)
	if d.reserved-d.sent < chunk/2 && d.reserved < l.cfg.RPD && d.asked <= d.reserved {
		d.asked = min(l.cfg.RPD, d.sent+chunk)
		l.emit(command{verb: doSave})
	}
	return d.sent < d.reserved
}

// saved hears that what is kept of the lane is durable.
func (l *lane) saved(m *memory) {
	if m.Day != nil && m.Day.Date.Equal(l.today.day) {
		l.today.reserved = max(l.today.reserved, m.Day.Sent)
	}
}
