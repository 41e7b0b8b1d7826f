package rate

import (
	"math"
	"time"
)

// Oracle is how many answers a rule has between from and to that knows the true
// limit and paces evenly at it from the first moment, with no burst. It is an
// expectation: the answers of what was sent until a mean latency before.
func (sc *Scenario) Oracle(changedAt, from, to time.Duration) float64 {
	if sc.unlimited() {
		again := sc.Flaky / (1 - sc.Flaky) * refusalLatency.Seconds() // what refusals cost an answer
		return float64(sc.MaxInFlight) / (sc.Latency.Seconds() + again) * (to - from).Seconds()
	}
	if sc.Kind == Concurrency {
		// A renewal process in each place: at first answers are behind by more
		// than half a latency.
		squared := math.Expm1(latencySigma * latencySigma)
		at := func(t time.Duration) float64 {
			return float64(sc.Places) * max(0, t.Seconds()/sc.Latency.Seconds()+(squared-1)/2)
		}
		if from == 0 {
			return at(to)
		}
		return at(to) - at(from)
	}
	return sc.sentByOracle(changedAt, to-sc.Latency) - sc.sentByOracle(changedAt, from-sc.Latency)
}

func (sc *Scenario) sentByOracle(changedAt, until time.Duration) float64 {
	if until <= 0 {
		return 0
	}
	rpm := sc.RPM
	if sc.TPM > 0 {
		if byTokens := sc.tokenRPM(); rpm == 0 || byTokens < rpm {
			rpm = byTokens
		}
	}
	if sc.Change.Factor == 0 || until < changedAt {
		return rpm * until.Minutes()
	}
	return rpm * (changedAt.Minutes() + sc.Change.Factor*(until-changedAt).Minutes())
}

// Paced sends evenly at a constant rate, whatever is answered.
type Paced struct {
	space time.Duration
	due   time.Time
}

// NewPaced makes a rule that sends so many requests a minute.
func NewPaced(perMinute float64) *Paced {
	return &Paced{space: time.Duration(float64(minute) / perMinute), due: epoch}
}

// Permit tells whether the next space is over.
func (p *Paced) Permit(now time.Time, _ Request) (bool, time.Time) { return !now.Before(p.due), p.due }

// Sent begins the next space.
func (p *Paced) Sent(time.Time, Request) { p.due = p.due.Add(p.space) }

// Answered learns nothing.
func (p *Paced) Answered(time.Time, Answer) {}
