package rate

import "time"

// Where the window begins and what it may do.
const (
	startConcurrency = 8
	minConcurrency   = 1
	// A round whose answers took this many times as long as the quickest
	// round's, and roundSlack more, gained nothing by being wider.
	slowerRound = 2
	roundSlack  = 5 * time.Millisecond
)

// window is how many requests may be under way at once: doubled each round
// trip until something speaks against it, then one more each round trip.
type window struct {
	limit    float64
	most     float64
	learning bool // still doubling

	// A round is the answers to as many requests as the window was wide at
	// its beginning.
	roundSize  int
	roundCount int
	roundTime  time.Duration
	best       time.Duration // the quickest round's mean latency
	crowded    bool          // the last round was slower than the best for no gain

	cutAt time.Time // when it was last made smaller
}

func newWindow(most int) window {
	limit := min(startConcurrency, float64(most))
	return window{limit: limit, most: float64(most), learning: true, roundSize: int(limit)}
}

// accepted widens the window after an answer; used tells whether it was full,
// since a window that nobody fills has proved nothing.
func (w *window) accepted(latency time.Duration, used bool) {
	w.roundCount++
	w.roundTime += latency
	if w.roundCount >= w.roundSize {
		mean := w.roundTime / time.Duration(w.roundCount)
		if w.best == 0 || mean < w.best {
			w.best = mean
		}
		w.crowded = mean > w.best*slowerRound+roundSlack
		if w.crowded {
			w.learning = false
			w.limit = max(minConcurrency, w.limit*0.9)
		}
		w.roundSize, w.roundCount, w.roundTime = int(w.limit), 0, 0
	}
	switch {
	case !used || w.crowded:
	case w.learning:
		w.limit++
	default:
		w.limit += 1 / w.limit
	}
	w.limit = min(w.limit, w.most)
}

// refused narrows the window, once for all requests that were sent before it
// was narrowed.
func (w *window) refused(now, sentAt time.Time) bool {
	if sentAt.Before(w.cutAt) {
		return false
	}
	w.learning = false
	w.limit = max(minConcurrency, w.limit*0.7)
	w.cutAt = now
	return true
}
