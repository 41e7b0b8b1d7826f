package dispatcher

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/job"
)

// storm is an hour in which no request is answered well, from the moment when
// so few prompts of a job are left.
type storm struct {
	s     *sim
	from  int // outcomes when it begins
	begun bool
	at    time.Duration
	bad   func() provider.Answer
}

func (w *storm) answer(_ int64, at time.Duration) provider.Answer {
	if !w.begun && len(w.s.outcomes) >= w.from {
		w.begun, w.at = true, at
	}
	if w.begun && at < w.at+time.Hour {
		return w.bad()
	}
	a := done()
	a.Latency = time.Duration(float64(time.Second) * math.Exp(0.5*w.s.lane.rng.NormFloat64()))
	return a
}

// An hour of whatever weather costs nobody anything: no error record, and once
// it has settled at most two requests a minute.
func TestWeatherOfAnHour(t *testing.T) {
	quick := func(a provider.Answer, most time.Duration) func(*rand.Rand) provider.Answer {
		return func(rng *rand.Rand) provider.Answer {
			a.Latency = 1 + time.Duration(rng.Int64N(int64(most)))
			return a
		}
	}
	for name, bad := range map[string]func(*rand.Rand) provider.Answer{
		"503":      quick(down(), 200*time.Millisecond),
		"slow 503": quick(down(), 20*time.Second),
		"resets":   quick(provider.Answer{Class: provider.Transient, Code: job.CodeServerError, Message: "reset"}, 50*time.Millisecond),
		"time-outs": func(*rand.Rand) provider.Answer {
			return provider.Answer{Class: provider.Transient, Code: job.CodeTimeout, Message: "no answer", Latency: 10 * time.Minute}
		},
	} {
		for _, size := range []struct {
			prompts, left int
			seeds         uint64
		}{{10_000, 10_000, 1}, {10_000, 5000, 1}, {10, 10, 5}, {10_000, 15, 2}, {10_000, 3, 1}} {
			t.Run(fmt.Sprintf("%s/%d with %d left", name, size.prompts, size.left), func(t *testing.T) {
				for seed := range size.seeds {
					rng := rand.New(rand.NewPCG(seed, 7))
					w := &storm{from: size.prompts - size.left, bad: func() provider.Answer { return bad(rng) }}
					w.s = newSim(t, w.answer)
					w.s.lane.rng = rand.New(rand.NewPCG(seed, 8))
					r := w.s.job("a", 1, size.prompts, job.Job{})
					w.s.run(10 * time.Hour)
					w.s.want(r, "COMPLETED")
					if n := w.s.failures(); n != 0 || len(w.s.outcomes) != size.prompts {
						t.Fatalf("seed %d: %d error records, %d outcomes", seed, n, len(w.s.outcomes))
					}
					settled := w.at + 15*time.Minute
					if name == "time-outs" {
						// Twenty prompts must have been answered: three rounds
						// of eight, ten minutes each.
						settled = w.at + 31*time.Minute
					}
					for from := settled; from < w.at+59*time.Minute; from += time.Minute {
						if n := w.s.sentBetween(from, from+time.Minute) + w.s.canariesBetween(from, from+time.Minute); n > 2 {
							t.Errorf("seed %d: %d requests in the minute after %s", seed, n, from-w.at)
						}
					}
				}
			})
		}
	}
}

// A credential that is refused for 90 s after successes costs nothing.
func TestWeatherOfARefusedCredential(t *testing.T) {
	s := newSim(t, func(_ int64, at time.Duration) provider.Answer {
		if at > 20*time.Second && at < 110*time.Second {
			return refusedKey()
		}
		return done()
	})
	r := s.job("a", 1, 10_000, job.Job{})
	s.run(2 * time.Hour)
	s.want(r, "COMPLETED")
	if s.failures() != 0 {
		t.Errorf("%d error records", s.failures())
	}
	if n := s.sentBetween(22*time.Second, 110*time.Second); n > 4 {
		t.Errorf("%d requests were sent while the credential was refused", n)
	}
}

// Ten poison prompts that are all that is left end as server_error within a
// quarter of an hour; the canary tells that it is not the weather.
func TestWeatherPoisonAlone(t *testing.T) {
	for seed := range uint64(5) {
		rng := rand.New(rand.NewPCG(seed, 3))
		s := newSim(t, func(line int64, _ time.Duration) provider.Answer {
			a := done()
			if line != 0 {
				a = provider.Answer{Class: provider.Transient, Code: job.CodeServerError, Message: "500", HTTPStatus: 500}
			}
			a.Latency = 1 + time.Duration(rng.Int64N(int64(3*time.Second)))
			return a
		})
		r := s.job("a", 1, 10, job.Job{})
		s.run(5 * time.Hour)
		s.want(r, "COMPLETED")
		if s.failures() != 10 || s.canaries == 0 || s.endedAt[r] > 15*time.Minute {
			t.Errorf("seed %d: %d error records and %d canaries after %s", seed, s.failures(), s.canaries, s.endedAt[r])
		}
		for line, o := range s.outcomes {
			if !strings.Contains(string(o.Public), `"error":"server_error"`) {
				t.Errorf("line %d ended as %s", line, o.Public)
			}
		}
	}
}

// A hold is kept with the lane: what it may last counts on over a restart, and
// a probe leaves at once.
func TestWeatherOverARestart(t *testing.T) {
	s := newSim(t, func(_ int64, at time.Duration) provider.Answer {
		if at > 20*time.Second {
			return refusedKey()
		}
		return done()
	})
	s.job("a", 1, 10_000, job.Job{})
	s.run(45 * time.Minute)
	m := s.lane.memory()
	if m.Hold == nil || m.Hold.Kind != "refused" || m.Hold.Since.Sub(s.start) > time.Minute || !m.Succeeded {
		t.Fatalf("it keeps %+v", m)
	}

	again := newSim(t, func(int64, time.Duration) provider.Answer { return refusedKey() })
	again.now = s.now
	again.lane = newLane(s.lane.cfg, nil, false, &slots{most: 10}, 2, again.now)
	again.lane.remember(again.now, &m)
	r := again.job("a", 1, 5000, job.Job{})
	from := again.since()
	again.run(2 * time.Hour)
	if len(again.sentAt) == 0 || again.sentAt[0] > from+time.Second {
		t.Errorf("no probe left at once: %v", again.sentAt)
	}
	if !strings.HasPrefix(again.ended[r], "FAILED: Held for 1h0m0s") || again.endedAt[r] > 66*time.Minute {
		t.Errorf("it ended as %q at %s, want an hour after the hold began", again.ended[r], again.endedAt[r])
	}
}

// A hold ends with the last job, so that the next one has the whole time.
func TestWeatherWithoutJobs(t *testing.T) {
	s := newSim(t, func(_ int64, at time.Duration) provider.Answer {
		if at > 20*time.Second && at < 2*time.Hour+30*time.Second {
			return refusedKey()
		}
		return done()
	})
	first := s.job("a", 1, 10_000, job.Job{})
	s.run(10 * time.Minute)
	s.lane.cancel(first)
	s.run(time.Minute)
	s.now = s.start.Add(2 * time.Hour)
	next := s.job("a", 100_001, 10, job.Job{})
	s.run(time.Hour)
	s.want(next, "COMPLETED")
}

// An operator's wish has a probe leave at once, and not before.
func TestWeatherProbedAtOnce(t *testing.T) {
	mended := false
	s := newSim(t, func(_ int64, at time.Duration) provider.Answer {
		if at > 20*time.Second && !mended {
			return provider.Answer{Class: provider.UsedUp, Message: "requests per day", RetryAfter: 10 * time.Hour}
		}
		return done()
	})
	r := s.job("a", 1, 5000, job.Job{})
	s.run(time.Hour)
	if s.lane.hold == nil || s.lane.hold.until.IsZero() || s.lane.pace(s.now, r, 1).HeldUntil.IsZero() {
		t.Fatal("it is not held until a time")
	}
	if !s.lane.probeNow(s.now) {
		t.Error("a held lane has nothing to probe")
	}
	s.run(time.Minute)
	if s.lane.hold == nil {
		t.Fatal("the quota is still used up")
	}
	mended = true
	s.lane.probeNow(s.now)
	s.run(time.Hour)
	s.want(r, "COMPLETED")
	if s.lane.probeNow(s.now) {
		t.Error("a lane that is not held has something to probe")
	}
}
