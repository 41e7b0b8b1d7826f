package rate

// longestGap is the most seconds between two probes.
const longestGap = 30.0

// slightDebt is what a bucket lacks at most, in requests, that refused one at
// a rate which was hardly too high, but for what refusals may cost.
const slightDebt = 0.4

// closure is the time from a refusal until a probe is accepted.
type closure struct {
	from     phase
	at       float64 // when the refusal came
	sentAt   float64 // when the refused request had left
	span     span    // what was accepted before
	counted  float64 // what was accepted in the minute before
	top, rho float64
	fell     bool
	slight   bool // the rate was hardly too high

	refused   float64 // refusals since
	notBefore float64 // as the provider asked
	probes    int     // refused probes
	gap       float64
	lastSent  float64
	probing   bool
	probeAt   float64
	number    int64
	window    bool
	resumed   bool // nothing was refused: the lane was held
}

// next is when the closure goes on: with the next probe, or with what the one
// that is out tells.
func (c *closure) next(l *learner, t float64) float64 {
	feedback := l.feedback * feedbackSpread
	if c.probing {
		return c.probeAt + feedback
	}
	if l.told.rate == 0 && l.kind == kindUnknown && !c.window && c.from != cruise && c.span.count >= leastWindow {
		silent := 2 * (2 + c.refused) * (60 + c.span.seconds) / c.span.count
		if c.probes > l.noise.probes() && (c.lastSent-c.sentAt > silent || c.notBefore-c.sentAt > silent+1) {
			c.window = true
			c.probes = 0
			l.kind, l.sure = kindWindow, true
			l.rate = c.span.count / minuteSeconds
			if c.counted < 2*c.span.count {
				l.rate = max(c.span.count, c.counted) / minuteSeconds
			}
		}
	}
	if c.resumed && c.probes == 0 {
		return c.notBefore
	}
	debt := 2.0
	if c.slight && !l.patient {
		debt = slightDebt
	}
	at := c.lastSent + min(longestGap, max(feedback, (debt+c.refused+l.lengths.owed)/c.rho)*c.gap)
	if c.probes > 0 {
		at = max(at, c.notBefore)
	}
	switch {
	case l.told.rate > 0:
		at = max(at, l.told.opens(t, &l.minute))
	case l.kind == kindWindow:
		at = max(at, l.minute.opens(t, 60*l.rate, c.probes > 0))
	}
	return at
}

func (c *closure) probe(k Ticket) { c.probing, c.probeAt, c.number = true, k.at, k.number }

func (c *closure) probeRefused(l *learner, t float64, k Ticket, retryAfter float64) {
	c.probing = false
	c.refused++
	if c.slight && !l.patient {
		l.patient, c.lastSent = true, k.at
		return
	}
	c.probes++
	c.gap *= 2
	c.lastSent = k.at
	if retryAfter > 1 {
		c.notBefore = t + retryAfter
	}
}
