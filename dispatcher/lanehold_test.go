package dispatcher

import (
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/job"
)

func TestLaneGivesUpAnOutage(t *testing.T) {
	s := newSim(t, func(_ int64, at time.Duration) provider.Answer {
		if at > 20*time.Second {
			return down()
		}
		return done()
	})
	r := s.job("a", 1, 10_000, job.Job{})
	s.run(40 * time.Hour)
	if !strings.HasPrefix(s.ended[r], "FAILED: ") {
		t.Fatalf("ended as %q", s.ended[r])
	}
	if at := s.endedAt[r]; at < 24*time.Hour || at > 25*time.Hour {
		t.Errorf("given up after %s, want about max-outage", at)
	}
	if s.failures() != 0 {
		t.Errorf("%d prompts were blamed for it", s.failures())
	}
}

// TestLaneProbesADaysQuota: where no time was named, every 15 minutes, for
// longer than max-hold.
func TestLaneProbesADaysQuota(t *testing.T) {
	s := newSim(t, func(_ int64, at time.Duration) provider.Answer {
		if at < 9*time.Hour {
			return provider.Answer{Class: provider.UsedUp, Message: "requests per day"}
		}
		return done()
	})
	r := s.job("a", 1, 500, job.Job{})
	s.run(24 * time.Hour)
	s.want(r, "COMPLETED")
	for hour := range 8 {
		from := time.Duration(hour+1) * time.Hour
		if n := s.sentBetween(from, from+time.Hour); n < 3 || n > 4 {
			t.Errorf("%d probes in hour %d, want one every 15 minutes", n, hour+1)
		}
	}
	if s.failures() != 0 {
		t.Errorf("%d prompts were blamed for it", s.failures())
	}
}

// TestLaneDaysQuotaWithAMinutesWait: Gemini names a wait of seconds beside a
// day's quota. It is waited for once; after that the day counts.
func TestLaneDaysQuotaWithAMinutesWait(t *testing.T) {
	s := newSim(t, func(_ int64, at time.Duration) provider.Answer {
		if at < 9*time.Hour {
			return provider.Answer{Class: provider.UsedUp, Message: "requests per day", RetryAfter: 5 * time.Second}
		}
		return done()
	})
	r := s.job("a", 1, 500, job.Job{})
	s.run(24 * time.Hour)
	s.want(r, "COMPLETED")
	if n := s.sentBetween(10*time.Second, 9*time.Hour); n < 33 || n > 38 {
		t.Errorf("%d probes in nine hours, want one every 15 minutes", n)
	}
	if s.failures() != 0 {
		t.Errorf("%d prompts were blamed for it", s.failures())
	}

	// One that is named rightly is believed each time.
	s = newSim(t, func(_ int64, at time.Duration) provider.Answer {
		if at < time.Minute {
			return provider.Answer{Class: provider.UsedUp, Message: "requests per day", RetryAfter: time.Minute - at}
		}
		return done()
	})
	r = s.job("a", 1, 500, job.Job{})
	s.run(24 * time.Hour)
	s.want(r, "COMPLETED")
	if s.endedAt[r] > 10*time.Minute {
		t.Errorf("a wait of a minute became %s", s.endedAt[r])
	}
}

// TestLaneProbesARefusedKey after 5 s, 30 s, 2 min, and then every 5 min.
func TestLaneProbesARefusedKey(t *testing.T) {
	const at0 = 20 * time.Second
	s := newSim(t, func(_ int64, at time.Duration) provider.Answer {
		if at > at0 {
			return refusedKey()
		}
		return done()
	})
	s.job("a", 1, 10_000, job.Job{})
	s.run(45 * time.Minute)
	var probes []time.Duration
	for _, at := range s.sentAt {
		if at > at0+3*time.Second {
			probes = append(probes, at)
		}
	}
	want := []time.Duration{30 * time.Second, 2 * time.Minute, 5 * time.Minute, 5 * time.Minute, 5 * time.Minute}
	if len(probes) <= len(want) || probes[0]-at0 < 5*time.Second || probes[0]-at0 > 8*time.Second {
		t.Fatalf("the probes left at %v", probes)
	}
	for i, gap := range want {
		if got := probes[i+1] - probes[i]; got < gap || got > gap+3*time.Second {
			t.Errorf("probe %d came %s after the one before, want %s", i+2, got, gap)
		}
	}
}

// TestLanePromptWaitsAsAsked: a prompt that was refused for the rate does not
// leave before the time that the provider named, which is longer than the lane
// pauses for it.
func TestLanePromptWaitsAsAsked(t *testing.T) {
	var sent []time.Duration
	s := newSim(t, func(line int64, at time.Duration) provider.Answer {
		if line != 1 {
			return done()
		}
		if sent = append(sent, at); len(sent) == 1 {
			return slowDown(5 * time.Minute)
		}
		return done()
	})
	r := s.job("a", 1, 50, job.Job{})
	s.run(time.Hour)
	s.want(r, "COMPLETED")
	if len(sent) != 2 || sent[1]-sent[0] < 5*time.Minute || sent[1]-sent[0] > 6*time.Minute {
		t.Errorf("it left at %v", sent)
	}
}

// TestLaneBackoff: doubled from --retry-base, at random below it, at most 30 s.
func TestLaneBackoff(t *testing.T) {
	s := newSim(t, func(int64, time.Duration) provider.Answer { return done() })
	for spent, most := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 30 * time.Second, 30 * time.Second} {
		longest, shortest := time.Duration(0), time.Hour
		for range 2000 {
			d := s.lane.backoff(spent)
			longest, shortest = max(longest, d), min(shortest, d)
		}
		if longest > most || longest < most*9/10 || shortest > most/10 {
			t.Errorf("after %d retries it waits %s to %s, want up to %s", spent, shortest, longest, most)
		}
	}
}

// TestLaneTellsHeldUntil: the time that the provider named.
func TestLaneTellsHeldUntil(t *testing.T) {
	until := 9 * time.Hour
	s := newSim(t, func(_ int64, at time.Duration) provider.Answer {
		return provider.Answer{Class: provider.UsedUp, Message: "requests per day", RetryAfter: until - at}
	})
	r := s.job("a", 1, 100, job.Job{})
	s.run(time.Minute)
	p := s.lane.pace(s.now, r, 100)
	if p.HoldReason == "" || p.HeldSince.Before(s.start) || p.HeldSince.After(s.now) {
		t.Errorf("%+v", p)
	}
	if off := p.HeldUntil.Sub(s.start.Add(until)).Abs(); off > 5*time.Second {
		t.Errorf("held until %s, want %s", p.HeldUntil, s.start.Add(until))
	}
}

// Where a provider's day is known to end, the job says so; a probe each quarter
// of an hour tells whether it is there again sooner, and one at the end.
func TestLaneTellsWhenTheDayEnds(t *testing.T) {
	const ends = 5*time.Hour + 7*time.Minute
	s := newSim(t, func(_ int64, at time.Duration) provider.Answer {
		if at < ends {
			return provider.Answer{Class: provider.UsedUp, Message: "requests per day", RetryAfter: 30 * time.Second, DayEnds: ends - at, Latency: time.Millisecond}
		}
		return done()
	})
	r := s.job("a", 1, 100, job.Job{})
	for _, at := range []time.Duration{time.Minute, 3 * time.Hour, ends - time.Minute} {
		s.run(at - s.since())
		m := s.lane.memory()
		again := newLane(s.lane.cfg, nil, false, &slots{most: 1}, 1, s.now)
		if again.remember(s.now, &m); !again.hold.until.Equal(s.lane.hold.until) || again.hold.next.After(s.now) {
			t.Errorf("after %s a restart would go on with %+v", at, again.hold)
		}
		if off := s.lane.pace(s.now, r, 100).HeldUntil.Sub(s.start.Add(ends)).Abs(); off > time.Second {
			t.Errorf("after %s: held until %s, want %s", at, s.lane.pace(s.now, r, 100).HeldUntil, s.start.Add(ends))
		}
	}
	if n := s.sentBetween(time.Minute, ends-time.Second); n != 20 {
		t.Errorf("%d probes, want one every 15 minutes", n)
	}
	s.run(time.Hour)
	s.want(r, "COMPLETED")
	if s.failures() != 0 || s.endedAt[r] > ends+5*time.Minute {
		t.Errorf("%d error records, after %s", s.failures(), s.endedAt[r])
	}
}

// TestLaneTellsAnOutageInPlainWords: where no answer came, what went wrong, and
// no name of ours for it.
func TestLaneTellsAnOutageInPlainWords(t *testing.T) {
	for _, c := range []struct {
		a    provider.Answer
		want string
	}{
		{provider.Answer{Class: provider.Transient, Code: job.CodeServerError, Message: "No connection to the provider: connection refused."}, "The provider is down: no connection to the provider: connection refused."},
		{provider.Answer{Class: provider.Transient, Code: job.CodeTimeout, Message: "The provider gave no answer within 10m0s."}, "The provider is down: the provider gave no answer within 10m0s."},
		{down(), "The provider is down (it answers 503)."},
	} {
		s := newSim(t, func(int64, time.Duration) provider.Answer { return c.a })
		r := s.job("a", 1, 100, job.Job{})
		s.run(time.Minute)
		if got := s.lane.pace(s.now, r, 100).HoldReason; got != c.want {
			t.Errorf("held for %q, want %q", got, c.want)
		}
	}
}

// What cannot be meant, and what is longer than any limit by the minute needs,
// keeps the prompt that it was told to waiting, and not its lane.
func TestLaneIsNotStoppedByAnAbsurdWait(t *testing.T) {
	for name, c := range map[string]struct {
		wait      time.Duration
		senseless bool
		prompts   time.Duration // until the last prompt that was never refused is answered
	}{
		"nonsense":      {time.Minute, true, 20 * time.Second},
		"a day":         {24 * time.Hour, false, 3 * time.Minute},
		"half a minute": {30 * time.Second, false, 2 * time.Minute},
	} {
		refused := map[int64]bool{}
		var last time.Duration
		s := newSim(t, func(line int64, at time.Duration) provider.Answer {
			if len(refused) < 2 && !refused[line] {
				refused[line] = true
				a := slowDown(c.wait)
				a.Senseless = c.senseless
				return a
			}
			if !refused[line] {
				last = at
			}
			return done()
		})
		r := s.job("a", 1, 30, job.Job{})
		s.run(48 * time.Hour)
		s.want(r, "COMPLETED")
		if last > c.prompts {
			t.Errorf("%s: the last of the others left after %s", name, last)
		}
		if s.endedAt[r] < c.wait {
			t.Errorf("%s: a prompt waited for no more than %s", name, s.endedAt[r])
		}
	}
}
