package rate

import "time"

// Where the window begins and what it may do.
const (
	startConcurrency = 8
	minConcurrency   = 1
	minRound         = 16
	// Latencies have long tails: the throughput of fewer answers proves nothing.
	proof = 64
	// A window that is wider times as wide as when it was last looked at must
	// bring at least worth of the answers that the added width would bring if
	// each took as long as before, or the width is of no use.
	wider = 1.5
	worth = 0.5
	// plateau is how long a window that was of no use wider stays as it is;
	// then it is tried again.
	plateau = 30 * time.Second
)

// window is how many requests may be under way at once: doubled each round
// until something speaks against it, then one more each round trip. What
// speaks against it is a refusal, or that more at once bring no more answers a
// second; that answers take long does not, since long answers do.
type window struct {
	limit    float64
	most     float64
	learning bool // still doubling

	// A round is the answers to twice as many requests as the window was wide
	// at its beginning, or minRound.
	roundSize  int
	roundCount int
	roundAt    time.Time
	roundUsed  bool    // the window held somebody back in the round
	roundLimit float64 // the window at its beginning

	proven     float64   // the width when it was last looked at; 0: not yet
	throughput float64   // answers a second at that width
	doubted    bool      // the round before brought no gain; one more decides
	until      time.Time // it does not grow before
}

func newWindow(most int, now time.Time) window {
	limit := min(startConcurrency, float64(most))
	w := window{limit: limit, most: float64(most), learning: true}
	w.beginRound(now)
	return w
}

func (w *window) beginRound(now time.Time) {
	w.roundSize, w.roundCount, w.roundAt, w.roundUsed = max(minRound, 2*int(w.limit)), 0, now, false
	w.roundLimit = w.limit
}

// full tells that the window held somebody back; one that nobody fills has
// proved nothing, and grows no further.
func (w *window) full() { w.roundUsed = true }

// accepted widens the window after an answer.
func (w *window) accepted(now time.Time) {
	w.roundCount++
	if w.roundCount >= w.roundSize {
		w.endRound(now)
	}
	if !w.until.IsZero() && now.After(w.until) {
		w.learning, w.until = true, time.Time{}
	}
	switch {
	case !w.roundUsed || w.doubted || !w.until.IsZero():
	case w.learning:
		w.limit = min(w.limit+1, 2*w.roundLimit)
	default:
		w.limit += 1 / w.limit
	}
	w.limit = min(w.limit, w.most)
}

func (w *window) endRound(now time.Time) {
	defer w.beginRound(now)
	elapsed := now.Sub(w.roundAt).Seconds()
	if !w.roundUsed || elapsed <= 0 || w.roundCount < proof {
		return
	}
	throughput := float64(w.roundCount) / elapsed
	switch {
	case w.proven == 0 || w.limit < w.proven:
		w.proven, w.throughput, w.doubted = w.limit, throughput, false
	case w.limit < w.proven*wider:
	case throughput >= w.throughput*(1+worth*(w.limit/w.proven-1)):
		w.proven, w.throughput, w.doubted = w.limit, throughput, false
	case !w.doubted:
		w.doubted = true
	default:
		w.limit, w.proven = w.proven, 0
		w.learning, w.doubted, w.until = false, false, now.Add(plateau)
	}
}

// refused narrows the window.
func (w *window) refused() {
	w.learning = false
	w.limit = max(minConcurrency, w.limit*0.7)
	w.proven, w.doubted = 0, false
}
