package rate

import (
	"time"

	"github.com/promptforge/promptforge/dispatcher/rate"
)

// controller makes the dispatcher's own rate.Controller a Rule.
type controller struct {
	*rate.Controller
	estimates []int // by slot
}

// Ours is the rule of the dispatcher, as it would begin in the scenario.
func Ours(sc *Scenario) Rule {
	return &controller{Controller: rate.New(rate.Config{RPM: sc.CapRPM, Concurrency: sc.MaxInFlight}, nil, epoch)}
}

func (c *controller) Permit(now time.Time, _ Request) (bool, time.Time) {
	return c.Controller.Permit(now)
}

func (c *controller) Sent(now time.Time, r Request) {
	for len(c.estimates) <= r.Slot {
		c.estimates = append(c.estimates, 0)
	}
	c.estimates[r.Slot] = c.Estimate(r.Bytes)
	c.Controller.Sent(now, c.estimates[r.Slot])
}

func (c *controller) Answered(now time.Time, a Answer) {
	f := rate.Feedback{
		Verdict: rate.Accepted, SentAt: a.SentAt, Estimate: c.estimates[a.Slot], Tokens: a.Tokens,
		RetryAfter: a.RetryAfter,
		Limits: rate.Limits{
			RequestsPerMinute: a.RequestLimit.Limit, TokensPerMinute: a.TokenLimit.Limit,
			NoneLeft: a.RequestLimit.Limit > 0 && a.RequestLimit.Remaining < 1,
		},
	}
	if a.Status == 429 {
		f.Verdict = rate.Refused
	}
	c.Controller.Answered(now, f, a.Bytes)
}

// Bound is what binds it.
func (c *controller) Bound(now time.Time) rate.Bound { return c.Snapshot(now).Bound }
