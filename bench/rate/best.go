package rate

import (
	"sync"
	"time"
)

// Best is what a constant number of requests under way brings that uses a
// latency-only server to the full and no more.
type Best struct {
	AtOnce    int
	PerSecond float64
	P99       time.Duration
}

// bestOf keeps what was found for each scenario.
var bestOf sync.Map

// BestPoint is the best point of a latency-only server, found by scanning: the
// fewest requests at once that bring 99 % of the most.
func BestPoint(sc *Scenario) Best {
	name := sc.Name()
	if best, ok := bestOf.Load(name); ok {
		return best.(Best)
	}
	var lab Lab
	var points []Best
	most := 0.0
	for share := 0.5; share <= 2; share *= 1.05 {
		n := max(1, int(share*float64(sc.Places)))
		run := lab.Run(sc, &constant{limit: n}, 0)
		point := Best{n, float64(run.Answers(minute, sc.Length)) / (sc.Length - minute).Seconds(), run.LatencyP99()}
		points = append(points, point)
		most = max(most, point.PerSecond)
	}
	for _, point := range points {
		if point.PerSecond >= 0.99*most {
			bestOf.Store(name, point)
			return point
		}
	}
	panic("no point reaches 99 % of the most")
}

// constant keeps so many requests under way.
type constant struct{ limit, inFlight int }

func (c *constant) Permit(time.Time, Request) (bool, time.Time) {
	return c.inFlight < c.limit, time.Time{}
}
func (c *constant) Sent(time.Time, Request)    { c.inFlight++ }
func (c *constant) Answered(time.Time, Answer) { c.inFlight-- }
