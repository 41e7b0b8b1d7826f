package rate

import "math"

const (
	// toldShare of a limit that the provider names is what is sent: requests
	// that are jittered on their way must not turn into refusals.
	toldShare = 0.995
	// toldDouble is in how many seconds the rate doubles up to a named limit.
	toldDouble = 0.4

	// A named limit is tried once: after a while the rate grows until one is
	// refused, at most to so many times the limit more.
	verifyAfter  = 8.0
	verifyDouble = 1.0
	verifyFirst  = 0.02
	verifyMost   = 4.0

	// A limit is not believed any more when less than so much of it is accepted.
	believedShare = 0.8
)

// told is the limit of requests that the provider names.
type told struct {
	rate     float64 // requests a second; 0: it names none
	since    mark    // when it was reached first
	verified bool    // it refused when more was sent
	lie      bool    // it is contradicted by what is accepted or refused

	number  int64   // of the newest request whose answer told what is left
	left    float64 // -1: it does not tell
	wholeAt float64 // when the limit is whole again, by the newest answer
	most    float64 // the most that was ever left
}

// hear takes in what an answer tells.
func (l *learner) hear(t float64, k Ticket, limits Limits) {
	if limits.RequestsPerMinute <= 0 || l.told.lie {
		return
	}
	o := &l.told
	if o.rate > 0 && k.number < o.number {
		return // ruled on before the newest, heard after it
	}
	if rate := limits.RequestsPerMinute / 60; rate != o.rate {
		first := o.rate == 0
		*o = told{rate: rate, since: mark{t, l.lastSent + 1, l.refusals}, verified: !first, left: -1, most: -1}
		if l.phase == cruise || l.phase == climb {
			l.beginTold(t)
		}
		l.rate = rate
	}
	o.number = k.number
	if b := limits.Requests; b.Known {
		o.most = max(o.most, b.Left)
		o.left, o.wholeAt = b.Left, t+b.Reset.Seconds()
	}
}

// beginTold begins to send at the named limit.
func (l *learner) beginTold(t float64) {
	l.told.since = mark{t, l.lastSent + 1, l.refusals}
	l.begin(cruise, l.told.rate*toldShare)
}

// excess is by how much of a named limit is sent beyond it, to see that it is
// true.
func (o *told) excess(grown float64) float64 {
	if o.verified || grown < verifyAfter {
		return 0
	}
	return min(verifyMost, verifyFirst*(math.Exp2((grown-verifyAfter)/verifyDouble)-1))
}

// opens is when the next request may leave by what the provider says is left;
// the present or earlier when it may now.
func (o *told) opens(t float64, m *minute) float64 {
	if o.left >= 1 || !o.verified {
		return t
	}
	limit := minuteSeconds * o.rate
	if o.most < limit/2 {
		limit += max(0, o.most) // a bucket gives what it holds as well
	}
	at := m.opens(t, limit, false)
	if o.left >= 0 && o.wholeAt > t {
		at = min(at, o.wholeAt)
	}
	return at
}

// exceeded tells whether more was accepted than the named limit and what may
// have been saved up allow.
func (o *told) exceeded(accepted, seconds float64) bool {
	saved := o.most
	if saved < 0 {
		saved = 60 * o.rate
	}
	allowed := o.rate * seconds
	return accepted > allowed+saved+3*math.Sqrt(allowed)+5
}

// missed tells whether much less was accepted than the named limit.
func (o *told) missed(accepted, seconds float64) bool {
	expected := o.rate * seconds
	return accepted < believedShare*expected-3*math.Sqrt(expected)-4
}

// accepted since the limit was named.
func (l *learner) underTold(number int64) float64 {
	return float64(number - l.told.since.number - (l.refusals - l.told.since.refused))
}

// doubt holds the named limit against a refusal.
func (l *learner) doubt(k Ticket) {
	o := &l.told
	refusedWithLeft := o.left >= 1 && k.number >= o.number
	if l.phase == cruise && l.excess(l.grown) > 0 {
		o.verified = true
	}
	if l.closure.from == cruise && o.missed(l.underTold(k.number), k.at-o.since.at) || refusedWithLeft && l.closure.top < o.rate/2 {
		l.disbelieve()
		l.closure.fell = true
	}
}

func (l *learner) disbelieve() {
	l.told = told{lie: true}
	l.rate, l.kind, l.stage, l.sure = 0, kindUnknown, 0, false
	l.belief.forget()
}
