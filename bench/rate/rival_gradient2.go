package rate

import "time"

// gradient2 limits the requests under way by latency, as Netflix published it
// with concurrency-limits: the limit follows the ratio of a long average of the
// latency to the newest, plus a queue of 4, smoothed by 0.2; from 20, within 20
// and 200. A refusal is one more latency to it, a short one.
type gradient2 struct {
	places
	limit   float64
	long    float64 // seconds
	samples int
}

const (
	gradientStart     = 20
	gradientFloor     = 20
	gradientMost      = 200
	gradientQueue     = 4
	gradientSmoothing = 0.2
	gradientTolerance = 1.5
	gradientWindow    = 600 // samples of the long average
	gradientWarmup    = 10
)

func newGradient2() *gradient2 { return &gradient2{limit: gradientStart} }

func (g *gradient2) Permit(now time.Time, _ Request) (bool, time.Time) {
	return g.permit(now, g.limit)
}

func (g *gradient2) Sent(time.Time, Request) { g.taken++ }

func (g *gradient2) Answered(now time.Time, a Answer) {
	inFlight := g.taken
	g.answered(now, a)
	latency := now.Sub(a.SentAt).Seconds()
	if g.samples++; g.samples <= gradientWarmup {
		g.long += (latency - g.long) / float64(g.samples)
	} else {
		g.long += (latency - g.long) * 2 / (gradientWindow + 1)
	}
	if g.long/latency > 2 {
		g.long *= 0.95 // latency has come down for good
	}
	if float64(inFlight) < g.limit/2 {
		return // the limit is not what holds back
	}
	gradient := max(0.5, min(1, gradientTolerance*g.long/latency))
	next := g.limit*gradient + gradientQueue
	next = g.limit*(1-gradientSmoothing) + next*gradientSmoothing
	g.limit = max(gradientFloor, min(gradientMost, next))
}
