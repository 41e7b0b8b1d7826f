package main

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLines(t *testing.T) { synctest.Test(t, testLines) }

func testLines(t *testing.T) {
	in := func(about, earliest, latest time.Duration) rest {
		now := time.Now()
		return rest{now.Add(about), now.Add(earliest), now.Add(latest)}
	}
	for _, row := range []struct {
		s    snapshot
		want string
	}{
		{snapshot{state: "QUEUED", total: 10}, "0 of 10 done, QUEUED"},
		{snapshot{state: "PROCESSING", total: 12345, done: 1234, failed: 2, rate: 600, boundBy: "rpm", tokens: 99999, rest: in(1111*time.Second, 1100*time.Second, 1120*time.Second)}, "1,234 of 12,345 done, 2 failed, 600/min, bound by rpm, 99,999 tokens, 18m31s left"},
		{snapshot{state: "PROCESSING", total: 10, done: 3, rate: 60, rest: in(5*time.Minute, 4*time.Minute, 6*time.Minute)}, "3 of 10 done, 60/min, 4–6 min left"},
		{snapshot{state: "PROCESSING", total: 10, done: 3, rate: 60, rest: in(time.Minute, 40*time.Second, 90*time.Second)}, "3 of 10 done, 60/min, 40–90 s left"},
		{snapshot{state: "PROCESSING", total: 10, done: 3, rate: 60, rest: in(3*time.Second, time.Second, 8*time.Second)}, "3 of 10 done, 60/min, 1–8 s left"},
		{snapshot{state: "PROCESSING", total: 10, done: 3, rate: 60, rest: in(5*time.Minute, 30*time.Second, 50*time.Minute)}, "3 of 10 done, 60/min, 30s–50 min left"},
		{snapshot{state: "PROCESSING", total: 10, done: 3, rate: 60, rest: in(3*time.Hour, 150*time.Minute, 250*time.Minute)}, "3 of 10 done, 60/min, 2–5 h left"},
		{snapshot{state: "PROCESSING", total: 10, done: 3, rate: 600, cap: 60}, "3 of 10 done, 60/min"},
		{snapshot{state: "PROCESSING", total: 10, done: 3, rate: 60, held: "Down.", rest: in(5*time.Minute, 4*time.Minute, 6*time.Minute)}, "3 of 10 done, held: Down"},
		{snapshot{state: "PROCESSING", total: 100, boundBy: "cap"}, "0 of 100 done, bound by cap"},
		{snapshot{state: "PROCESSING", total: 10, done: 3, rate: 60, held: "The provider is down: no route."}, "3 of 10 done, held: The provider is down: no route"},
		{snapshot{
			state: "PROCESSING", total: 10, done: 3, held: "A day's quota is used up.",
			heldSince: time.Date(2020, 1, 2, 3, 4, 5, 0, time.Local), heldUntil: time.Date(2020, 1, 3, 0, 0, 0, 0, time.Local),
		}, "3 of 10 done, held since 2020-01-02 at 03:04:05 until 2020-01-03 at 00:00:00: A day's quota is used up"},
		{snapshot{state: "PROCESSING", total: 10, done: 3, rate: 60, stopped: true}, "3 of 10 done, stopping: waiting for what is in flight"},
		{snapshot{state: "PROCESSING", total: 10, done: 10, rate: 60}, "10 of 10 done, 60/min"},
		{snapshot{state: "PROCESSING", total: 500, done: 497, rate: 60, boundBy: "rpm", silent: 42 * time.Second}, "497 of 500 done, waiting for the last 3 answers, nothing came for 42s"},
		{snapshot{state: "PROCESSING", total: 500, done: 499, failed: 1, silent: 90 * time.Second}, "499 of 500 done, 1 failed, waiting for the last answer, nothing came for 1m30s"},
		{snapshot{state: "PROCESSING", total: 500, silent: 10 * time.Second}, "0 of 500 done, waiting for the first answers, nothing came for 10s"},
		{snapshot{state: "PROCESSING", total: 500, done: 100, silent: 10 * time.Second}, "100 of 500 done, waiting for the next answers, nothing came for 10s"},
		{snapshot{state: "PROCESSING", total: 500, done: 497, rate: 60, silent: 2 * time.Second}, "497 of 500 done, 60/min"},
		{snapshot{state: "PROCESSING", total: 500, done: 497, rate: 60, silent: time.Minute, rest: in(time.Minute, time.Minute, time.Minute)}, "497 of 500 done, 60/min, 1m00s left"},
		{snapshot{state: "PROCESSING", total: 500, done: 500, silent: time.Minute}, "500 of 500 done"},
		{snapshot{state: "PROCESSING", total: 500, done: 3, silent: time.Minute, held: "Down."}, "3 of 500 done, held: Down"},
	} {
		if got := row.s.line(); got != row.want {
			t.Errorf("got  %s\nwant %s", got, row.want)
		}
	}
}

// Whatever caps a job, its own rpm or the operator's, no more is shown.
func TestShownRateKeepsToCaps(t *testing.T) {
	for _, c := range []struct {
		boundBy      string
		rpm, current float64
		want         float64
	}{
		{"cap", 60, 60, 60}, {"cap", 0, 120, 120}, {"cap", 600, 120, 120}, {"rpm", 60, 30, 60}, {"rpm", 0, 30, 200}, {"cap", 0, 0, 200},
	} {
		if got := (snapshot{rate: 200, cap: capped(c.boundBy, c.rpm, c.current)}).shownRate(); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

func TestMeter(t *testing.T) {
	at := time.Unix(0, 0)
	var m meter
	if got := m.rate(at, 100); got != 0 {
		t.Errorf("%v at once", got)
	}
	for i := range 200 {
		if got := m.rate(at.Add(time.Duration(i+1)*time.Second), int64(100+i+1)); math.Abs(got-60) > 1e-6 {
			t.Fatalf("%v after %d s", got, i+1)
		}
	}
	if got := m.rate(at.Add(400*time.Second), 300); got != 0 {
		t.Errorf("%v after a long pause", got)
	}
	// What was before a hold is not the rate after it.
	m.forget()
	m.rate(at.Add(500*time.Second), 300)
	if got := m.rate(at.Add(502*time.Second), 320); math.Abs(got-600) > 1e-6 {
		t.Errorf("%v after a hold, want 600", got)
	}
}

// A job whose last answers hang says so, and for how long; what was held before
// does not count as silence.
func TestProgressTellsASilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stderr safeBuffer
		p := &program{stderr: &stderr, every: 10 * time.Second}
		show := p.newProgress(nil)
		show.update(snapshot{state: "PROCESSING", total: 4, done: 1, held: "Down."})
		time.Sleep(11 * time.Second) // of the bubble's clock
		for range 20 {
			show.update(snapshot{state: "PROCESSING", total: 4, done: 1, rate: 60})
			time.Sleep(time.Second)
		}
		show.end()
		const want = "1 of 4 done, held: Down\n1 of 4 done, waiting for the last 3 answers, nothing came for 9s\n1 of 4 done, waiting for the last 3 answers, nothing came for 19s\n"
		if got := stderr.String(); got != want {
			t.Errorf("it printed\n%s\nwant\n%s", got, want)
		}
	})
}

func TestPlainProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stderr safeBuffer
		p := &program{stderr: &stderr, every: 3 * time.Second}
		end := time.Now().Add(time.Minute)
		show := p.newProgress(func(s snapshot) snapshot { s.boundBy, s.rest.about = "tpm", end; return s })
		show.update(snapshot{state: "PROCESSING", total: 4, done: 1, rate: 60})
		show.update(snapshot{state: "PROCESSING", total: 4, done: 2, rate: 60})
		time.Sleep(20 * time.Second) // of the bubble's clock
		show.update(snapshot{state: "PROCESSING", total: 4, done: 3, rate: 60})
		time.Sleep(20 * time.Second)
		show.end()
		want := ""
		for at := 3; at < 40; at += 3 {
			done := 2
			if at > 20 {
				done = 3
			}
			want += fmt.Sprintf("%d of 4 done, 60/min, bound by tpm, %ds left\n", done, 60-at)
		}
		if got := stderr.String(); got != want {
			t.Errorf("it printed\n%s\nwant\n%s", got, want)
		}
		if strings.Contains(stderr.String(), "\r") {
			t.Error("carriage returns where there is no terminal")
		}
	})
}
