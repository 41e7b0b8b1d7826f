package dispatcher

import (
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/job"
)

// keyed is a sim whose provider sees which credential a request came with.
func keyed(t *testing.T, keys int, answer func(key int, line int64, at time.Duration) provider.Answer) *sim {
	s := newSim(t, nil)
	s.lane.renewKeys(s.now, keys)
	s.answer = func(line int64, at time.Duration) provider.Answer {
		key := s.lane.canaryKey
		if line > 0 {
			key = s.sending.key
		}
		return answer(key, line, at)
	}
	return s
}

func TestKeysAreUsedInTurn(t *testing.T) {
	used := map[int]int{}
	s := keyed(t, 3, func(key int, _ int64, _ time.Duration) provider.Answer {
		used[key]++
		return done()
	})
	r := s.job("a", 1, 3000, job.Job{})
	s.run(time.Hour)
	s.want(r, "COMPLETED")
	if used[0] != 1000 || used[1] != 1000 || used[2] != 1000 {
		t.Errorf("the keys were used %v", used)
	}
}

// A key that dies costs no prompt and stops nobody: from the beginning, in the
// middle, and when it comes back.
func TestKeysThatDieDrain(t *testing.T) {
	for name, dead := range map[string]func(at time.Duration) bool{
		"from the beginning": func(time.Duration) bool { return true },
		"in the middle":      func(at time.Duration) bool { return at > 10*time.Second },
		"for a while":        func(at time.Duration) bool { return at > 10*time.Second && at < 90*time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			refused, late := 0, 0
			s := keyed(t, 2, func(key int, _ int64, at time.Duration) provider.Answer {
				if key == 1 && dead(at) {
					refused++
					return refusedKey()
				}
				if key == 1 && at > 4*time.Minute {
					late++
				}
				return done()
			})
			s.lane.cfg.MaxHold = time.Second
			r := s.job("a", 1, 20_000, job.Job{MaxRetries: 1})
			s.run(2 * time.Hour)
			s.want(r, "COMPLETED")
			if s.failures() != 0 || refused > 100 {
				t.Errorf("%d error records, %d refused", s.failures(), refused)
			}
			if name == "for a while" && late == 0 {
				t.Error("the key works again and is not used")
			}
			if log := strings.Join(s.log, "; "); !strings.Contains(log, "put aside") || strings.Contains(log, "held") {
				t.Errorf("the log says %s", log)
			}
		})
	}
}

// Where all keys are refused it is as with one.
func TestKeysThatAreAllRefused(t *testing.T) {
	s := keyed(t, 3, func(int, int64, time.Duration) provider.Answer { return refusedKey() })
	r := s.job("a", 1, 5000, job.Job{})
	s.run(time.Hour)
	s.want(r, "FAILED: set OPENAI_API_KEY")
	if s.endedAt[r] > 10*time.Second || len(s.sentAt) > 20 {
		t.Errorf("it took %s and %d requests", s.endedAt[r], len(s.sentAt))
	}

	// After successes it is held; the first key that is mended ends that.
	s = keyed(t, 3, func(key int, _ int64, at time.Duration) provider.Answer {
		if at > 20*time.Second && (key != 2 || at < 10*time.Minute) {
			return refusedKey()
		}
		return done()
	})
	r = s.job("a", 1, 5000, job.Job{})
	s.run(3 * time.Hour)
	s.want(r, "COMPLETED")
	if s.failures() != 0 {
		t.Errorf("%d error records", s.failures())
	}
}

// One prompt that is answered 403 with every key ends as itself, and no other.
func TestKeysAndOneRefusedPrompt(t *testing.T) {
	s := keyed(t, 2, func(_ int, line int64, _ time.Duration) provider.Answer {
		if line == 700 {
			return provider.Answer{Class: provider.Fatal, Message: "blocked", HTTPStatus: 403}
		}
		return done()
	})
	r := s.job("a", 1, 5000, job.Job{})
	s.run(5 * time.Hour)
	s.want(r, "COMPLETED")
	if s.failures() != 1 {
		t.Errorf("%d error records", s.failures())
	}
}

// Other credentials are tried at once where the lane is held, and what those of
// before are still answered means nothing.
func TestKeysRenewed(t *testing.T) {
	old := true
	s := keyed(t, 1, func(_ int, _ int64, at time.Duration) provider.Answer {
		if at > 20*time.Second && old {
			a := refusedKey()
			a.Latency = 3 * time.Second
			return a
		}
		return done()
	})
	r := s.job("a", 1, 5000, job.Job{})
	s.run(22 * time.Minute)
	if s.lane.hold == nil {
		t.Fatal("it is not held")
	}
	old = false
	s.lane.renewKeys(s.now, 2)
	from := s.since()
	s.run(time.Hour)
	s.want(r, "COMPLETED")
	if n := s.sentBetween(from, from+10*time.Second); n < 10 {
		t.Errorf("%d requests in the 10 s after the credentials were renewed", n)
	}

	// Requests with the old one are in flight when it is replaced.
	old = true
	s = keyed(t, 1, func(_ int, _ int64, at time.Duration) provider.Answer {
		if old {
			a := refusedKey()
			a.Latency = 5 * time.Second
			return a
		}
		return done()
	})
	r = s.job("a", 1, 500, job.Job{})
	s.run(3 * time.Second)
	old = false
	s.lane.renewKeys(s.now, 1)
	s.run(time.Hour)
	s.want(r, "COMPLETED")
	if log := strings.Join(s.log, "; "); strings.Contains(log, "held") || s.failures() != 0 {
		t.Errorf("%d error records; the log says %s", s.failures(), log)
	}
}
