package rate

import (
	"testing"
	"time"
)

// follower paces a hair below the limit that the newest request's headers
// state. It is the simplest rule that trusts headers.
type follower struct {
	limit float64
	heard time.Time // when the request was sent whose answer was the newest
	due   time.Time
	asked bool
}

func (f *follower) Permit(now time.Time, _ Request) (bool, time.Time) {
	if f.limit == 0 && f.asked {
		return false, time.Time{}
	}
	return !now.Before(f.due), f.due
}

func (f *follower) Sent(now time.Time, _ Request) {
	f.asked = true
	if f.limit > 0 {
		f.due = now.Add(time.Duration(float64(minute) / (f.limit * 0.994)))
	}
}

func (f *follower) Answered(now time.Time, a Answer) {
	if a.SentAt.Before(f.heard) || a.RequestLimit.Limit == 0 {
		return
	}
	f.heard = a.SentAt
	if f.limit != a.RequestLimit.Limit {
		f.limit, f.due = a.RequestLimit.Limit, now
	}
}

// The bars with headers, of a cold start and of a raise, can be reached, or
// the laboratory asks for what nobody can give.
func TestBarsCanBeReached(t *testing.T) {
	rows := append(coldRows(Told), changeRows(Told)[:2]...)
	for i := range rows {
		rows[i].Scenarios = only(rows[i].Scenarios, func(sc *Scenario) bool { return sc.RPM <= 300 })
	}
	result := Result{"follower", Measure(rows, func(*Scenario, uint64) Rule { return &follower{} }, 3)}
	for i := range rows {
		if line := result.Line(&rows[i]); line.Met != line.Scenarios {
			t.Errorf("%s: %d of %d; %s has %.3f (bar %.3f)", rows[i].ID, line.Met, line.Scenarios, line.LowestIn.Name(), line.Lowest.Value, line.Lowest.Bar)
		}
	}
}
