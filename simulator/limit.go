package simulator

import (
	"math/bits"
	"time"
)

// minute is the span over which every limit counts.
const minute = time.Minute

// limiter is the law of one limit, in requests or in tokens a minute. It is
// pure: time is an argument, and one that runs backwards is taken as standing
// still. Not safe for concurrent use. No n may exceed the limit: such a
// request can never pass, and the gate refuses it before.
type limiter interface {
	// wait is how long n would have to wait for take; 0 when it may pass now.
	wait(now time.Time, n int) time.Duration
	// take takes n; only after wait returned 0 for the same arguments.
	take(now time.Time, n int)
	// remaining is how much could be taken now in pieces of 1.
	remaining(now time.Time) int
	// reset is how long it takes until the limit is whole again.
	reset(now time.Time) time.Duration
}

// newLimiter returns the limiter of that kind, nil for a limit of 0.
func newLimiter(kind string, perMinute int) limiter {
	switch {
	case perMinute == 0:
		return nil
	case kind == Fixed:
		return &fixed{limit: perMinute}
	case kind == Sliding:
		return &sliding{limit: perMinute}
	default:
		return newBucket(perMinute)
	}
}

// costOf is the time in which a rate of limit a minute yields n, rounded down
// so that as many as the limit says fit into a minute. n must not exceed limit.
func costOf(n, limit int) time.Duration {
	hi, lo := bits.Mul64(uint64(n), uint64(minute))
	q, _ := bits.Div64(hi, lo, uint64(limit))
	return time.Duration(q)
}
