package rate

import "math"

const (
	startConcurrency = 8
	minConcurrency   = 1
	// A step multiplies the window: by slowStep where answers take slowLatency
	// seconds or more, since an overloaded server then takes long to recover.
	fastStep    = 4.0
	slowStep    = 2.0
	slowLatency = 0.5
	fineStep    = 1.25
	// A measurement has so many answers at least, as many as the window is wide
	// up to measureMost, and a standard error of the logarithm within
	// measureError.
	measureLeast = 16
	measureMost  = 256
	measureError = 0.1
	fineError    = 0.05
	// useless is how much of a step's widening latency may take up. With all of
	// it more at once only wait longer.
	useless = 0.5
	// plateau is for how many seconds, and restWidths times the window in
	// answers, a window that was of no use wider stays; then it is tried again.
	plateau    = 30.0
	restWidths = 8
	// slower is how much longer answers may take than when the window was found
	// before it is made narrower.
	slower = 1.5
)

// window is how many requests may be under way at once, where no limit of
// requests a minute is known. It is made wider in steps, and at each step the
// latency of the requests that left at it is held against the step before:
// where it grows nearly as much as the window did, the server is full. That
// answers take long in itself says nothing.
type window struct {
	limit    float64
	most     float64
	learning bool // nothing spoke against a wider one yet
	used     bool // it held somebody back in this measurement

	from     int64 // the measurement's first request
	count    int
	sum, sq  float64 // of the latencies' logarithms
	before   float64 // the window of the measurement before; 0: none
	latency  float64 // and its mean logarithm
	fine     bool
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

// accepted measures an answer. next is the number of the request that leaves
// next.
func (w *window) accepted(t float64, k Ticket, next int64) {
	if w.back.under {
		// A narrower one is not measured.
		w.back.accepted(t)
		w.from = next
		return
	}
	if k.number < w.from {
		return
	}
	l := math.Log(max(t-k.at, 1e-4))
	w.count++
	w.sum += l
	w.sq += l * l
	n := float64(w.count)
	if n < max(measureLeast, min(w.limit, measureMost)) {
		return
	}
	mean := w.sum / n
	spread := math.Sqrt(max(0, w.sq/n-mean*mean))
	err := measureError
	if w.fine {
		err = fineError
	}
	if spread > err*math.Sqrt(n) {
		return
	}
	w.measured(t, mean)
	w.from, w.count, w.sum, w.sq, w.used = next, 0, 0, 0, false
}

// measured decides after a measurement.
func (w *window) measured(t, mean float64) {
	switch {
	case !w.used:
		return
	case w.before == 0:
		w.before, w.latency = w.limit, mean
	case w.limit > w.before*1.01:
		if grown := mean - w.latency; grown > useless*math.Log(w.limit/w.before) {
			// What it answered, at the latency of the narrower window, is how
			// many are of use.
			w.limit = min(w.limit, max(w.before, w.limit*math.Exp(-grown)))
			w.learning, w.restTill, w.restMore = false, t+plateau, restWidths
			w.fine = true
			return
		}
		// In fine steps the reference stays, lest many small losses add up.
		if !w.fine {
			w.before, w.latency = w.limit, mean
		}
	default:
		if mean-w.latency > math.Log(slower) && !w.learning {
			w.limit = max(minConcurrency, w.limit*math.Exp(w.latency-mean))
			w.before = 0
			return
		}
		w.latency += (mean - w.latency) / 4
	}
	if w.restMore--; t < w.restTill || w.restMore > 0 {
		return
	}
	step := fastStep
	switch {
	case w.fine:
		step = fineStep
	case math.Exp(mean) >= slowLatency:
		step = slowStep
	}
	w.limit = min(w.most, max(w.limit+1, w.limit*step))
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
