package rate

import (
	"math"
	"time"
)

// flow is how a limit gives back what was charged.
type flow int

const (
	evenly    flow = iota // a bucket fills at the limit
	atReset               // a window by the clock, all at once
	afterward             // a window of a minute, each after its minute
	flows
)

const (
	// quotaShare of a limit is what is sent where what is left of it is not told,
	// and quotaHaste where it is: then that holds back what is too much.
	quotaShare = 0.99
	quotaHaste = 1.03
	// quotaRoom is how many seconds' tokens an answer that was shorter than
	// reckoned gives back to those that leave next.
	quotaRoom = 1.0

	// The law by which a limit charges and gives back is the one that foretells
	// best what is left, over lawMemory answers; another must be better by
	// lawBetter. An error counts as lawMost mean requests at most.
	lawMemory = 40
	lawFirst  = 8
	lawBetter = 0.7
	lawMost   = 10.0

	// What is left must exceed a request's tokens by a margin, in mean requests:
	// a refusal adds marginMore of one and each accepted request takes off
	// marginLess, so that few in a thousand are refused. It is at most a share of
	// what a bucket holds, and a smaller one of a window, of which it is lost.
	marginMore   = 0.25
	marginLess   = 0.001
	bucketMargin = 0.25
	windowMargin = 0.005
	// emptyInARow accepted requests after each of which nothing was left are not
	// possible: what is left is not true.
	emptyInARow = 10
	// A request leaves after the time of so many at the latest, whatever is said
	// to be left; where a window is shut, at its end.
	longestGate = 10.0
	// longestTokenPause is the most seconds without a request after a refusal
	// for the tokens.
	longestTokenPause = 60.0
)

// law is how a limit charges and gives back.
type law struct {
	how  charging
	flow flow
}

// reading is what was left when a request was ruled on, and what had been spent.
type reading struct {
	number     int64
	at         float64
	left       float64
	reset      float64 // seconds; 0: not told
	spent, ago spend
}

// quota is one limit of tokens a minute that the provider names, of whole
// requests, of what is sent, or of what is answered.
type quota struct {
	part  part
	limit float64 // a minute; 0: not named
	pace  pacer

	law    law
	errors [chargings][flows]float64 // mean squares, in mean requests
	judged int

	known bool    // what is left is told
	most  float64 // the most that was ever left
	empty int     // accepted in a row with nothing left
	last  reading

	margin  float64 // in mean requests
	refused int     // in a row
	shut    float64 // not before
	lastAt  float64 // when a request left
}

// hear takes in the limit and what is left of it.
func (q *quota) hear(now time.Duration, f *Feedback, limit float64, b Budget, mean float64) {
	if limit > 0 && limit != q.limit {
		q.limit = limit
		q.setPace(now)
	}
	k := &f.Ticket
	if q.limit == 0 || !b.Known || q.last.at > 0 && k.number < q.last.number {
		return
	}
	if q.empty++; b.Left >= 1 || f.Verdict != Accepted {
		q.empty = 0
	}
	read := reading{k.number, k.at, b.Left, b.Reset.Seconds(), k.spent, k.ago}
	if q.known {
		q.judge(read, mean)
		if read.left < 1 {
			// No header says how much less than nothing is left.
			read.left = min(0, max(-q.limit, q.foretold(q.law, read.at, read.spent, read.ago)))
		}
	}
	known := q.known
	if q.known = q.empty < emptyInARow; q.known != known {
		q.setPace(now)
	}
	q.last = read
	q.most = max(q.most, read.left)
}

func (q *quota) setPace(now time.Duration) {
	share := quotaShare
	if q.known {
		share = quotaHaste
	}
	q.pace.SetRate(now, q.limit*share)
	q.pace.room = quotaRoom * q.limit / 60
}

// foretold is what is left by a law after the last reading.
func (q *quota) foretold(w law, t float64, spent, ago spend) float64 {
	left := q.last.left - q.part.charged(spent, w.how) + q.part.charged(q.last.spent, w.how)
	switch w.flow {
	case evenly:
		left += q.limit / 60 * (t - q.last.at)
	case afterward:
		left += q.part.charged(ago, w.how) - q.part.charged(q.last.ago, w.how)
	}
	return min(left, q.limit)
}

// judge holds what is left against what each law foretold.
func (q *quota) judge(r reading, mean float64) {
	if mean <= 0 {
		return
	}
	q.judged++
	weight := 1 / float64(min(q.judged, lawMemory))
	best := q.law
	for c := range chargings {
		for f := range flows {
			off := min(math.Abs(max(0, q.foretold(law{c, f}, r.at, r.spent, r.ago))-r.left)/mean, lawMost)
			q.errors[c][f] += (off*off - q.errors[c][f]) * weight
			if q.errors[c][f] < q.errors[best.how][best.flow] {
				best = law{c, f}
			}
		}
	}
	if q.judged >= lawFirst && q.errors[best.how][best.flow] < lawBetter*q.errors[q.law.how][q.law.flow] {
		q.law = best
	}
}

// ready is when a request may leave that takes so much; t or earlier: now.
func (q *quota) ready(now time.Duration, t float64, next spend, log *spendLog, mean float64) float64 {
	if q.limit == 0 {
		return t
	}
	at := max(q.shut, t+inSeconds(q.pace.Ready(now)-now))
	if !q.known || at > t {
		return at
	}
	takes := min(q.part.charged(next, q.law.how)+q.margin*mean, q.limit)
	ago := log.minuteAgo(t)
	missing := takes - q.foretold(q.law, t, log.spent, ago)
	if missing <= 0 {
		return t
	}
	perSecond := q.limit / 60
	longest := q.lastAt + longestGate*max(takes, mean)/perSecond
	switch q.law.flow {
	case atReset:
		edge := q.last.at + q.last.reset + lateSeconds
		if q.last.reset > 0 {
			return min(edge, max(longest, t+minuteSeconds))
		}
	case afterward:
		// Looked at again when more of it is a minute old.
		return min(max(longest, t), t+min(logSeconds, missing/perSecond))
	}
	return min(max(longest, t), t+missing/perSecond)
}

// beyond tells whether a prompt alone, its answer left out, is more than a
// minute's tokens: it is refused for its size, whenever it leaves.
func (q *quota) beyond(cost spend) bool {
	return q.limit > 0 && q.part.charged(cost, byUse) > q.limit
}

// expected is what a request will have been charged in the end, as is reckoned
// when it leaves.
func (q *quota) expected(next spend, answer float64) float64 {
	if q.law.how != upFront {
		next.answers, next.settled = answer, next.most
	}
	return q.part.charged(next, q.law.how)
}

func (q *quota) sent(now time.Duration, t float64, expected float64) {
	q.pace.Take(now, expected)
	q.lastAt = t
}

func (q *quota) unsent(now time.Duration, k *Ticket) {
	q.pace.Take(now, -q.expected(k.cost, k.answer))
	if q.known && q.last.number > k.number {
		q.last.spent.add(k.cost.negative()) // it never counted
	}
}

// accepted learns from an answer.
func (q *quota) accepted(now time.Duration, k *Ticket, answer float64) {
	q.refused = 0
	q.margin = max(0, q.margin-marginLess)
	if q.part != input && q.law.how != upFront {
		q.pace.Take(now, answer-k.answer)
	}
}

// lacks tells whether a refusal may be for this limit: by the most that the
// request may be charged.
func (q *quota) lacks(k *Ticket, mean float64) bool {
	return q.known && (q.last.number != k.number || q.last.left < 1.5*q.part.charged(k.cost, upFront)+mean)
}

// refuse learns from a refusal and pauses: until what is left is enough, or, where
// that was wrong, twice as long each time, but not beyond the reset.
func (q *quota) refuse(t float64, k *Ticket, mean float64) {
	q.refused++
	most := windowMargin * q.limit
	if q.law.flow == evenly {
		most = bucketMargin * min(q.most, q.limit)
	}
	q.margin = min(most/max(mean, 1), q.margin+marginMore)
	if q.refused == 1 {
		return
	}
	least := max(mean, q.part.charged(k.cost, q.law.how)) / (q.limit / 60)
	pause := least * math.Exp2(float64(min(q.refused-2, 6)))
	if q.last.reset > least {
		pause = min(pause, q.last.at+q.last.reset+lateSeconds-t)
	}
	q.shut = t + min(pause, longestTokenPause)
}
