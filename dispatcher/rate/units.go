package rate

import (
	"math"
	"slices"
	"time"
)

// measure is what a silent provider counts.
type measure int

const (
	byRequest measure = iota
	byTokens          // of prompts and of answers, when they are there
	byMost            // of prompts and the longest answers that they ask for
	byPrompt          // of prompts alone
	measures
)

// of is how much of it was spent.
func (m measure) of(s spend) float64 {
	switch m {
	case byTokens:
		return whole.charged(s, byUse)
	case byMost:
		return whole.charged(s, upFront)
	case byPrompt:
		return s.prompts
	default:
		return s.requests
	}
}

// look is how what passed until a refusal is looked at.
type look int

const (
	perSecond look = iota // between two refusals: right for a bucket
	sinceEdge             // the same, or the next if that is less: for a window by the clock
	inMinute              // in the minute before the refusal: for any 60 s
	looks
)

const (
	// A span between two refusals counts where leastSpan requests passed in it.
	leastSpan = 20
	// Something else is counted than what was taken for it where that varies so
	// much less from refusal to refusal that it is exp(surer) times as likely.
	// A window's count is exact, so that less is enough there, and what came last
	// before a refusal tells nothing.
	surer         = 4.5
	surerOfWindow = 1.5
	// adoptMost is how far from the rate of requests that of units may be.
	adoptMost = 2.0
	// A hurried window is probed by about a tenth, which is hurrySteps doublings
	// of a probe, for hurrySeconds: twice as much would leave it shut for long.
	hurrySteps   = 3.3
	hurryFirst   = 5.0
	hurrySeconds = 75.0
)

// units makes a limit of tokens out of a learner of requests: what a mean request
// takes is a unit, and a longer one takes several.
type units struct {
	measure measure
	size    float64 // tokens of a unit
	carry   float64 // of a unit, not yet taken

	at    float64 // of the last refusal
	spent spend   // until then
	seen  [looks]figures
	look  look // the one that varies least
	clear bool // no other measure is nearly as likely

	hurried float64 // until when a window is probed by a tenth

	recent [measures]recent
	sizes  [measures]sizes
}

func newUnits() units { return units{size: 1} }

// bound is what binds where what is counted does.
func (u *units) bound() Bound {
	if u.measure == byRequest {
		return BoundRPM
	}
	return BoundTPM
}

// possible tells whether refusals may have to do with how long requests are: where
// that varies, and they do not come whatever left before them.
func (u *units) possible() bool {
	for m := byTokens; m < measures; m++ {
		if u.recent[m].proof > unproved && u.sizes[m].vary() {
			return true
		}
	}
	return u.measure != byRequest
}

// lengths is what is not known of a bucket at a refusal, in units, since requests
// are not all alike.
type lengths struct {
	matter  bool    // refusals may have to do with them
	lumps   float64 // variance of what the bucket holds
	longest float64 // what a request took at most: no bucket holds less
	owed    float64 // what the answers under way will take
}

// lengths are those after a span of so many requests, with so many under way.
func (u *units) lengths(requests, inFlight float64) lengths {
	if u.measure == byRequest {
		n := lengths{matter: u.possible(), longest: 1}
		if !n.matter {
			return n
		}
		for m := byTokens; m < measures; m++ {
			n.lumps = max(n.lumps, u.sizes[m].variance()*(1+requests))
		}
		return n
	}
	z := &u.sizes[u.measure]
	n := lengths{matter: true, lumps: z.variance(), longest: z.most / u.size}
	if u.measure == byTokens {
		n.owed = inFlight * max(0, z.mean-u.sizes[byPrompt].mean) / u.size
	}
	return n
}

// take gives a request its number: that of its last unit. A probe has one at
// least.
func (u *units) take(k *Ticket, next int64, probe bool) {
	k.units = 1
	if u.measure != byRequest {
		sum := k.cost
		sum.answers = k.answer
		k.units = u.measure.of(sum) / u.size
	}
	u.carry += k.units
	n := math.Floor(u.carry)
	if probe {
		n = max(1, n)
	}
	u.carry -= n
	prompts, most := k.cost.prompts, k.cost.prompts+k.cost.most
	u.recent[byTokens].sent(prompts)
	u.recent[byMost].sent(most)
	u.recent[byPrompt].sent(prompts)
	u.sizes[byMost].add(most)
	u.sizes[byPrompt].add(prompts)
	k.whole = n
	k.number = next + int64(n) - 1
}

// sent tells the learner of what a request takes beyond one unit.
func (u *units) sent(l *learner, now time.Duration, k *Ticket) {
	if u.measure == byRequest {
		return
	}
	l.pace.Take(now, k.units-1)
	l.minute.more(k.at, k.whole-1)
}

// answered corrects what an answer was reckoned to take.
func (u *units) answered(l *learner, now time.Duration, k *Ticket, answer float64) {
	u.recent[byTokens].sum += answer
	u.sizes[byTokens].add(k.cost.prompts + answer)
	if u.measure != byTokens {
		return
	}
	more := (answer - k.answer) / u.size
	l.pace.Take(now, more)
	u.carry += more
}

// unsent takes back what sent took.
func (u *units) unsent(l *learner, now time.Duration, k *Ticket) {
	l.pace.Take(now, 1-k.units)
	l.minute.more(k.at, 1-k.whole)
	if k.number >= l.mark.number {
		l.mark.refused -= int64(k.whole) - 1
	}
}

// refused tells the learner, which heard of one unit, of the others.
func (u *units) refused(l *learner, k *Ticket) {
	more := k.whole - 1
	if more == 0 {
		return
	}
	l.minute.more(k.at, -more)
	l.refusals += int64(more)
	l.mark.refused += int64(more)
	l.closure.refused += more
}

// judge takes in what passed until a request that was refused after others had
// passed, and tells whether something else is counted than what was taken for it.
func (u *units) judge(l *learner, k *Ticket, spent spend) (other bool) {
	between, minute := spent, spent
	between.add(u.spent.negative())
	minute.add(k.ago.negative())
	seconds, first := k.at-u.at, u.at == 0
	u.at, u.spent = k.at, spent
	for m := byTokens; m < measures; m++ {
		u.recent[m].refused()
	}
	if between.requests < leastSpan {
		return false
	}
	var all [looks][measures]float64
	for m := range measures {
		all[perSecond][m] = m.of(between) / seconds
		all[inMinute][m] = m.of(minute)
		all[sinceEdge][m] = min(m.of(between), m.of(minute))
	}
	if first || k.at >= minuteSeconds {
		u.seen[inMinute].add(all[inMinute])
	}
	if first || seconds > minuteSeconds/2 {
		u.seen[sinceEdge].add(all[sinceEdge])
	}
	if !first {
		u.seen[perSecond].add(all[perSecond])
	}
	windows := l.kind == kindWindow
	margin := surer
	if windows {
		margin = surerOfWindow
	}
	now, _ := u.likely(u.measure, windows)
	best, most := u.measure, now+margin
	for m := range measures {
		if v, look := u.likely(m, windows); v > most && (m == byRequest || u.sizes[m].vary()) {
			best, most, u.look = m, v, look
		}
	}
	other = best != u.measure
	u.measure = best
	most, _ = u.likely(best, windows)
	u.clear = !math.IsInf(most, -1)
	for m := range measures {
		if v, _ := u.likely(m, windows); m != best && v > most-margin {
			u.clear = false
		}
	}
	return other
}

// hurry has a window probed at once where it is not clear yet what is counted:
// else each minute tells but once in two.
func (u *units) hurry(l *learner) {
	if l.phase != cruise || l.kind != kindWindow || l.told.rate > 0 || u.clear {
		return
	}
	if !u.sizes[byTokens].vary() {
		return
	}
	steps := hurrySteps
	if u.seen[inMinute].n < 2 {
		steps = hurryFirst // the ramp's requests take up the first part of the minute
	}
	hurried := l.flat() + steps*windowSeconds
	if l.grown < hurried {
		u.hurried = l.last + hurrySeconds
	}
	if l.last < u.hurried {
		l.grown = hurried
	}
}

// likely is how likely a measure is by the look that makes it most so.
func (u *units) likely(m measure, windows bool) (most float64, by look) {
	most = math.Inf(-1)
	for k := range looks {
		if v := u.seen[k].likely(m, windows) + u.recent[m].proof; v > most {
			most, by = v, k
		}
	}
	return most, by
}

// adopt has a learner, which is closed, go on in units of what is counted now. A
// unit is what a mean request takes, so that its rates are about right; where they
// are known they are found again by what was seen.
func (u *units) adopt(l *learner, log *spendLog, t float64, next int64) {
	u.size, u.carry = 1, 0
	f := &u.seen[u.look]
	if u.measure != byRequest {
		u.size = max(1, median(f.of(u.measure))/median(f.of(byRequest)))
	}
	rate := median(f.of(u.measure)) / u.size
	if u.look != perSecond {
		rate /= minuteSeconds
	}
	if l.closure.from == cruise && rate > l.rate/adoptMost && rate < l.rate*adoptMost {
		l.rate, l.early, l.counted = rate, 0, 0
		l.belief.forget()
		l.closure.rho, l.closure.fell = rate, false
	}
	l.mark, l.busy = mark{t, next, l.refusals}, 0
	l.trace.begin(t, 1, 0)
	l.closure.refused = 1
	l.minute.rewrite(t, func(from, to float64) float64 {
		passed := log.at(to)
		passed.add(log.at(from).negative())
		return u.measure.of(passed) / u.size
	})
}

func median(all []float64) float64 {
	slices.Sort(all)
	if n := len(all); n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2
	}
	return all[len(all)/2]
}
