package rate

import "math"

const (
	traceSize = 64
	// emptyLevel is what a bucket holds when it refuses: less than one request.
	emptyLevel = 0.97
	// depths that are tried: 1, and each half as large again.
	depthSteps  = 28
	depthFactor = 1.5
	spansKept   = 4
)

// point is how much had been accepted at a moment, counted from the span's
// beginning.
type point struct{ at, count float64 }

// trace is the course of a span, in a bounded number of points.
type trace struct {
	points [traceSize]point
	n      int
	gap    float64 // the least time between two points
	full   bool    // the span began with a full bucket, not with an empty one
}

func (tr *trace) begin(at float64, full bool) {
	tr.n, tr.gap, tr.full = 1, 0.02, full
	tr.points[0] = point{at, 0}
}

// add notes that one more leaves; count is how many left before it.
func (tr *trace) add(at, count float64) {
	if at-tr.points[tr.n-1].at < tr.gap {
		return
	}
	if tr.n == traceSize {
		for i := 1; i < traceSize/2; i++ {
			tr.points[i] = tr.points[2*i]
		}
		tr.n = traceSize / 2
		tr.gap *= 2
	}
	tr.points[tr.n] = point{at, count}
	tr.n++
}

// level is what a bucket would hold at the end of the trace.
func (tr *trace) level(rate, depth, end, count float64) float64 {
	level := min(depth, emptyLevel)
	if tr.full {
		level = depth
	}
	at, had := tr.points[0].at, 0.0
	for i := 1; i <= tr.n; i++ {
		p := point{end, count}
		if i < tr.n && tr.points[i].at < end {
			p = tr.points[i]
			p.count = min(p.count, count)
		}
		level = min(depth, level+rate*(p.at-at)-(p.count-had))
		at, had = p.at, p.count
		if p.at >= end {
			break
		}
	}
	return level
}

// explained is what a span says of the rate under each depth.
type explained struct {
	rates  [depthSteps]float64 // 0: that depth cannot be
	weight float64             // one over the variance of a rate's logarithm
	count  float64
	time   float64
}

// explain solves for the rate at which a bucket of each depth would have been
// empty at the end of the trace.
func (tr *trace) explain(end, count, top float64, spread float64) (e explained) {
	e.count, e.time = count, end-tr.points[0].at
	e.weight = math.Pow(min(count+1, 100)/spread, 2)
	if tr.full {
		e.weight = min(e.weight, 10)
	}
	depth := 1.0
	for i := range e.rates {
		if i == depthSteps-1 {
			depth = math.Inf(1)
		}
		low, high := 1e-3*top, 1.1*top
		if tr.full && (math.IsInf(depth, 1) || depth > depthFactor*count) {
			break
		}
		for range 30 {
			mid := (low + high) / 2
			if tr.level(mid, depth, end, count) < emptyLevel {
				low = mid
			} else {
				high = mid
			}
		}
		e.rates[i] = high
		depth *= depthFactor
	}
	return e
}

// belief is what the last spans say together.
type belief struct {
	spans [spansKept]explained
	n     int
}

func (b *belief) forget() { b.n = 0 }

// forgetAllBut keeps the last n spans.
func (b *belief) forgetAllBut(n int) {
	if b.n > n {
		copy(b.spans[:], b.spans[b.n-n:b.n])
		b.n = n
	}
}

func (b *belief) add(e explained) {
	if b.n == spansKept {
		copy(b.spans[:], b.spans[1:])
		b.n--
	}
	b.spans[b.n] = e
	b.n++
}

// rate is the rate under the depth that explains the spans best, and the range
// over all depths that explain them nearly as well.
func (b *belief) rate() (best, low, high float64) {
	var means, costs [depthSteps]float64
	least := math.Inf(1)
	for d := range depthSteps {
		sum, weight := 0.0, 0.0
		ok := true
		for i := range b.n {
			s := &b.spans[i]
			if s.rates[d] <= 0 {
				ok = false
				break
			}
			w := s.weight * math.Pow(1.5, float64(i))
			sum += w * math.Log(s.rates[d])
			weight += w
		}
		costs[d] = math.Inf(1)
		if !ok || weight == 0 {
			continue
		}
		mean := sum / weight
		cost := 0.0
		for i := range b.n {
			diff := math.Log(b.spans[i].rates[d]) - mean
			cost += b.spans[i].weight * diff * diff
		}
		means[d], costs[d] = math.Exp(mean), cost
		least = min(least, cost)
	}
	low = math.Inf(1)
	for d := range depthSteps {
		if costs[d] <= least+3 {
			low, high = min(low, means[d]), max(high, means[d])
		}
		if costs[d] == least && best == 0 {
			best = means[d]
		}
	}
	return best, low, high
}
