package dispatcher

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/job"
)

func TestLaneAnswersEveryPromptOnce(t *testing.T) {
	s := newSim(t, func(int64, time.Duration) provider.Answer { return done() })
	r := s.job("a", 1, 3000, job.Job{})
	s.run(time.Hour)
	s.want(r, "COMPLETED")
	if len(s.outcomes) != 3000 || len(s.sentAt) != 3000 {
		t.Fatalf("got %s", s)
	}
	if s.most != 64 {
		t.Errorf("%d requests were in flight at the most, want the lane's 64", s.most)
	}
}

func TestLaneRetriesAPoisonPromptExactly(t *testing.T) {
	s := newSim(t, func(line int64, _ time.Duration) provider.Answer {
		if line == 7 {
			return down()
		}
		return done()
	})
	r := s.job("a", 1, 100, job.Job{MaxRetries: 4})
	s.run(time.Hour)
	s.want(r, "COMPLETED")
	if s.requests[7] != 5 {
		t.Errorf("the poison prompt was sent %d times, want max_retries + 1 = 5", s.requests[7])
	}
	if got := string(s.outcomes[7].Public); !strings.Contains(got, `"error":"server_error","attempts":5`) {
		t.Errorf("its outcome is %s", got)
	}
	if s.failures() != 1 {
		t.Errorf("%d error records, want 1", s.failures())
	}
}

func TestLaneWaitsOutAnOutage(t *testing.T) {
	for _, prompts := range []int{10_000, 10} {
		t.Run(fmt.Sprint(prompts), func(t *testing.T) {
			s := newSim(t, func(_ int64, at time.Duration) provider.Answer {
				if at >= 5*time.Second && at < time.Hour || at == 0 {
					return down()
				}
				return done()
			})
			r := s.job("a", 1, prompts, job.Job{})
			s.run(10 * time.Hour)
			s.want(r, "COMPLETED")
			if s.failures() != 0 {
				t.Errorf("%d error records came of an outage", s.failures())
			}
			if prompts > 100 {
				for m := 10; m < 59; m++ {
					from := time.Duration(m) * time.Minute
					if n := s.sentBetween(from, from+time.Minute); n > 2 {
						t.Errorf("%d probes in minute %d, want at most 2", n, m)
					}
				}
			}
		})
	}
}

func TestLaneWaitsOutAnOutageAtTheEnd(t *testing.T) {
	s := newSim(t, func(line int64, at time.Duration) provider.Answer {
		if (line > 9985 || line == 0) && at < 3*time.Hour {
			return down()
		}
		return done()
	})
	r := s.job("a", 1, 10_000, job.Job{})
	s.run(10 * time.Hour)
	s.want(r, "COMPLETED")
	if s.failures() != 0 {
		t.Errorf("%d error records came of an outage", s.failures())
	}
}

func TestLaneBlamesPoisonPromptsWhenTheCanaryPasses(t *testing.T) {
	for _, retries := range []int{1, 2, 3, 5} {
		s := newSim(t, func(line int64, _ time.Duration) provider.Answer {
			if line == 0 {
				return done()
			}
			return down()
		})
		r := s.job("a", 1, 10, job.Job{MaxRetries: retries})
		s.run(time.Hour)
		s.want(r, "COMPLETED")
		if s.failures() != 10 || s.canaries == 0 {
			t.Errorf("%d error records and %d canaries, want 10 and some", s.failures(), s.canaries)
		}
		if s.endedAt[r] > 15*time.Minute {
			t.Errorf("it took %s", s.endedAt[r])
		}
		// No retry was given back: nothing but them ever failed.
		for line := range int64(10) {
			record := string(s.outcomes[line+1].Public)
			if n := s.requests[line+1]; n != retries+1 || !strings.Contains(record, fmt.Sprintf(`"error":"server_error","attempts":%d,`, n)) {
				t.Errorf("of max_retries %d, line %d was sent %d times: %s", retries, line+1, n, record)
			}
		}
	}
}

// What failed in bad weather is excused, also where poison prompts are found
// out after it: the others have all their retries.
func TestLaneExcusesTheWeatherBeforePoison(t *testing.T) {
	tries := map[int64]int{}
	s := newSim(t, func(line int64, at time.Duration) provider.Answer {
		switch {
		case at < 30*time.Minute:
			return down()
		case line == 0:
			return done()
		}
		// Everything fails twice more, and line 1 always.
		if tries[line]++; line == 1 || tries[line] <= 2 {
			return down()
		}
		return done()
	})
	r := s.job("a", 1, 8, job.Job{MaxRetries: 3})
	s.run(10 * time.Hour)
	s.want(r, "COMPLETED")
	if s.failures() != 1 || !s.outcomes[1].Failed {
		t.Errorf("%d error records, want that of line 1", s.failures())
	}
}

func TestLaneFailsAWrongKeyAfterTwoProbes(t *testing.T) {
	s := newSim(t, func(int64, time.Duration) provider.Answer { return refusedKey() })
	r := s.job("a", 1, 10_000, job.Job{})
	s.run(time.Hour)
	s.want(r, "FAILED: set OPENAI_API_KEY")
	if s.endedAt[r] > 10*time.Second || len(s.sentAt) > 10 {
		t.Errorf("it took %s and %d requests", s.endedAt[r], len(s.sentAt))
	}
}

func TestLaneSurvivesARefusedKeyAfterSuccesses(t *testing.T) {
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
}

func TestLaneGivesUpAKeyThatStaysRefused(t *testing.T) {
	s := newSim(t, func(_ int64, at time.Duration) provider.Answer {
		if at > 20*time.Second {
			return refusedKey()
		}
		return done()
	})
	r := s.job("a", 1, 10_000, job.Job{})
	s.run(5 * time.Hour)
	if !strings.HasPrefix(s.ended[r], "FAILED: Held for 1h0m0s") {
		t.Fatalf("ended as %q", s.ended[r])
	}
	if at := s.endedAt[r]; at < time.Hour || at > 70*time.Minute {
		t.Errorf("given up after %s, want about max-hold", at)
	}
}

func TestLaneWaitsForADaysQuota(t *testing.T) {
	s := newSim(t, func(_ int64, at time.Duration) provider.Answer {
		if at > 10*time.Second && at < 9*time.Hour {
			return provider.Answer{Class: provider.UsedUp, Message: "requests per day", RetryAfter: 9*time.Hour - at}
		}
		return done()
	})
	r := s.job("a", 1, 2000, job.Job{})
	s.run(24 * time.Hour)
	s.want(r, "COMPLETED")
	if n := s.sentBetween(time.Minute, 9*time.Hour-time.Second); n != 0 {
		t.Errorf("%d requests left before the time that the provider named", n)
	}
}

func TestLaneAsksABrokenAnswerOnceMore(t *testing.T) {
	s := newSim(t, func(line int64, _ time.Duration) provider.Answer {
		if line > 0 && line%2 == 0 {
			return provider.Answer{Class: provider.Broken, Code: job.CodeBadResponse, Message: "cut off"}
		}
		return done()
	})
	r := s.job("a", 1, 100, job.Job{})
	s.run(time.Hour)
	s.want(r, "COMPLETED")
	if s.requests[2] != 2 || !strings.Contains(string(s.outcomes[2].Public), `"error":"bad_response","attempts":2`) {
		t.Errorf("%d requests, outcome %s", s.requests[2], s.outcomes[2].Public)
	}
}

func TestLaneFailsAJobThatIsRefusedAlike(t *testing.T) {
	refuse := provider.Answer{Class: provider.Terminal, Code: job.CodeInvalidRequest, Message: "no such parameter"}
	s := newSim(t, func(int64, time.Duration) provider.Answer { return refuse })
	r := s.job("a", 1, 10_000, job.Job{})
	s.run(time.Hour)
	s.want(r, "FAILED: The first 100 prompts were all refused alike: no such parameter")
	if len(s.sentAt) > 200 {
		t.Errorf("%d requests were spent on it", len(s.sentAt))
	}

	s = newSim(t, func(line int64, _ time.Duration) provider.Answer {
		if line == 3 {
			return done()
		}
		return refuse
	})
	r = s.job("a", 1, 300, job.Job{})
	s.run(time.Hour)
	s.want(r, "COMPLETED")
}

func TestLaneSpendsNoRetryOnARefusalForTheRate(t *testing.T) {
	s := newSim(t, func(line int64, at time.Duration) provider.Answer {
		if at < 5*time.Minute && line == 1 {
			return provider.Answer{Class: provider.SlowDown, Code: job.CodeRateLimit, RetryAfter: 20 * time.Second, Latency: 50 * time.Millisecond}
		}
		return done()
	})
	r := s.job("a", 1, 5, job.Job{MaxRetries: 1})
	s.run(time.Hour)
	s.want(r, "COMPLETED")
	if s.failures() != 0 || s.requests[1] < 5 {
		t.Errorf("%d failures, %d requests", s.failures(), s.requests[1])
	}
	if !strings.Contains(string(s.outcomes[1].Public), `"attempts":1,`) {
		t.Errorf("refusals were counted as attempts: %s", s.outcomes[1].Public)
	}
}

func TestLaneSharesFairly(t *testing.T) {
	const rpm = 600
	alone := newSim(t, func(int64, time.Duration) provider.Answer { return done() })
	alone.lane.cfg.Rate.RPM = rpm
	alone.lane = newLane(alone.lane.cfg, nil, false, &slots{most: 4096}, 1, alone.start)
	single := alone.job("small", 1, 100, job.Job{})
	alone.run(time.Hour)
	alone.want(single, "COMPLETED")

	s := newSim(t, func(int64, time.Duration) provider.Answer { return done() })
	s.lane = newLane(alone.lane.cfg, nil, false, &slots{most: 4096}, 1, s.start)
	s.job("big", 1, 20_000, job.Job{})
	s.run(time.Minute)
	begun := s.since()
	small := s.job("small", 50_001, 100, job.Job{})
	s.run(time.Hour)
	s.want(small, "COMPLETED")
	if took, most := s.endedAt[small]-begun, 3*alone.endedAt[single]; took > most {
		t.Errorf("beside a big job it took %s, alone %s", took, alone.endedAt[single])
	}
}

func TestLaneKeepsACallersCap(t *testing.T) {
	s := newSim(t, func(int64, time.Duration) provider.Answer { return done() })
	r := s.job("a", 1, 200, job.Job{RPM: 60})
	s.run(time.Hour)
	s.want(r, "COMPLETED")
	if n := s.sentBetween(time.Minute, 2*time.Minute); n < 58 || n > 61 {
		t.Errorf("%d requests in a minute under a cap of 60", n)
	}
}

func TestLaneCancelSendsNothingMore(t *testing.T) {
	s := newSim(t, func(int64, time.Duration) provider.Answer { return done() })
	r := s.job("a", 1, 10_000, job.Job{})
	s.run(10*time.Second + time.Millisecond)
	sent := len(s.sentAt)
	s.lane.cancel(r)
	s.run(time.Hour)
	if len(s.sentAt) != sent {
		t.Errorf("%d requests left after the cancel", len(s.sentAt)-sent)
	}
	if len(s.outcomes) != sent {
		t.Errorf("%d outcomes of %d requests were recorded", len(s.outcomes), sent)
	}
	if _, ok := s.endedAt[r]; !ok {
		t.Error("it was never settled")
	}
}

func TestLaneStopsAndLetsInFlightFinish(t *testing.T) {
	s := newSim(t, func(int64, time.Duration) provider.Answer { return done() })
	s.job("a", 1, 10_000, job.Job{})
	s.run(10*time.Second + time.Millisecond)
	s.lane.stopping = true
	sent := len(s.sentAt)
	s.run(time.Hour)
	if len(s.sentAt) != sent || s.lane.inFlight != 0 || s.lane.unrecorded != 0 || len(s.outcomes) != sent {
		t.Errorf("%d more sent, %d in flight, %d unrecorded, %d outcomes of %d", len(s.sentAt)-sent, s.lane.inFlight, s.lane.unrecorded, len(s.outcomes), sent)
	}
}

func slowDown(retryAfter time.Duration) provider.Answer {
	return provider.Answer{Class: provider.SlowDown, Code: job.CodeRateLimit, Message: "slow down", RetryAfter: retryAfter, Latency: 50 * time.Millisecond}
}

// Prompts that are always refused for the rate end as what they are, and keep
// nobody else from passing.
func TestLaneEndsPromptsThatAreAlwaysRefused(t *testing.T) {
	for _, wait := range []time.Duration{0, time.Second, 20 * time.Second} {
		for _, bad := range []int64{1, 20} {
			s := newSim(t, func(line int64, _ time.Duration) provider.Answer {
				if line > 0 && line <= bad {
					return slowDown(wait)
				}
				return done()
			})
			r := s.job("a", 1, 2000, job.Job{})
			s.run(10 * time.Hour)
			s.want(r, "COMPLETED")
			if s.failures() != int(bad) {
				t.Errorf("%d always refused, told to wait %s: %d error records", bad, wait, s.failures())
			}
			if s.endedAt[r] > time.Hour {
				t.Errorf("%d always refused, told to wait %s: it took %s", bad, wait, s.endedAt[r])
			}
		}
	}
}

// Prompts that always fail spend their retries; the lane and its other jobs go on.
func TestLaneLivesWithPoisonPrompts(t *testing.T) {
	for name, poison := range map[string]func(int64) bool{
		"25 in a row":      func(n int64) bool { return n > 500 && n <= 525 },
		"one in ten":       func(n int64) bool { return n%10 == 0 },
		"three in ten":     func(n int64) bool { return n%10 < 3 },
		"the first thirty": func(n int64) bool { return n <= 30 },
	} {
		t.Run(name, func(t *testing.T) {
			want := 0
			for n := int64(1); n <= 3000; n++ {
				if poison(n) {
					want++
				}
			}
			s := newSim(t, func(line int64, _ time.Duration) provider.Answer {
				if line > 0 && poison(line) {
					return down()
				}
				return done()
			})
			r := s.job("a", 1, 3000, job.Job{})
			s.run(20 * time.Hour)
			s.want(r, "COMPLETED")
			if s.failures() != want {
				t.Errorf("%d error records, want %d", s.failures(), want)
			}
		})
	}
}

// One prompt that is answered 403 (a moderation in front of the provider) fails
// neither its job nor anybody else's.
func TestLaneOnePromptFailsNoLane(t *testing.T) {
	for _, line := range []int64{1, 500} {
		s := newSim(t, func(n int64, _ time.Duration) provider.Answer {
			if n == line {
				return provider.Answer{Class: provider.Fatal, Message: "blocked", HTTPStatus: 403}
			}
			return done()
		})
		r := s.job("a", 1, 3000, job.Job{})
		other := s.job("b", 10_001, 100, job.Job{})
		s.run(5 * time.Hour)
		s.want(r, "COMPLETED")
		s.want(other, "COMPLETED")
		if s.failures() != 1 || !strings.Contains(string(s.outcomes[line].Public), `"error":"invalid_request"`) {
			t.Errorf("line %d: %d error records, its own is %s", line, s.failures(), s.outcomes[line].Public)
		}
	}
}

// A probe that the dialect cannot say tells nothing, and another takes its turn.
func TestLaneProbeThatCannotBeSent(t *testing.T) {
	s := newSim(t, func(_ int64, at time.Duration) provider.Answer {
		if at < time.Minute {
			return down()
		}
		return done()
	})
	s.unsent = func(line int64, at time.Duration) bool { return line%2 == 0 && at > 5*time.Second }
	r := s.job("a", 1, 200, job.Job{})
	s.run(5 * time.Hour)
	s.want(r, "COMPLETED")
}

// After a restart a job's first prompts are behind it.
func TestLaneRefusedAlikeCountsFromTheJobsBeginning(t *testing.T) {
	s := newSim(t, func(int64, time.Duration) provider.Answer {
		return provider.Answer{Class: provider.Terminal, Code: job.CodeInvalidRequest, Message: "no"}
	})
	r := s.job("a", 1, 300, job.Job{CompletedCount: 50, SentThrough: 50})
	s.run(time.Hour)
	s.want(r, "COMPLETED")
}
