package dispatcher

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/job"
)

func aPage() provider.Answer {
	return provider.Answer{
		Class: provider.Broken, Code: job.CodeBadResponse, Message: "not the JSON of a chat completion",
		HTTPStatus: 200, ContentType: "text/html",
	}
}

// A proxy's page for an hour is weather: no prompt is lost to it, few are asked
// before the hold, none twice, and then one probe a minute.
func TestBrokenForAll(t *testing.T) {
	for _, size := range []struct{ prompts, left int }{{1000, 1000}, {1000, 500}, {1000, 10}, {1000, 3}, {10, 10}} {
		for _, slow := range []time.Duration{0, 20 * time.Second} {
			t.Run(fmt.Sprintf("%d with %d left, answers within %s", size.prompts, size.left, slow), func(t *testing.T) {
				for seed := range uint64(5) {
					rng := rand.New(rand.NewPCG(seed, 7))
					w := &storm{from: size.prompts - size.left, bad: func() provider.Answer {
						a := aPage()
						a.Latency = time.Millisecond + time.Duration(rng.Int64N(int64(slow+50*time.Millisecond)))
						return a
					}}
					asked := map[int64]int{} // in the weather, while it is not told yet
					w.s = newSim(t, func(line int64, at time.Duration) provider.Answer {
						a := w.answer(line, at)
						if a.Class == provider.Broken && w.s.lane.hold == nil {
							asked[line]++
						}
						return a
					})
					w.s.lane.rng = rand.New(rand.NewPCG(seed, 8))
					r := w.s.job("a", 1, size.prompts, job.Job{})
					w.s.run(10 * time.Hour)
					w.s.want(r, "COMPLETED")
					if n := w.s.failures(); n != 0 || len(w.s.outcomes) != size.prompts {
						t.Fatalf("seed %d: %d error records, %d outcomes", seed, n, len(w.s.outcomes))
					}
					if most := w.at + time.Hour + 2*time.Minute + time.Duration(size.prompts)*time.Second/4; w.s.endedAt[r] > most {
						t.Errorf("seed %d: it ended after %s, and the weather after %s", seed, w.s.endedAt[r], w.at+time.Hour)
					}
					for from := w.at + 5*time.Minute; from < w.at+59*time.Minute; from += time.Minute {
						if n := w.s.sentBetween(from, from+time.Minute) + w.s.canariesBetween(from, from+time.Minute); n > 2 {
							t.Errorf("seed %d: %d requests in the minute after %s", seed, n, from-w.at)
						}
					}
					for line, n := range asked {
						if n > 1 {
							t.Errorf("seed %d: line %d was sent %d times before the hold", seed, line, n)
						}
					}
					if len(asked) > 3*weatherPrompts+w.s.lane.ctl.Width() {
						t.Errorf("seed %d: the hold came after %d prompts", seed, len(asked))
					}
				}
			})
		}
	}
}

// Prompts that are broken alone cost two requests each, wherever they stand.
func TestBrokenAlone(t *testing.T) {
	for name, bad := range map[string]func(line int64) bool{
		"among others": func(line int64) bool { return line%37 == 1 && line < 180 },
		"first":        func(line int64) bool { return line > 0 && line <= 5 },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(5) {
				rng := rand.New(rand.NewPCG(seed, 7))
				s := newSim(t, func(line int64, _ time.Duration) provider.Answer {
					a := done()
					if bad(line) {
						a = aPage()
					}
					a.Latency = time.Millisecond + time.Duration(rng.Int64N(int64(5*time.Second)))
					return a
				})
				r := s.job("a", 1, 200, job.Job{})
				s.run(time.Hour)
				s.want(r, "COMPLETED")
				if s.failures() != 5 || len(s.sentAt) != 205 {
					t.Errorf("seed %d: %d error records after %d requests", seed, s.failures(), len(s.sentAt))
				}
				for line, o := range s.outcomes {
					if !bad(line) {
						continue
					}
					if got := string(o.Public); s.requests[line] != 2 || !strings.Contains(got, `"error":"bad_response","attempts":2`) {
						t.Errorf("seed %d: line %d was sent %d times: %s", seed, line, s.requests[line], got)
					}
				}
			}
		})
	}
}

// Where nothing but broken prompts is left, a canary tells that it is they.
func TestBrokenAtTheEnd(t *testing.T) {
	for _, prompts := range []int64{5, 200} {
		for seed := range uint64(10) {
			rng := rand.New(rand.NewPCG(seed, 7))
			s := newSim(t, func(line int64, _ time.Duration) provider.Answer {
				a := done()
				if line > prompts-5 {
					a = aPage()
				}
				a.Latency = time.Millisecond + time.Duration(rng.Int64N(int64(5*time.Second)))
				return a
			})
			r := s.job("a", 1, int(prompts), job.Job{})
			s.run(time.Hour)
			s.want(r, "COMPLETED")
			if n := len(s.sentAt) - int(prompts) - 5; s.failures() != 5 || n != 0 || s.canaries == 0 || s.endedAt[r] > 5*time.Minute {
				t.Errorf("%d, seed %d: %d error records, %d requests too many, after %s", prompts, seed, s.failures(), n, s.endedAt[r])
			}
		}
	}
}

// Where a prompt or two have nobody else to tell, a canary does: a proxy's page
// for everybody costs them nothing, however few they are.
func TestBrokenWithNobodyElse(t *testing.T) {
	for _, prompts := range []int{1, 2} {
		s := newSim(t, func(_ int64, at time.Duration) provider.Answer {
			if at < time.Hour {
				return aPage()
			}
			return done()
		})
		r := s.job("a", 1, prompts, job.Job{})
		s.run(10 * time.Second)
		if got := s.lane.pace(s.now, r, 1).HoldReason; !strings.Contains(got, "status 200, text/html") || s.canaries == 0 {
			t.Errorf("of %d: held for %q after %d canaries", prompts, got, s.canaries)
		}
		s.run(2 * time.Hour)
		s.want(r, "COMPLETED")
		if s.failures() != 0 || len(s.sentAt)+s.canaries > 100 || s.endedAt[r] > 62*time.Minute {
			t.Errorf("of %d: %d error records after %d requests, %d canaries and %s", prompts, s.failures(), len(s.sentAt), s.canaries, s.endedAt[r])
		}
	}
}

// A prompt or two that are broken alone end after two requests each and one
// canary, which is refused at first where it is told to be.
func TestBrokenOfItselfWithNobodyElse(t *testing.T) {
	for _, prompts := range []int{1, 2} {
		for _, canary := range []provider.Answer{done(), slowDown(0), refusedKey()} {
			s := newSim(t, func(line int64, _ time.Duration) provider.Answer {
				if line == 0 {
					return canary
				}
				return aPage()
			})
			r := s.job("a", 1, prompts, job.Job{})
			s.run(time.Hour)
			s.want(r, "COMPLETED")
			if s.failures() != prompts || len(s.sentAt) != 2*prompts || s.canaries != 1 || s.endedAt[r] > 30*time.Second {
				t.Errorf("%d error records after %d requests, %d canaries and %s", s.failures(), len(s.sentAt), s.canaries, s.endedAt[r])
			}
		}
	}
}

// A canary that a proxy answers vouches for nobody: a prompt that is refused
// for the rate is not taken for too large by it.
func TestBrokenCanariesVouchForNobody(t *testing.T) {
	s := newSim(t, func(line int64, at time.Duration) provider.Answer {
		switch {
		case at >= 10*time.Hour:
			return done()
		case line == 0:
			return aPage()
		}
		return slowDown(0)
	})
	r := s.job("a", 1, 2, job.Job{})
	s.run(20 * time.Hour)
	s.want(r, "COMPLETED")
	if s.failures() != 0 {
		t.Errorf("%d error records", s.failures())
	}
}

// A canary that a proxy answers tells nothing: an outage that turns into pages
// goes on, and hold_reason follows it.
func TestBrokenAfterAnOutage(t *testing.T) {
	s := newSim(t, func(_ int64, at time.Duration) provider.Answer {
		switch {
		case at < 10*time.Minute:
			return down()
		case at < 30*time.Minute:
			return aPage()
		}
		return done()
	})
	r := s.job("a", 1, 10, job.Job{})
	s.run(5 * time.Minute)
	if got, want := s.lane.pace(s.now, r, 10).HoldReason, "The provider is down (it answers 503)."; got != want {
		t.Errorf("held for %q, want %q", got, want)
	}
	s.run(15 * time.Minute)
	want := "The provider's answers are not its JSON, or not whole (status 200, text/html): a proxy's page, perhaps."
	if got := s.lane.pace(s.now, r, 10).HoldReason; got != want {
		t.Errorf("held for %q, want %q", got, want)
	}
	s.run(time.Hour)
	s.want(r, "COMPLETED")
	if s.failures() != 0 {
		t.Errorf("%d error records", s.failures())
	}
}

// Pages for longer than --max-outage fail the jobs, with what came.
func TestBrokenForTooLong(t *testing.T) {
	s := newSim(t, func(int64, time.Duration) provider.Answer { return aPage() })
	r := s.job("a", 1, 100, job.Job{})
	s.run(40 * time.Hour)
	if got := s.ended[r]; !strings.HasPrefix(got, "FAILED: The provider was down for 24h0m0s. The provider's answers are not its JSON") {
		t.Errorf("ended as %q", got)
	}
}

// Once a canary told that they are at fault, they do not wait for one another.
func TestBrokenFoundOut(t *testing.T) {
	s := newSim(t, func(line int64, _ time.Duration) provider.Answer {
		a := done()
		if line > 0 {
			a = aPage()
		}
		a.Latency = 5 * time.Second
		return a
	})
	r := s.job("a", 1, 10, job.Job{})
	s.run(time.Hour)
	s.want(r, "COMPLETED")
	if s.failures() != 10 || len(s.sentAt) != 20 || s.endedAt[r] > 50*time.Second {
		t.Errorf("%d error records after %d requests and %s", s.failures(), len(s.sentAt), s.endedAt[r])
	}
}
