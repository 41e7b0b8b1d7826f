package dispatcher

import (
	"testing"
	"time"
)

// TestTrendOfASlowServer: four answers every half minute are eight a minute,
// also while none came for a while, and nothing is told before the first.
func TestTrendOfASlowServer(t *testing.T) {
	var r trend
	start := time.Unix(1000, 0)
	for ms := 0; ms < 29_500; ms += 500 {
		if got := r.left(start.Add(time.Duration(ms)*time.Millisecond), 0, 100); got != 0 {
			t.Fatalf("%s left before anything was done", got)
		}
	}
	for s := 30; s < 900; s++ {
		outcomes := s / 30 * 4
		open := int64(400 - outcomes)
		got := r.left(start.Add(time.Duration(s)*time.Second), outcomes, open)
		if want := time.Duration(open) * 7500 * time.Millisecond; s >= 120 && (got < want*3/4 || got > want*4/3) {
			t.Fatalf("after %d s %s left, want about %s", s, got, want)
		}
	}
}

// TestTrendFollowsARateThatRises: a minute at 1 a second does not weigh on what
// 100 a second take.
func TestTrendFollowsARateThatRises(t *testing.T) {
	var r trend
	now, outcomes := time.Unix(1000, 0), 0
	for range 60 {
		now = now.Add(time.Second)
		outcomes++
		r.left(now, outcomes, 1)
	}
	var got time.Duration
	for range 12 {
		now = now.Add(time.Second)
		outcomes += 100
		got = r.left(now, outcomes, 1000)
	}
	if got < 9*time.Second || got > 12*time.Second {
		t.Errorf("%s left for 1000 prompts at 100 a second", got)
	}
	r.forget()
	if got := r.left(now.Add(time.Second), outcomes, 1000); got != 0 {
		t.Errorf("%s left by what was forgotten", got)
	}
}
