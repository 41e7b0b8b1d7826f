package rate

import "math"

const (
	traceSize = 64
	// Points are traceGap seconds apart, and a share of their age that begins at
	// traceFine and grows by traceCoarser whenever traceSize are not enough, until
	// traceKept are left.
	traceGap     = 0.02
	traceFine    = 0.02
	traceCoarser = 1.2
	traceKept    = 48
)

// point is how much had been accepted at a moment, counted from the span's
// beginning.
type point struct{ at, count float64 }

// trace is the course of a span, in a bounded number of points.
type trace struct {
	points [traceSize]point
	n      int
	coarse float64 // the least time between two points, over their age
	full   bool    // the span began with a full bucket, not with an empty one
	// What had been refused by then, one after the other, and for how long.
	refused, closed float64
}

// begin begins a span: with a full bucket where nothing was refused.
func (tr *trace) begin(at, refused, closed float64) {
	tr.n, tr.coarse, tr.full = 1, traceFine, refused == 0
	tr.refused, tr.closed = refused, closed
	tr.points[0] = point{at, 0}
}

// add notes that one more leaves; count is how many left before it.
func (tr *trace) add(at, count float64) {
	if at-tr.points[tr.n-1].at < traceGap {
		return
	}
	if tr.n == traceSize {
		tr.thin(at)
	}
	tr.points[tr.n] = point{at, count}
	tr.n++
}

// thin drops points so that those that are left are the farther apart the older
// they are: what came last decides what a bucket holds.
func (tr *trace) thin(now float64) {
	for tr.n > traceKept {
		tr.coarse *= traceCoarser
		n := 1
		for i := 1; i < tr.n; i++ {
			if p := tr.points[i]; p.at-tr.points[n-1].at >= tr.coarse*(now-p.at) || i == tr.n-1 {
				tr.points[n] = p
				n++
			}
		}
		tr.n = n
	}
}

// level is what a bucket holds, and how that goes with its rate.
type level struct {
	value float64
	slope float64 // by so much more for each request a second more
}

func (l level) atMost(value float64) level {
	if l.value > value {
		return level{value, 0}
	}
	return l
}

func (l level) atLeast(value float64) level {
	if l.value < value {
		return level{value, 0}
	}
	return l
}

// levels is what a bucket would hold at the end of the trace, and the least and
// the most that it would have held when a request left, if it held l at the
// beginning.
func (tr *trace) levels(l level, rate, depth, end, count float64) (last, least level, most float64) {
	least, most = level{math.Inf(1), 0}, l.value
	at, had := tr.points[0].at, 0.0
	for i := 1; i <= tr.n; i++ {
		p := point{end, count}
		if i < tr.n && tr.points[i].at < end {
			p = tr.points[i]
			p.count = min(p.count, count)
		}
		l = level{l.value + rate*(p.at-at) - (p.count - had), l.slope + p.at - at}.atMost(depth)
		most = max(most, l.value)
		at, had = p.at, p.count
		if p.at >= end {
			break
		}
		if l.value < least.value {
			least = l
		}
	}
	return l, least, most
}
