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
	// Or than so much, where what is left says that others take the rest: it
	// falls, but by no more than mostPerSent with each request of ours, as it
	// does where all that is said is a multiple of the truth.
	sharedShare = 0.15
	mostPerSent = 3.0

	// Others count where they take leastOthers of a limit. So many standard
	// errors of what they take until the next answer are kept for them, where a
	// limit holds leastReserve at least; the pace falls to leastYield at most.
	leastOthers   = 0.05
	reserveSpread = 4.0
	leastReserve  = 4.0
	leastYield    = 0.05
	// What is left beyond the reserve is sent in so many seconds.
	restSeconds = 20.0
)

// told is the limit of requests that the provider names.
type told struct {
	rate     float64 // requests a second; 0: it names none
	since    mark    // when it was reached first
	verified bool    // it refused when more was sent
	lie      bool    // it is contradicted by what is accepted or refused

	number  int64   // of the newest request whose answer told what is left
	at      float64 // when that left
	refused int64   // refusals known of then
	left    float64 // -1: it does not tell
	wholeAt float64 // when the limit is whole again, by the newest answer
	most    float64 // the most that was ever left

	firstNumber int64   // of the first request whose answer told what is left
	firstLeft   float64 // and what it told; -1: none did
}

// hear takes in what an answer tells that names a limit.
func (l *learner) hear(t float64, k Ticket, limits Limits) {
	if l.told.lie {
		return
	}
	o := &l.told
	if o.rate > 0 && k.number < o.number {
		return // ruled on before the newest, heard after it
	}
	if rate := limits.RequestsPerMinute / 60; rate != o.rate {
		first := o.rate == 0
		*o = told{rate: rate, since: mark{t, l.lastSent + 1, l.refusals}, verified: !first, left: -1, most: -1, firstLeft: -1}
		if l.phase == cruise || l.phase == climb {
			l.beginTold(t)
		}
		l.rate = rate
	}
	o.number = k.number
	if b := limits.Requests; b.Known {
		if o.firstLeft < 0 {
			o.firstNumber, o.firstLeft = k.number, b.Left
		}
		o.most = max(o.most, b.Left)
		o.at, o.refused, o.left, o.wholeAt = k.at, l.refusals, b.Left, t+b.Reset.Seconds()
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

// yield is the share of the pace that leaves others what they take of the limit:
// what is neither left nor ours in the last minute. It counts only where little
// is left, since a bucket that is full says nothing of it.
func (l *learner) yield(t float64) float64 {
	o := &l.told
	if o.left < 0 || o.most < leastReserve || t-o.since.at < minuteSeconds {
		return 1
	}
	l.minute.advance(t)
	others := o.rate - (o.left+l.minute.sum.requests)/minuteSeconds
	if others < leastOthers*o.rate {
		return 1
	}
	reserve := min(o.most/2, reserveSpread*math.Sqrt(others*(t-o.at+1)))
	free := o.rate - others
	left := o.left + free*(t-o.at) - float64(l.lastSent-o.number-(l.refusals-o.refused))
	// A bucket that is full leaves all of its limit.
	faster := max(1/restSeconds, others/(o.most-reserve))
	pace := free*min(1, left/reserve) + max(0, left-reserve)*faster
	return min(1, max(leastYield, pace/o.rate))
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
	share := believedShare
	if o.most >= leastReserve && o.firstLeft-o.left <= mostPerSent*float64(o.number-o.firstNumber) {
		share = sharedShare
	}
	return accepted < share*expected-3*math.Sqrt(expected)-4
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
