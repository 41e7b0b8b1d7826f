package rate

import (
	"math"
	"slices"
)

const (
	startConcurrency = 8
	minConcurrency   = 1
	// A wide step multiplies the window: by slowStep where answers take
	// slowLatency seconds or more, since an overloaded server then takes long to
	// recover. Fine steps follow once a wide one was of no use.
	fastStep    = 4.0
	slowStep    = 2.0
	slowLatency = 0.5
	fineStep    = 1.25
	// A measurement is whole with so many answers at least, as many as the window
	// is wide up to measureMost, and a standard error of the logarithm within
	// measureError. The very first, which costs the most where answers are slow,
	// may be shorter.
	measureLeast = 16
	measureMost  = 256
	measureError = 0.1
	fineError    = 0.05
	firstLeast   = 10
	firstError   = 0.15
	// A wide step is decided before its measurement is whole where answers are so
	// many standard deviations more, or fewer, than at the growth that decides. It
	// is gone on from with quickShare of a whole measurement, quickLeast answers
	// at least: they are the next step's reference.
	beyondChance = 2.5
	quickShare   = 0.25
	quickLeast   = 8
	// A reference of enough answers leaves those at still narrower windows out.
	enough = 32
	// useless is how much of a step's widening latency may take up. With all of
	// it more at once only wait longer. A share that is nearer to it than doubtful
	// may be chance.
	useless  = 0.5
	doubtful = 0.2
	// plateau is for how many seconds, and restWidths measurements, a window that
	// was of no use wider stays; then it is tried again.
	plateau    = 30.0
	restWidths = 8
	// slower is how much longer answers may take than when the window was found
	// before it is made narrower.
	slower = 1.5
)

// window is how many requests may be under way at once, where no limit of
// requests a minute is known. It is made wider in steps, and at each step the
// latency of the requests that left at it is held against that at narrower ones:
// where it grows nearly as much as the window did, the server is full. That
// answers take long in itself says nothing.
type window struct {
	limit    float64
	most     float64
	learning bool // nothing spoke against a wider one yet
	used     bool // it held somebody back in this measurement
	fine     bool // the steps are fine ones

	from    int64 // the measurement's first request
	count   int
	sum, sq float64 // of the latencies' logarithms
	before  float64 // the window that this one is held against; 0: none yet
	latency float64 // its mean logarithm, in fine steps

	// Of wide steps: requests that left at this width, now and when it was tried
	// before, and at narrower ones, and what these make one expect.
	cohort    cohort
	tried     []exposure
	narrower  []exposure
	reference hazard
	again     bool // a step was in doubt, and is tried once more

	restTill float64
	restMore int
	back     comeback
}

func newWindow(most int) window {
	return window{limit: min(startConcurrency, float64(most)), most: float64(most), learning: true}
}

// full tells that the window held somebody back; one that nobody fills has
// proved nothing, and grows no further.
func (w *window) full() { w.used = true }

// sent hears that a request left.
func (w *window) sent(k Ticket) {
	if !w.fine {
		w.cohort.sent(k)
	}
}

// gone hears that a request was refused, failed or never left.
func (w *window) gone(k Ticket) { w.cohort.gone(k) }

// accepted measures an answer. next is the number of the request that leaves
// next.
func (w *window) accepted(t float64, k Ticket, next int64) {
	if w.back.under {
		// A narrower one is not measured.
		w.back.accepted(t)
		w.begin(next)
		return
	}
	if k.number < w.from {
		return
	}
	w.cohort.accepted(t, k)
	l := math.Log(latencyOf(t, k))
	w.count++
	w.sum += l
	w.sq += l * l
	whole := w.whole()
	switch {
	case !whole && (w.fine || !w.clear(t)):
		return
	case !w.used:
	case w.fine:
		w.decideFine(t, w.sum/float64(w.count))
	default:
		w.decideWide(t)
	}
	w.begin(next)
}

// begin begins a measurement with a request.
func (w *window) begin(next int64) {
	w.from, w.count, w.sum, w.sq, w.used = next, 0, 0, 0, false
	w.cohort = w.cohort[:0]
}

// whole tells that the measurement has all the answers that it needs.
func (w *window) whole() bool {
	least, err := measureLeast, measureError
	switch {
	case w.fine:
		err = fineError
	case w.before == 0 && !w.again:
		least, err = firstLeast, firstError
	}
	n := float64(w.count)
	mean := w.sum / n
	spread := math.Sqrt(max(0, w.sq/n-mean*mean))
	return n >= max(float64(least), min(w.limit, measureMost)) && spread <= err*math.Sqrt(n)
}

// clear tells that a wide step is decided before its measurement is whole.
func (w *window) clear(t float64) bool {
	if !w.used || w.limit <= w.before || w.before == 0 {
		return false
	}
	d := w.reference.deviations(w.exposures(t), math.Pow(w.limit/w.before, useless))
	least := max(quickLeast, quickShare*min(w.limit, measureMost))
	return d < -beyondChance || d > beyondChance && float64(w.count) >= least
}

// exposures are of what left at this width.
func (w *window) exposures(t float64) []exposure {
	return w.cohort.exposures(t, slices.Clone(w.tried))
}

// decideWide decides on a wide step.
func (w *window) decideWide(t float64) {
	if w.limit <= w.before {
		// The most that is allowed became less.
		w.before, w.narrower = 0, nil
	}
	if w.before == 0 {
		w.widen(t)
		return
	}
	all := w.exposures(t)
	factor := w.limit / w.before
	share := math.Log(w.reference.slower(all, factor*factor)) / math.Log(factor)
	switch {
	case math.Abs(share-useless) < doubtful && !w.again:
		// Whole measurements of both windows are added to what is known.
		w.again, w.tried = true, all
		w.limit, w.before = w.before, 0
	case share > useless:
		if share > useless+doubtful {
			w.rest(t)
		}
		w.limit, w.before, w.narrower, w.tried = w.before, 0, nil, nil
		w.learning, w.fine = false, true
	default:
		w.tried = nil
		w.widen(t)
	}
}

// widen makes a wide step.
func (w *window) widen(t float64) {
	if w.count >= enough && w.tried == nil {
		w.narrower = nil
	}
	w.narrower = w.cohort.exposures(t, w.narrower)
	w.reference = hazardOf(slices.Clone(w.narrower))
	step := fastStep
	if w.reference.known() >= slowLatency {
		step = slowStep
	}
	w.before, w.limit = w.limit, min(w.most, max(w.limit+1, w.limit*step))
	if w.limit == w.before {
		w.before, w.narrower = 0, nil
	}
}

// rest has the window stay as it is for a while.
func (w *window) rest(t float64) { w.restTill, w.restMore = t+plateau, restWidths }

// decideFine decides after a measurement in fine steps.
func (w *window) decideFine(t, mean float64) {
	switch {
	case w.before == 0:
		w.before, w.latency = w.limit, mean
	case w.limit > w.before*1.01:
		// The reference stays, lest many small losses add up.
		if grown := mean - w.latency; grown > useless*math.Log(w.limit/w.before) {
			// What it answered, at the latency of the narrower window, is how
			// many are of use.
			w.limit = min(w.limit, max(w.before, w.limit*math.Exp(-grown)))
			w.rest(t)
			return
		}
	default:
		if mean-w.latency > math.Log(slower) {
			w.limit = max(minConcurrency, w.limit*math.Exp(w.latency-mean))
			w.before = 0
			return
		}
		w.latency += (mean - w.latency) / 4
	}
	if w.restMore--; t < w.restTill || w.restMore > 0 {
		return
	}
	w.limit = min(w.most, max(w.limit+1, w.limit*fineStep))
}

// remember begins with half of what was learned.
func (w *window) remember(limit, t float64) {
	w.limit, w.learning = min(max(minConcurrency, limit), w.most), false
	w.back.half(t)
}

// restart begins again with one request at once, on the way back to what was
// known.
func (w *window) restart(next int64) {
	*w = window{limit: w.limit, most: w.most, learning: w.learning, from: next}
	w.back.one()
}

// width is how many requests may be under way.
func (w *window) width() float64 { return w.back.of(w.limit) }
