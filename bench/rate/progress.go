package rate

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// progressEvery is how often a line tells how far a measurement is, at most.
const progressEvery = 10 * time.Second

// progress tells how far a measurement is and how long the rest will take.
type progress struct {
	to   io.Writer // nil: nobody
	rule string

	mu         sync.Mutex
	began, at  time.Time
	work, done float64 // requests, about
	scenarios  int
	finished   int
}

// ran hears that a scenario was run with one more seed.
func (p *progress) ran(sc *Scenario, last bool) {
	if p.to == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += sc.work()
	if last {
		p.finished++
	}
	now := time.Now()
	if now.Sub(p.at) < progressEvery {
		return
	}
	p.at = now
	left := time.Duration(float64(now.Sub(p.began)) * (p.work/p.done - 1))
	fmt.Fprintf(p.to, "%s: %d of %d scenarios, %.0f %%, %v left\n", p.rule, p.finished, p.scenarios, 100*p.done/p.work, left.Round(time.Second))
}

// work is how many requests a rule has in the scenario that does everything
// right, and what it takes to begin a run.
func (sc *Scenario) work() float64 {
	const begin = 1000
	if sc.Kind == Shared {
		return begin + float64(sc.Places)*sc.Length.Seconds()/sc.Latency.Seconds()
	}
	return begin + sc.Oracle(sc.Change.At, 0, sc.Length)
}
