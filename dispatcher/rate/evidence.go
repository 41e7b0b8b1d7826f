package rate

import (
	"math"
	"slices"
)

const (
	// bracketsKept is how many of the newest refusals are looked at.
	bracketsKept = 8
	// otherCause is the share of refusals that have another cause than the limit
	// that is looked for, or tell of it what is not true.
	otherCause = 0.1
	// belied is how likely it is that more was accepted than a limit allows: by
	// what is not known of the way there, or of a window's edge.
	belied = 0.02
	// rangeOfLimits is the logarithm of the range that a limit is in before
	// anything was refused.
	rangeOfLimits = 1.5
	// least is the least limit that is reckoned with, of anything in any time.
	least = 1e-6
	// othersSpread is how many standard deviations of what others take at random
	// are reckoned with.
	othersSpread = 1.5
	// countError is the share by which what was accepted may be off, and
	// countUnits by how many of a mean request.
	countError = 0.0015
	countUnits = 0.3
	// What left last weighs recentKept of what left next. Where a measure is what is
	// counted, refused is what follows more than usual: by a standard deviation or
	// so, and by recentMost at most.
	recentKept   = 0.9
	recentMemory = 200
	recentMost   = 2.0
	recentShift  = 1.0
	proofKept    = 0.95
	// unproved is so unlikely that refusals have nothing to do with it.
	unproved = -0.5
	// unlike is the standard deviation of requests' tokens, over their mean, from
	// which on it is worth finding out whether they are counted.
	unlike = 0.2
)

// sizes are how much requests are of a measure.
type sizes struct{ n, mean, square, most float64 }

func (z *sizes) add(amount float64) {
	z.n = min(z.n+1, recentMemory)
	z.most = max(z.most, amount)
	z.mean += (amount - z.mean) / z.n
	z.square += (amount*amount - z.square) / z.n
}

// vary tells whether they do: what is alike cannot be told from requests.
func (z *sizes) vary() bool { return z.square-z.mean*z.mean > unlike*unlike*z.mean*z.mean }

// variance is that of a request's measure, in the mean request's.
func (z *sizes) variance() float64 {
	if z.mean <= 0 {
		return 0
	}
	return max(0, z.square/(z.mean*z.mean)-1)
}

// unit is the mean of them.
func (z *sizes) unit(m measure) float64 {
	if m == byRequest {
		return 1
	}
	return max(1, z.mean)
}

// recent is what left a short time ago, by a measure.
type recent struct {
	sum    float64
	mean   float64 // of sum
	square float64 // mean square of what it is off
	n      int
	proof  float64 // logarithm: how much more likely refusals follow much of it
}

func (r *recent) sent(amount float64) {
	r.sum = r.sum*recentKept + amount
	r.n++
	off := r.sum - r.mean
	weight := 1.0 / recentMemory
	if r.n < recentMemory {
		weight = 1 / float64(r.n)
	}
	r.mean += off * weight
	r.square += (off*off - r.square) * weight
}

func (r *recent) refused() {
	if r.square <= 0 {
		return
	}
	off := min(recentMost, max(-recentMost, (r.sum-r.mean)/math.Sqrt(r.square)))
	r.proof = r.proof*proofKept + recentShift*(off-recentShift/2)
}

// amounts are those of a spending, by each measure.
type amounts [measures]float64

func amountsOf(s spend) amounts {
	return amounts{s.requests, s.prompts + s.answers, s.prompts + s.most, s.prompts}
}

// limiter is a law by which a limit may be kept: a bucket of one of the depths, a
// window by the clock, or one of any minute.
type limiter int

const (
	clockWindow limiter = iota + limiter(len(depths))
	anyMinute
	lawsOfLimits
)

// depths are what a bucket may hold, in mean requests; the last never is full.
var depths = [...]float64{1, 3, 8, 20, 50, math.Inf(1)}

// depthOff is the share by which a depth may be off that lies between two.
const depthOff = 0.35

func (f limiter) window() bool { return f >= clockWindow }

// weight is how likely a law is where the kind of limit was made out otherwise.
func (f limiter) weight(known kind) float64 {
	if known == kindUnknown || f.window() == (known == kindWindow) {
		return 1
	}
	return otherCause
}

// bracket is what a refusal says of a limit by one law and one measure: with low
// it was not exceeded, with high it was. The limit of a bucket is a second's, that
// of a window a minute's.
type bracket struct {
	low, high float64
	off       float64 // by which each may be off
	step      float64 // what the request itself takes of it
	holds     float64 // how likely the law says so much; 0: it says nothing
	passed    float64 // what was accepted before, which the limit is at least
	others    float64 // by which each may be off where others use the limit too
}

// evidence are the brackets of the newest refusals.
type evidence struct {
	ring     [bracketsKept][lawsOfLimits][measures]bracket
	requests [bracketsKept]float64 // that left since the refusal before
	n        int
}

// add makes room for the brackets of a refusal.
func (e *evidence) add(requests float64) *[lawsOfLimits][measures]bracket {
	i := e.n % bracketsKept
	e.n++
	e.ring[i], e.requests[i] = [lawsOfLimits][measures]bracket{}, max(1, requests)
	return &e.ring[i]
}

// newest are the brackets of the newest refusal.
func (e *evidence) newest() *[lawsOfLimits][measures]bracket {
	return &e.ring[(e.n-1)%bracketsKept]
}

func (e *evidence) size() int { return min(e.n, bracketsKept) }

// likely is the logarithm of how likely the refusals are if a limit of one measure
// made them by one law, over how likely they are to come at any moment; and the
// limit that explains them best. Each limit is as likely as any other beforehand,
// on a scale of logarithms. shared is where others use the limit too.
func (e *evidence) likely(f limiter, m measure, shared bool) (likely, limit float64) {
	var edges [3 * bracketsKept]float64
	var told [bracketsKept]bracket
	n, k := 0, 0
	for i := range e.size() {
		b := e.ring[i][f][m]
		if b.holds == 0 {
			continue
		}
		if shared {
			b.off += b.others
			b.passed -= b.others
		}
		low, high := max(b.low-b.off, least), max(b.high+b.off, least)
		b.step *= (1 - otherCause) * b.holds * e.requests[i] / (high - low)
		b.low, b.high = low, high
		edges[n], edges[n+1] = low, high
		told[k] = b
		n, k = n+2, k+1
	}
	if n == 0 {
		return math.Inf(-1), 0
	}
	low, high := slices.Min(edges[:n]), slices.Max(edges[:n])
	for i := range told[:k] {
		if passed := told[i].passed; passed > low && passed < high {
			edges[n] = passed
			n++
		}
	}
	slices.Sort(edges[:n])
	sum, most := 0.0, 0.0
	for i := 1; i < n; i++ {
		from, to := edges[i-1], edges[i]
		if to <= from {
			continue
		}
		mid, p := (from+to)/2, 1.0
		for j := range told[:k] {
			b := &told[j]
			if mid < b.passed {
				p *= belied
			}
			if mid >= b.low && mid < b.high {
				p *= otherCause + b.step
			} else {
				p *= otherCause
			}
		}
		sum += p * math.Log(to/from) / rangeOfLimits
		if p > most {
			most, limit = p, mid
		}
	}
	return math.Log(sum), limit
}
