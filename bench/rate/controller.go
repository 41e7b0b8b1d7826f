package rate

import (
	"time"

	"github.com/promptforge/promptforge/dispatcher/rate"
)

// controller makes the dispatcher's own rate.Controller a Rule.
type controller struct {
	*rate.Controller
	tickets []rate.Ticket // by slot
}

// Ours is the rule of the dispatcher, as it would begin in the scenario.
func Ours(sc *Scenario) Rule {
	return &controller{Controller: rate.New(rate.Config{RPM: sc.CapRPM, Concurrency: sc.MaxInFlight}, nil, epoch)}
}

func (c *controller) Permit(now time.Time, r Request) (bool, time.Time) {
	return c.Controller.Permit(now, size(r))
}

func size(r Request) rate.Size { return rate.Size{Bytes: r.Bytes, MaxTokens: r.MaxTokens} }

func (c *controller) Sent(now time.Time, r Request) {
	for len(c.tickets) <= r.Slot {
		c.tickets = append(c.tickets, rate.Ticket{})
	}
	c.tickets[r.Slot] = c.Controller.Sent(now, size(r))
}

func (c *controller) Answered(now time.Time, a Answer) {
	f := rate.Feedback{
		Verdict: rate.Accepted, Ticket: c.tickets[a.Slot], Bytes: a.Bytes, Tokens: a.Tokens, PromptTokens: a.PromptTokens, RetryAfter: a.RetryAfter,
		Limits: rate.Limits{
			RequestsPerMinute: a.RequestLimit.Limit, TokensPerMinute: a.TokenLimit.Limit,
			NoneLeft: a.RequestLimit.Limit > 0 && a.RequestLimit.Remaining < 1,
			Requests: budget(a.RequestLimit), Tokens: budget(a.TokenLimit),
		},
	}
	if a.Status == 429 {
		f.Verdict = rate.Refused
	}
	c.Controller.Answered(now, f)
}

func budget(s Stated) rate.Budget {
	return rate.Budget{Known: s.Limit > 0, Left: s.Remaining, Reset: s.Reset}
}

// Bound is what binds it.
func (c *controller) Bound(now time.Time) rate.Bound { return c.Snapshot(now).Bound }
