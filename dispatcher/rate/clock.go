package rate

import "math"

// minuteByClock is the minute of a window by the clock, if the provider has one:
// it begins anew between a refusal and when as much is accepted again.
type minuteByClock struct {
	begun account // at the latest; at 0: it is not known
	late  float64 // by how many seconds it may have begun earlier
	early amounts // accepted until that much earlier

	refused account // the newest refused request
	shut    bool    // it is awaited that as much is accepted again
	opening account // when it was
}

// began tells whether a moment is in the minute, or later.
func (c *minuteByClock) began(t float64) bool { return c.begun.at > 0 && t >= c.begun.at }

// holds tells whether a moment is surely in the minute.
func (c *minuteByClock) holds(t float64) bool {
	return c.began(t) && t < c.begun.at+minuteSeconds-c.late
}

// wasRefused hears of any refused request, before which so much had been spent.
func (c *minuteByClock) wasRefused(k *Ticket, spent spend) {
	if k.at > c.refused.at {
		c.refused = account{k.at, amountsOf(spent), amountsOf(k.cost)}
		c.opening, c.shut = account{}, true
	}
}

// leaves hears that a request leaves. A refusal is known so many seconds after.
func (c *minuteByClock) leaves(k *Ticket, log *spendLog, known float64) {
	if c.shut && !c.opens(k, known) || !c.began(k.at-minuteSeconds) {
		return
	}
	c.begun.at += minuteSeconds * math.Floor((k.at-c.begun.at)/minuteSeconds)
	c.begun.all, c.early = before(k), amountsOf(log.at(c.begun.at-c.late))
}

// before is what had been spent when a request left.
func before(k *Ticket) amounts {
	s := k.spent
	s.add(k.cost.negative())
	return amountsOf(s)
}

// opens tells whether the minute that was shut must have begun anew: as much as
// the refused request takes was accepted, since nothing was refused meanwhile.
func (c *minuteByClock) opens(k *Ticket, known float64) bool {
	if c.opening.at == 0 {
		all := before(k)
		for m, n := range all {
			if n < c.refused.all[m]+c.refused.owed[m] {
				return false
			}
		}
		c.opening = account{at: k.at, all: all}
	}
	if k.at < c.opening.at+known {
		return false
	}
	c.shut = false
	c.edge(c.refused.at, c.opening.at)
	c.begun.all, c.early = c.opening.all, c.refused.all
	return true
}

// edge hears that the minute began anew between two moments: what was known of
// its edge and agrees with that makes it more exact.
func (c *minuteByClock) edge(after, until float64) {
	if until-after >= minuteSeconds {
		c.begun.at = 0
		return
	}
	if c.begun.at > 0 {
		last := c.begun.at + minuteSeconds*math.Ceil((after-c.begun.at)/minuteSeconds)
		if first := last - c.late; first <= until {
			after, until = max(after, first), min(until, last)
		}
	}
	c.begun.at, c.late = until, until-after
}
