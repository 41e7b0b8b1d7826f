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
		if got := r.left(start.Add(time.Duration(ms)*time.Millisecond), 0, 100, 0); got.about != 0 {
			t.Fatalf("%v left before anything was done", got)
		}
	}
	for s := 30; s < 900; s++ {
		outcomes := s / 30 * 4
		open := int64(400 - outcomes)
		got := r.left(start.Add(time.Duration(s)*time.Second), outcomes, open, 0).about
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
		r.left(now, outcomes, 1, 0)
	}
	var got time.Duration
	for range 12 {
		now = now.Add(time.Second)
		outcomes += 100
		got = r.left(now, outcomes, 1000, 0).about
	}
	if got < 9*time.Second || got > 12*time.Second {
		t.Errorf("%s left for 1000 prompts at 100 a second", got)
	}
	r.forget()
	if got := r.left(now.Add(time.Second), outcomes, 1000, 0).about; got != 0 {
		t.Errorf("%s left by what was forgotten", got)
	}
}

// TestTrendTellsAnInterval: an even rate is known well, one that comes in
// bursts is not, and neither is one of which little was seen.
func TestTrendTellsAnInterval(t *testing.T) {
	width := func(seconds int, each func(second int) int) (f forecast) {
		var r trend
		outcomes := 0
		for s := range seconds {
			outcomes += each(s)
			f = r.left(time.Unix(1000+int64(s), 0), outcomes, 600, 0)
		}
		if f.about == 0 || f.least > f.about || f.most < f.about {
			t.Fatalf("%+v", f)
		}
		return f
	}
	even := width(60, func(int) int { return 10 })
	if off := float64(even.most-even.least) / float64(even.about); off > 0.15 || off <= 0 {
		t.Errorf("an even rate gives %+v", even)
	}
	bursts := width(60, func(s int) int { return 40 * ((s / 2) % 2) / 2 })
	if off := float64(bursts.most-bursts.least) / float64(bursts.about); off < 0.4 {
		t.Errorf("bursts give %+v", bursts)
	}
	few := width(4, func(int) int { return 1 })
	if few.most < 5*few.about {
		t.Errorf("three outcomes give %+v", few)
	}
}

// TestTrendKeepsToACap: what came in the first moment is not the pace that a
// cap lets go on.
func TestTrendKeepsToACap(t *testing.T) {
	var r trend
	start := time.Unix(1000, 0)
	r.left(start, 0, 100, 60)
	got := r.left(start.Add(time.Second), 10, 90, 60)
	if got.about != 90*time.Second || got.least != 90*time.Second || got.most < got.about {
		t.Errorf("90 prompts at 60 a minute take %+v", got)
	}
}
