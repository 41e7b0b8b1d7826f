package rate

const (
	// longestGap is the most seconds between two probes.
	longestGap = 30.0
	// windowGap is the least number of seconds between two probes of a window: with
	// doubling gaps eight of them reach to its end.
	windowGap = 0.15
	// A bucket lacks unknownDebt requests at most besides what refusals cost, and
	// slightDebt where it refused at a rate that was hardly too high.
	unknownDebt = 2.0
	slightDebt  = 0.4
)

// longestPause is the most seconds that a lane sends nothing because it was
// asked to: a limit by the minute is whole again by then, and what refuses for
// longer is told by the next probe.
const longestPause = minuteSeconds

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
	least := feedback
	if l.kind == kindWindow {
		least = max(least, windowGap)
	}
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
	debt := unknownDebt
	if c.slight && !l.patient {
		debt = slightDebt
	}
	at := c.lastSent + min(longestGap, max(least, (debt+c.refused+l.lengths.owed)/c.rho)*c.gap)
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

func (c *closure) probe(k *Ticket) { c.probing, c.probeAt, c.number = true, k.at, k.number }

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
