package rate

import (
	"math"
	"slices"
)

const (
	spansKept = 4
	// newerWeight is how much more each newer span counts.
	newerWeight = 1.5
	// Laws explain spans nearly as well as the best within costSpread, and not at
	// all from unexplainedCost on (as twice the logarithm of a likelihood).
	costSpread      = 3.0
	unexplainedCost = 20.0
	// A span of exactCount or more may be off by exactRequests, and exactShare of
	// the count's root, where its law is the true one: with a limit of requests at
	// once it is off by about 0.4 of that root.
	exactRequests = 1.0
	exactShare    = 0.1
	exactCount    = 400.0
	// pastMost is how much is kept at most of what older spans said against a law.
	pastMost = 20.0
	// loweredSteps of depthFactor are how much less a bucket holds at most when its
	// limit fell, which most often falls to a tenth.
	loweredSteps = 7
)

// belief is what the last spans say together.
type belief struct {
	spans  [spansKept]explained
	counts [spansKept]float64 // how much was accepted in each
	n      int
	// past is what older spans said against each law.
	past [len(bucketLaws)]float64
}

func (b *belief) forget() { *b = belief{} }

// forgetAllBut keeps the last n spans.
func (b *belief) forgetAllBut(n int) {
	b.past = [len(bucketLaws)]float64{}
	if b.n > n {
		copy(b.spans[:], b.spans[b.n-n:b.n])
		copy(b.counts[:], b.counts[b.n-n:b.n])
		b.n = n
	}
}

// add takes in a span in which so much was accepted.
func (b *belief) add(e explained, count float64) {
	if b.n == spansKept {
		b.age()
	}
	b.spans[b.n], b.counts[b.n] = e, count
	b.n++
}

// age keeps of the oldest span what it says against each law: spans that are all
// alike, as those of a cruise are, tell nothing of it.
func (b *belief) age() {
	oldest, next := &b.spans[0], &b.spans[1]
	for i := range b.past {
		said := pastMost
		if b.n == 1 {
			said = 0
		} else if oldest[i].rate > 0 && next[i].rate > 0 {
			diff := math.Log(oldest[i].rate / next[i].rate)
			said = min(said, oldest[i].cost+diff*diff/(1/oldest[i].weight+1/next[i].weight))
		}
		b.past[i] += said
	}
	least := slices.Min(b.past[:])
	for i := range b.past {
		b.past[i] = min(pastMost, b.past[i]-least)
	}
	copy(b.spans[:], b.spans[1:])
	copy(b.counts[:], b.counts[1:])
	b.n--
}

// restart keeps what the spans said of the laws, and forgets their rates.
func (b *belief) restart() {
	for b.n > 0 {
		b.age()
	}
}

// lowered hears that the limit fell: what a bucket holds fell with it, or stayed.
// The last spans tell nothing of the laws, since it fell in one of them.
func (b *belief) lowered() {
	b.n = 0
	for i := range b.past {
		for j := i; j < min(len(b.past), i+2*loweredSteps+1); j += 2 {
			b.past[i] = min(b.past[i], b.past[j])
		}
	}
}

// rate is the rate under the law that explains the spans best, and the range over
// all laws that explain them nearly as well.
func (b *belief) rate() (best, low, high float64) {
	var means, costs [len(bucketLaws)]float64
	for i := range bucketLaws {
		means[i], costs[i] = b.under(i)
		costs[i] += b.past[i]
	}
	least := slices.Min(costs[:])
	if math.IsInf(least, 1) {
		return 0, 0, 0
	}
	low = math.Inf(1)
	for i := range bucketLaws {
		if costs[i] <= least+costSpread {
			low, high = min(low, means[i]), max(high, means[i])
		}
		if costs[i] == least && best == 0 {
			best = means[i]
		}
	}
	return best, low, high
}

// under is the rate under a law, the newer spans' first of all, and how much
// the spans speak against the law.
func (b *belief) under(i int) (rate, cost float64) {
	sum, weight := 0.0, 0.0
	newer := 1.0
	for j := range b.n {
		s := &b.spans[j][i]
		if s.rate <= 0 {
			return 0, math.Inf(1)
		}
		sum += newer * s.weight * math.Log(s.rate)
		weight += newer * s.weight
		newer *= newerWeight
	}
	if weight == 0 {
		return 0, math.Inf(1)
	}
	mean := sum / weight
	for j := range b.n {
		s := &b.spans[j][i]
		diff := math.Log(s.rate) - mean
		cost += s.cost + s.weight*diff*diff
	}
	return math.Exp(mean), cost
}

// exact tells whether under one law all spans are explained to within a few
// requests: a limit of requests at once varies with how long answers take.
func (b *belief) exact() bool {
	if b.n < spansKept || slices.Min(b.counts[:]) < exactCount {
		return false
	}
	for i := range bucketLaws {
		rate, _ := b.under(i)
		exact := rate > 0
		for j := range b.n {
			off := b.counts[j] * math.Abs(math.Log(b.spans[j][i].rate/rate))
			exact = exact && off <= exactRequests+exactShare*math.Sqrt(b.counts[j])
		}
		if exact {
			return true
		}
	}
	return false
}

// unexplained tells whether no law explains the spans.
func (b *belief) unexplained() bool {
	for i := range bucketLaws {
		if _, cost := b.under(i); cost < unexplainedCost {
			return false
		}
	}
	return true
}
