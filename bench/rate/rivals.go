package rate

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Named is a rule with its name.
type Named struct {
	Name string
	New  NewRule
}

// OursName is the name of our rule.
const OursName = "ours"

// rules are all that meet the scenarios, ours first.
var rules = []Named{
	{OursName, func(sc *Scenario, _ uint64) Rule { return Ours(sc) }},
	{"origin", func(sc *Scenario, _ uint64) Rule { return &capped{Rule: newOrigin(), most: sc.MaxInFlight} }},
	{"gradient2", func(*Scenario, uint64) Rule { return newGradient2() }},
	{"aimd", func(sc *Scenario, _ uint64) Rule { return newAIMD(sc.MaxInFlight) }},
	{"static", func(sc *Scenario, _ uint64) Rule { return &capped{Rule: newStatic(), most: sc.MaxInFlight} }},
	{"retry", func(_ *Scenario, seed uint64) Rule { return newRetryLoop(seed) }},
}

// capped keeps a rule that knows no end within the cap on requests at once that
// every client has. Against a server that refuses nothing it would have a hundred
// million under way.
type capped struct {
	Rule
	most, inFlight int
}

func (c *capped) Permit(now time.Time, next Request) (bool, time.Time) {
	if c.inFlight >= c.most {
		return false, time.Time{}
	}
	return c.Rule.Permit(now, next)
}

func (c *capped) Sent(now time.Time, r Request) {
	c.inFlight++
	c.Rule.Sent(now, r)
}

func (c *capped) Answered(now time.Time, a Answer) {
	c.inFlight--
	c.Rule.Answered(now, a)
}

// RulesNamed returns the rules of a list like "ours,aimd", and all of them for
// an empty one.
func RulesNamed(list string) ([]Named, error) {
	if list == "" {
		return rules, nil
	}
	var found []Named
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(rules, func(n Named) bool { return n.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no rule %q; there are ours, origin, gradient2, aimd, static and retry", name)
		}
		found = append(found, rules[i])
	}
	return found, nil
}

// origin is the rule that the contract came with: 10 requests a minute, half as
// many more each 30 s; at a 429 it lets what is under way finish, waits 60 s
// and goes on with 75 %.
type origin struct {
	perMinute float64
	raisedAt  time.Time
	due       time.Time
	inFlight  int
	draining  bool
	until     time.Time
}

const (
	originStart = 10
	originRaise = 1.5
	originEvery = 30 * time.Second
	originWait  = 60 * time.Second
	originCut   = 0.75
)

func newOrigin() *origin { return &origin{perMinute: originStart, raisedAt: epoch, due: epoch} }

func (o *origin) Permit(now time.Time, _ Request) (bool, time.Time) {
	if o.draining {
		return false, time.Time{}
	}
	if now.Before(o.until) {
		return false, o.until
	}
	for now.Sub(o.raisedAt) >= originEvery {
		o.perMinute *= originRaise
		o.raisedAt = o.raisedAt.Add(originEvery)
	}
	return !now.Before(o.due), o.due
}

func (o *origin) Sent(now time.Time, _ Request) {
	o.inFlight++
	if o.due.Before(now.Add(-time.Second)) {
		o.due = now // no burst after a wait
	}
	o.due = o.due.Add(time.Duration(float64(minute) / o.perMinute))
}

func (o *origin) Answered(now time.Time, a Answer) {
	o.inFlight--
	if a.Status == 429 {
		o.draining = true
	}
	if o.draining && o.inFlight == 0 {
		o.draining = false
		o.perMinute *= originCut
		o.until = now.Add(originWait)
		o.raisedAt, o.due = o.until, o.until
	}
}

// aimd is additive increase, multiplicative decrease of the requests under way:
// begins at 10, never below 5, halved at a refusal, one more after each round
// of answers. Refusals of what was sent before the last cut cut no more.
type aimd struct {
	places
	limit, most float64
	cutAt       time.Time
}

const (
	aimdStart = 10
	aimdFloor = 5
	aimdCut   = 0.5
)

func newAIMD(most int) *aimd { return &aimd{limit: aimdStart, most: float64(most)} }

func (c *aimd) Permit(now time.Time, _ Request) (bool, time.Time) { return c.permit(now, c.limit) }

func (c *aimd) Sent(time.Time, Request) { c.taken++ }

func (c *aimd) Answered(now time.Time, a Answer) {
	c.answered(now, a)
	switch {
	case a.Status != 429:
		c.limit = min(c.most, c.limit+1/c.limit)
	case a.SentAt.After(c.cutAt):
		c.limit = max(aimdFloor, c.limit*aimdCut)
		c.cutAt = now
	}
}
