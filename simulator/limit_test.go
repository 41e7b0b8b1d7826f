package simulator

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// greedy takes n at every step for d, and returns how much went through.
func greedy(l limiter, from time.Time, d, step time.Duration, n int) int {
	taken := 0
	for at := time.Duration(0); at < d; at += step {
		for now := from.Add(at); l.wait(now, n) == 0; {
			l.take(now, n)
			taken += n
		}
	}
	return taken
}

func TestLimitersKeepTheirRate(t *testing.T) {
	for _, c := range []struct {
		kind                 string
		limit                int
		firstSecond, minute1 int
		minute2              int
	}{
		// A bucket gives its depth at once and the rate after it: at 0 and at
		// every 100 ms after that.
		{Bucket, 600, 10 + 9, 10 + 599, 600},
		{Bucket, 30, 1, 1 + 29, 30}, // less than one a second: depth is 1
		{Bucket, 420, 7 + 6, 7 + 419, 420},
		// Windows and logs give the whole minute at once.
		{Fixed, 600, 600, 600, 600},
		{Sliding, 600, 600, 600, 600},
	} {
		t.Run(fmt.Sprint(c.kind, c.limit), func(t *testing.T) {
			l := newLimiter(c.kind, c.limit)
			if got := l.remaining(epoch); c.kind != Bucket && got != c.limit {
				t.Errorf("remaining at first is %d", got)
			}
			const step = 10 * time.Millisecond
			first := greedy(l, epoch, time.Second, step, 1)
			if first != c.firstSecond {
				t.Errorf("%d in the first second, want %d", first, c.firstSecond)
			}
			if l.wait(epoch.Add(time.Second-step), 1) == 0 {
				t.Error("more would have passed")
			}
			rest := greedy(l, epoch.Add(time.Second), 59*time.Second, step, 1)
			if first+rest != c.minute1 {
				t.Errorf("%d in the first minute, want %d", first+rest, c.minute1)
			}
			if second := greedy(l, epoch.Add(minute), minute, step, 1); second != c.minute2 {
				t.Errorf("%d in the second minute, want %d", second, c.minute2)
			}
		})
	}
}

// Whatever was taken when: a wait is exact (a nanosecond less does not pass),
// remaining of them pass in pieces of 1, and after reset all is whole.
func TestLimiterPromises(t *testing.T) {
	for _, kind := range []string{Bucket, Fixed, Sliding} {
		t.Run(kind, func(t *testing.T) {
			for seed := range uint64(20) {
				rnd := rand.New(rand.NewPCG(seed, 1))
				limit := 1 + rnd.IntN(5000)
				l, now := newLimiter(kind, limit), epoch
				whole := l.remaining(now)
				for range 300 {
					n := 1 + rnd.IntN(min(limit, 1+rnd.IntN(limit)))
					if d := l.wait(now, n); d > 0 {
						if l.wait(now.Add(d-1), n) == 0 {
							t.Fatalf("limit %d: %d passes earlier than in %v", limit, n, d)
						}
						now = now.Add(d)
						if again := l.wait(now, n); again > 0 {
							t.Fatalf("limit %d: %d, after its wait of %v, waits %v more", limit, n, d, again)
						}
					}
					l.take(now, n)
					if got := l.remaining(now); got < 0 || got > whole {
						t.Fatalf("limit %d: remaining %d of %d", limit, got, whole)
					}
					if left := l.remaining(now); (l.wait(now, 1) == 0) != (left > 0) {
						t.Fatalf("limit %d: %d remain, but the next waits %v", limit, left, l.wait(now, 1))
					}
					now = now.Add(time.Duration(rnd.Int64N(int64(2 * time.Second))))
				}
				now = now.Add(l.reset(now))
				if got := l.remaining(now); got != whole || l.reset(now) != 0 {
					t.Fatalf("limit %d: after reset %d of %d remain", limit, got, whole)
				}
				for range whole {
					if l.wait(now, 1) > 0 {
						t.Fatal("less than remaining passed")
					}
					l.take(now, 1)
				}
				if l.wait(now, 1) == 0 {
					t.Fatal("more than remaining passed")
				}
			}
		})
	}
}

// No span of a minute may ever hold more than the limit: the law of a sliding
// window, held against a list of everything that passed.
func TestSlidingAgainstModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 7))
	l, now := &sliding{limit: 100}, epoch
	var passed []taking
	for range 20_000 {
		now = now.Add(time.Duration(rnd.Int64N(int64(time.Second))))
		n := 1 + rnd.IntN(9)
		used := 0
		for _, p := range passed[max(0, len(passed)-100):] {
			if now.Sub(p.at) < minute {
				used += p.n
			}
		}
		if want, got := used+n <= 100, l.wait(now, n) == 0; got != want {
			t.Fatalf("%d used, %d asked: passes %v", used, n, got)
		} else if got {
			l.take(now, n)
			passed = append(passed, taking{now, n})
		}
	}
	if len(l.log) > 300 {
		t.Errorf("remembers %d takings", len(l.log))
	}
}

// The window of 60 s is aligned to the first request, also after a pause.
func TestFixedAlignment(t *testing.T) {
	l := &fixed{limit: 1}
	first := epoch.Add(13 * time.Second)
	l.take(first, 1)
	later := first.Add(10*minute + 59*time.Second)
	l.take(later, 1)
	if got := l.wait(later, 1); got != time.Second {
		t.Errorf("waits %v, want 1s", got)
	}
}

// A prompt larger than a second's worth of tokens passes when the bucket is
// full, and its debt is paid at the rate.
func TestBucketDebt(t *testing.T) {
	l := newBucket(6000) // 100 a second
	if d := l.wait(epoch, 1000); d != 0 {
		t.Fatalf("1000 of 6000 wait %v", d)
	}
	l.take(epoch, 1000)
	if got := l.reset(epoch); got != 10*time.Second {
		t.Errorf("whole in %v, want 10s", got)
	}
	if got, want := l.wait(epoch, 1), 9010*time.Millisecond; got != want {
		t.Errorf("the next waits %v, want %v", got, want)
	}
	if got := l.wait(epoch, 500); got != 10*time.Second {
		t.Errorf("another large one waits %v, want 10s", got)
	}
}

// A clock that runs backwards must neither panic nor give anything away.
func TestLimitersBackwards(t *testing.T) {
	for _, kind := range []string{Bucket, Fixed, Sliding} {
		l := newLimiter(kind, 60)
		got := greedy(l, epoch, time.Second, time.Second, 1)
		if more := greedy(l, epoch.Add(-time.Hour), time.Second, time.Second, 1); more != 0 {
			t.Errorf("%s: %d and then %d more, an hour before", kind, got, more)
		}
	}
}

func TestGate(t *testing.T) {
	g := newGate(Config{RPM: 60, TPM: 6000, Concurrency: 2, LimitKind: Fixed})
	for _, step := range []struct {
		tokens int
		want   bound
	}{
		{6001, boundSize},
		{3000, boundNone},
		{3001, boundTokens},
		{100, boundNone},
		{100, boundConcurrency},
	} {
		if v := g.enter(epoch, step.tokens); v.bound != step.want {
			t.Errorf("%d tokens: bound %d, want %d", step.tokens, v.bound, step.want)
		}
	}
	// What was refused was not charged.
	if v := g.enter(epoch, 1); v.requests.remaining != 58 || v.tokens.remaining != 2900 {
		t.Errorf("%+v", v)
	}
	g.leave()
	if v := g.enter(epoch, 100); v.bound != boundNone {
		t.Errorf("a place that fell free is not given: %+v", v)
	}
	g.reset()
	g.leave()
	if v := g.enter(epoch, 6000); v.bound != boundNone || v.requests.remaining != 59 || v.tokens.remaining != 0 {
		t.Errorf("after reset: %+v", v)
	}
}
