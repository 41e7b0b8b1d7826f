package dispatcher

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/job"
)

// A prompt that the provider always refuses ends as what it is, after three
// trials with the lane quiet; the others complete.
func TestAloneEndsWhatIsAlwaysRefused(t *testing.T) {
	var s *sim
	var last []time.Duration
	s = newSim(t, func(line int64, at time.Duration) provider.Answer {
		if line != 500 {
			return done()
		}
		if s.inFlight > 1 {
			last = nil
		} else {
			last = append(last, at)
		}
		return slowDown(0)
	})
	r := s.job("a", 1, 1000, job.Job{})
	s.run(10 * time.Hour)
	s.want(r, "COMPLETED")
	record := string(s.outcomes[500].Public)
	if s.failures() != 1 || !strings.Contains(record, fmt.Sprintf(`"error":"rate_limit_exceeded","attempts":%d,`, s.requests[500])) {
		t.Errorf("%d error records, sent %d times, its own is %s", s.failures(), s.requests[500], record)
	}
	if !strings.Contains(record, fmt.Sprintf("refused this prompt for the rate %d times", s.requests[500])) || !strings.Contains(record, "It said: slow down") {
		t.Errorf("its record says neither how often it was refused nor in which words: %s", record)
	}
	if s.requests[500] < 10 || len(last) < 3 {
		t.Errorf("it was refused %d times, the last %d of them alone", s.requests[500], len(last))
	}
	for i, at := range last[max(0, len(last)-3):] {
		others := 0
		for _, sent := range s.sentAt {
			if sent > at-time.Minute && sent <= at {
				others++
			}
		}
		if others -= i + 1; others > 0 {
			t.Errorf("in the minute before the trial at %s %d others were sent", at, others)
		}
	}
	if s.endedAt[r] > 10*time.Minute {
		t.Errorf("it took %s", s.endedAt[r])
	}
}

// One that fits only when nothing else is in flight completes, and so does one
// that needs the whole budget of a minute; in the middle of a job, and without
// stopping it for long.
func TestAloneCompletesWhatFitsAlone(t *testing.T) {
	for name, fits := range map[string]func(s *sim, at time.Duration) bool{
		"nothing in flight": func(s *sim, _ time.Duration) bool { return s.inFlight == 1 },
		"a minute's budget": func(s *sim, at time.Duration) bool { return s.sentBetween(at-time.Minute, at) == 0 },
	} {
		t.Run(name, func(t *testing.T) {
			var s *sim
			s = newSim(t, func(line int64, at time.Duration) provider.Answer {
				if line >= 500 && line < 503 && !fits(s, at) {
					return slowDown(time.Second)
				}
				return done()
			})
			r := s.job("a", 1, 30_000, job.Job{})
			s.run(10 * time.Hour)
			s.want(r, "COMPLETED")
			if s.failures() != 0 {
				t.Errorf("%d error records", s.failures())
			}
			if s.endedAt[r] > 30*time.Minute {
				t.Errorf("it took %s", s.endedAt[r])
			}
			if name == "nothing in flight" && s.requests[500] > 12 {
				t.Errorf("it was sent %d times", s.requests[500])
			}
		})
	}
}

// Many prompts that are always refused, among others of another client, leave
// the other client at least a third of the time.
func TestAloneLeavesTheOthersTime(t *testing.T) {
	s := newSim(t, func(line int64, _ time.Duration) provider.Answer {
		if line > 100_000 {
			return slowDown(20 * time.Second)
		}
		return done()
	})
	bad := s.job("bad", 100_001, 30, job.Job{})
	good := s.job("good", 1, 20_000, job.Job{})
	silent, all := 0, 0
	for s.endedAt[good] == 0 && all < 10_000 {
		s.run(10 * time.Second)
		all++
		if !s.lane.silentSince.IsZero() {
			silent++
		}
	}
	s.want(good, "COMPLETED")
	if silent == 0 || silent > all*2/3 {
		t.Errorf("the lane was quiet for %d of %d tens of seconds", silent, all)
	}
	s.run(100 * time.Hour)
	s.want(bad, "COMPLETED")
	if s.failures() != 30 {
		t.Errorf("%d error records, want 30", s.failures())
	}
}

// In a job that is too small for a hundred others to pass, canaries take their
// place: nothing circles for ever.
func TestAloneInASmallJob(t *testing.T) {
	s := newSim(t, func(line int64, _ time.Duration) provider.Answer {
		if line == 2 || line == 3 {
			return slowDown(0)
		}
		return done()
	})
	r := s.job("a", 1, 5, job.Job{})
	s.run(24 * time.Hour)
	s.want(r, "COMPLETED")
	if s.failures() != 2 || s.canaries < 90 {
		t.Errorf("%d error records after %d canaries", s.failures(), s.canaries)
	}
	// Backoffs of 31 s, a hundred canaries of a second, and a minute of quiet.
	if s.endedAt[r] > 5*time.Minute {
		t.Errorf("it took %s", s.endedAt[r])
	}

	// Where nothing passes, it is no prompt's fault.
	s = newSim(t, func(_ int64, at time.Duration) provider.Answer {
		if at < 20*time.Hour {
			return slowDown(0)
		}
		return done()
	})
	r = s.job("a", 1, 5, job.Job{})
	s.run(48 * time.Hour)
	s.want(r, "COMPLETED")
	if s.failures() != 0 {
		t.Errorf("%d error records", s.failures())
	}
}

// A few prompts that are too large, in a job that has little else, neither slow
// the lane down nor make it wait for longer than the trials take; the job says
// meanwhile what is waited for, and claims no time.
func TestAloneAtTheEndOfASmallJob(t *testing.T) {
	tooLarge := map[int64]bool{2: true, 6: true, 50: true, 54: true, 58: true}
	s := newSim(t, func(line int64, _ time.Duration) provider.Answer {
		if tooLarge[line] {
			return slowDown(0)
		}
		return done()
	})
	s.latency = 50 * time.Millisecond
	r := s.job("a", 1, 89, job.Job{})
	told := map[string]bool{}
	for s.endedAt[r] == 0 && s.since() < time.Hour {
		s.run(500 * time.Millisecond)
		p := s.lane.pace(s.now, r, int64(89-r.outcomes))
		if r.outcomes < 84 || s.endedAt[r] > 0 {
			continue
		}
		if !p.EstimatedCompletionAt.IsZero() && p.EstimatedCompletionAt.Before(s.now.Add(time.Minute)) && s.lane.waitAlone() == 5 {
			t.Errorf("at %s it claims to be done in %s", s.since(), p.EstimatedCompletionAt.Sub(s.now))
		}
		if p.HoldReason != "" {
			told[p.HoldReason] = true
			if p.BoundBy != "hold" || p.HeldSince.IsZero() || !p.EstimatedCompletionAt.IsZero() {
				t.Errorf("at %s: %+v", s.since(), p)
			}
		}
	}
	s.want(r, "COMPLETED")
	if s.failures() != 5 {
		t.Errorf("%d error records, want 5", s.failures())
	}
	if s.endedAt[r] > 2*time.Minute {
		t.Errorf("it took %s", s.endedAt[r])
	}
	if !slices.ContainsFunc(slices.Collect(maps.Keys(told)), func(reason string) bool { return strings.HasPrefix(reason, "5 prompts wait to be tried alone") }) {
		t.Errorf("it was told: %v", told)
	}
	if !slices.Contains(s.log, "prompts that are always refused for the rate are tried alone") {
		t.Errorf("the log has %q", s.log)
	}
}

// A canary that is refused tells nothing of the prompts: they go back to the
// others, and the lane does not circle.
func TestAloneWhenCanariesAreRefused(t *testing.T) {
	s := newSim(t, func(line int64, at time.Duration) provider.Answer {
		if line <= 1 && at < time.Hour {
			return slowDown(0)
		}
		return done()
	})
	r := s.job("a", 1, 30, job.Job{})
	s.run(time.Hour)
	if n := s.requests[1] + s.canaries; n > 200 {
		t.Errorf("%d requests left in an hour of refusals", n)
	}
	s.run(time.Hour)
	s.want(r, "COMPLETED")
	if s.failures() != 0 {
		t.Errorf("%d error records", s.failures())
	}
}

// A cancel, a stop and a hold in the middle of a trial leave nothing behind.
func TestAloneInterrupted(t *testing.T) {
	for name, do := range map[string]func(*sim, *run){
		"cancel": func(s *sim, r *run) { s.lane.cancel(r) },
		"stop":   func(s *sim, _ *run) { s.lane.stopping = true },
	} {
		for _, at := range []time.Duration{40 * time.Second, 90 * time.Second, 100 * time.Second} {
			s := newSim(t, func(line int64, _ time.Duration) provider.Answer {
				if line == 5 {
					a := slowDown(0)
					a.Latency = 30 * time.Second
					return a
				}
				return done()
			})
			r := s.job("a", 1, 20_000, job.Job{})
			s.run(at)
			do(s, r)
			s.run(time.Hour)
			if l := s.lane; l.inFlight != 0 || len(l.flying) != 0 || l.trial != nil || l.slot.taken.Load() != 0 {
				t.Errorf("%s at %s: %d in flight", name, at, l.inFlight)
			}
		}
	}
}

// A refusal for the prompt's own size counts as an attempt; the request was
// sent, and it was no refusal for the rate.
func TestTooLargeCountsAsAnAttempt(t *testing.T) {
	s := newSim(t, func(line int64, _ time.Duration) provider.Answer {
		if line%2 == 0 {
			return provider.Answer{Class: provider.TooLarge, Code: job.CodeRateLimit, Message: "Request too large", HTTPStatus: 429}
		}
		return done()
	})
	r := s.job("a", 1, 400, job.Job{})
	s.run(time.Hour)
	s.want(r, "COMPLETED")
	if got := string(s.outcomes[2].Public); s.requests[2] != 1 || !strings.Contains(got, `"error":"rate_limit_exceeded","attempts":1`) {
		t.Errorf("after %d requests: %s", s.requests[2], got)
	}
}

// Answers that a filter withheld fail no job, however many they are: they are
// no refusals of the request.
func TestWithheldAnswersFailNoJob(t *testing.T) {
	withheld := provider.Answer{Class: provider.Terminal, Code: job.CodeContentFiltered, Message: "withheld", HTTPStatus: 200}
	s := newSim(t, func(int64, time.Duration) provider.Answer { return withheld })
	r := s.job("a", 1, 300, job.Job{})
	s.run(time.Hour)
	s.want(r, "COMPLETED")
}
