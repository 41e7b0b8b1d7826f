package rate

import "time"

// static probes once and then stays: it doubles its rate each second from one
// request a second until the first refusal, waits a minute, and sends at 90 %
// of the rate at which it was last accepted for ever. Where headers state the
// limit, that is what it sends at.
type static struct {
	perMinute float64
	raisedAt  time.Time
	due       time.Time
	probing   bool
	until     time.Time
	lastRate  float64 // the rate of the last whole step
}

const (
	staticStart = 60
	staticStep  = time.Second
	staticShare = 0.9
)

func newStatic() *static {
	return &static{perMinute: staticStart, raisedAt: epoch, due: epoch, probing: true}
}

func (s *static) Permit(now time.Time, _ Request) (bool, time.Time) {
	if now.Before(s.until) {
		return false, s.until
	}
	for s.probing && now.Sub(s.raisedAt) >= staticStep && s.perMinute < 1e6 {
		s.lastRate = s.perMinute
		s.perMinute *= 2
		s.raisedAt = s.raisedAt.Add(staticStep)
		s.due = now
	}
	return !now.Before(s.due), s.due
}

func (s *static) Sent(now time.Time, _ Request) {
	if s.due.Before(now.Add(-time.Second)) {
		s.due = now
	}
	s.due = s.due.Add(time.Duration(float64(minute) / s.perMinute))
}

func (s *static) Answered(now time.Time, a Answer) {
	switch {
	case !s.probing:
	case a.RequestLimit.Limit > 0:
		s.probing, s.perMinute, s.due = false, a.RequestLimit.Limit, now
	case a.Status == 429:
		s.probing, s.perMinute = false, staticShare*max(staticStart, s.lastRate)
		s.until = now.Add(minute)
		s.due = s.until
	}
}
