package rate

import (
	"math"
	"time"
)

// gradient2 limits the requests under way by latency, as Netflix published it
// with concurrency-limits: the limit follows the ratio of a long average of the
// latency to the newest, plus a queue of 4, smoothed by 0.2. A refusal says
// nothing to it but that latency was short; the published rule takes a drop for
// a reason to go on with the limit as it is.
type gradient2 struct {
	limit, most float64
	inFlight    int
	long        float64 // seconds
	samples     int
}

const (
	gradientStart     = 20
	gradientFloor     = 20
	gradientQueue     = 4
	gradientSmoothing = 0.2
	gradientTolerance = 1.5
	gradientWindow    = 600 // samples of the long average
	gradientWarmup    = 10
)

func newGradient2(most int) *gradient2 { return &gradient2{limit: gradientStart, most: float64(most)} }

func (g *gradient2) Permit(time.Time, Request) (bool, time.Time) {
	return float64(g.inFlight+1) <= g.limit, time.Time{}
}

func (g *gradient2) Sent(time.Time, Request) { g.inFlight++ }

func (g *gradient2) Answered(now time.Time, a Answer) {
	inFlight := g.inFlight
	g.inFlight--
	if a.Status == 429 {
		return
	}
	latency := now.Sub(a.SentAt).Seconds()
	g.samples++
	switch {
	case g.samples <= gradientWarmup:
		g.long += (latency - g.long) / float64(g.samples)
	default:
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
	g.limit = math.Max(gradientFloor, math.Min(g.most, next))
}
