package rate

import (
	"math"
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

// bestPoints and bestRates keep what was found, or is being found, for each
// scenario, as functions.
var bestPoints, bestRates sync.Map

// once is what f returned the first time that it was asked for under the name.
func once[T any](kept *sync.Map, name string, f func() T) T {
	of, ok := kept.Load(name)
	if !ok {
		of, _ = kept.LoadOrStore(name, sync.OnceValue(f))
	}
	return of.(func() T)()
}

// BestPoint is the best point of a latency-only server, found by scanning: the
// fewest requests at once that bring 99 % of the most.
func BestPoint(sc *Scenario) Best {
	return once(&bestPoints, sc.Name(), func() Best { return findBestPoint(sc) })
}

func findBestPoint(sc *Scenario) Best {
	var lab Lab
	var points []Best
	most := 0.0
	// As long as enough answers take, after the first few.
	scanned := *sc
	begin := 5 * sc.Latency
	scanned.Length = begin + bestAnswers*sc.Latency/time.Duration(sc.Places)
	for share := 0.6; share <= 1.6; share *= 1.05 {
		n := max(1, int(share*float64(sc.Places)))
		run := lab.Run(&scanned, &constant{limit: n}, 0)
		point := Best{n, float64(run.Answers(begin, scanned.Length)) / (scanned.Length - begin).Seconds(), run.LatencyP99()}
		points = append(points, point)
		most = max(most, point.PerSecond)
	}
	for _, point := range points {
		if point.PerSecond >= 0.99*most {
			return point
		}
	}
	panic("no point reaches 99 % of the most")
}

const (
	// bestAnswers is how many answers a point of a scan has, about.
	bestAnswers = 20_000

	// bestSeeds is how many seeds the best constant rate is found with.
	bestSeeds = 2
	// bestRefused is how many refusals a thousand answers the best constant
	// rate may have: without a bound it would be whatever drives the second
	// tenant out.
	bestRefused = 10
)

// BestRate is what the best constant rate gets beside the second tenant, in
// answers a minute, found by scanning: the most answers of the rates with no more
// than 10 refusals a thousand answers, or, where no rate has so few, of the one
// with the fewest.
func BestRate(sc *Scenario) float64 {
	silent := *sc
	silent.Headers, silent.RetryAfter = Silent, false // a constant rate hears nothing
	return once(&bestRates, silent.Name(), func() float64 { return findBestRate(&silent) })
}

func findBestRate(silent *Scenario) float64 {
	var lab Lab
	best, fewest, ofFewest := 0.0, math.Inf(1), 0.0
	for share := 0.20; share < 0.61; share += 0.02 {
		answers, refused := 0.0, 0.0
		for seed := range uint64(bestSeeds) {
			run := lab.Run(silent, NewPaced(share*silent.RPM), 1001+seed)
			answers += float64(run.Answers(0, silent.Length)) / bestSeeds
			refused += float64(run.Refusals(0, silent.Length)) / bestSeeds
		}
		perThousand := 1000 * refused / max(1, answers)
		if perThousand <= bestRefused {
			best = max(best, answers)
		}
		if perThousand < fewest {
			fewest, ofFewest = perThousand, answers
		}
	}
	if best == 0 {
		best = ofFewest
	}
	return best / silent.Length.Minutes()
}

// constant keeps so many requests under way.
type constant struct{ limit, inFlight int }

func (c *constant) Permit(time.Time, Request) (bool, time.Time) {
	return c.inFlight < c.limit, time.Time{}
}
func (c *constant) Sent(time.Time, Request)    { c.inFlight++ }
func (c *constant) Answered(time.Time, Answer) { c.inFlight-- }
