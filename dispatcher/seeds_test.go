package dispatcher

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/dispatcher/rate"
	"github.com/promptforge/promptforge/job"
)

// weatherOf makes a provider of a seed: how often it fails in which way, when
// it is down, and how long its answers take.
func weatherOf(rng *rand.Rand, s *sim) func(line int64, at time.Duration) provider.Answer {
	share := func(most float64) float64 { return rng.Float64() * most * float64(rng.IntN(2)) }
	transient, broken, slow, refused := share(0.2), share(0.05), share(0.1), share(0.05)
	flap := time.Duration(rng.IntN(120)*rng.IntN(2)) * time.Second
	badKeyAt := time.Duration(rng.IntN(300)+20) * time.Second
	badKeyFor := time.Duration(rng.IntN(600)*rng.IntN(2)) * time.Second
	sigma := rng.Float64() * 1.2
	deadKey, deadFor := rng.IntN(4), time.Duration(rng.IntN(600))*time.Second
	tooLarge := int64(rng.IntN(2) * (1 + rng.IntN(50)))
	return func(line int64, at time.Duration) (a provider.Answer) {
		x := rng.Float64()
		switch {
		case line > 0 && len(s.lane.keys.keys) > 1 && s.sending.key == deadKey && at > badKeyAt && at < badKeyAt+deadFor:
			a = refusedKey()
		case tooLarge > 0 && line%100 == tooLarge:
			a = slowDown(time.Duration(rng.IntN(3)) * time.Second)
		case at >= badKeyAt && at < badKeyAt+badKeyFor:
			a = refusedKey()
		case flap > 0 && (at/flap)%2 == 1:
			a = down()
		case x < transient:
			a = down()
		case x < transient+broken:
			a = provider.Answer{Class: provider.Broken, Code: job.CodeBadResponse}
		case x < transient+broken+slow:
			a = slowDown(time.Duration(rng.IntN(20)) * time.Second)
		case x < transient+broken+slow+refused:
			a = provider.Answer{Class: provider.Terminal, Code: job.CodeInvalidRequest, Message: "no"}
		default:
			a = done()
		}
		a.Latency = time.Duration(float64(time.Second) * math.Exp(sigma*rng.NormFloat64()))
		return a
	}
}

// TestLaneSeeds: whatever the provider does, every prompt of a job that is not
// cancelled ends with one outcome, every job ends, and nothing is left over.
func TestLaneSeeds(t *testing.T) {
	for seed := uint64(1); seed <= 200; seed++ {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := newSim(t, nil)
		s.answer = weatherOf(rng, s)
		s.lane = newLane(laneConfig{
			RetryBase: time.Second, MaxHold: time.Hour, MaxOutage: 24 * time.Hour,
			Rate: rate.Config{Concurrency: 1 + rng.IntN(100)},
			RPD:  rng.IntN(2) * (100 + rng.IntN(1000)),
		}, nil, false, &slots{most: 4096}, seed, s.start)
		s.lane.renewKeys(s.start, 1+rng.IntN(3))
		cancelled := map[*run]bool{}
		var runs []*run
		for n := range int64(1 + rng.IntN(4)) {
			s.after(time.Duration(rng.IntN(60))*time.Second, func() {
				r := s.job(string(rune('a'+n%3)), n*100_000+1, 1+rng.IntN(400), job.Job{MaxRetries: 1 + rng.IntN(5)})
				runs = append(runs, r)
				if rng.IntN(4) == 0 {
					s.after(time.Duration(rng.IntN(40))*time.Second, func() {
						if !r.ending {
							cancelled[r] = true
							s.lane.cancel(r)
						}
					})
				}
			})
		}
		s.run(30 * day)
		outcomes := 0
		whole := true
		for _, r := range runs {
			if _, ended := s.endedAt[r]; !ended {
				t.Errorf("seed %d: a job never ends: %s", seed, s)
			}
			if r.inFlight != 0 || r.unrecorded != 0 || r.unrecordedBytes != 0 {
				t.Errorf("seed %d: %d in flight and %d unrecorded are left", seed, r.inFlight, r.unrecorded)
			}
			whole = whole && !cancelled[r] && s.ended[r] == "COMPLETED"
			outcomes += s.prompts[r]
		}
		if whole && len(s.outcomes) != outcomes {
			t.Errorf("seed %d: %d outcomes of %d prompts", seed, len(s.outcomes), outcomes)
		}
		if l := s.lane; l.inFlight != 0 || l.unrecorded != 0 || l.slot.taken.Load() != 0 || l.slot.waiting.Load() != 0 || len(l.runs) != 0 {
			t.Errorf("seed %d: the lane is not empty at the end", seed)
		}
	}
}
