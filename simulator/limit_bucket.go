package simulator

import "time"

// bucket is a token bucket, kept as the one moment at which it will be full
// (the generic cell rate algorithm): whole nanoseconds, and nothing to refill.
type bucket struct {
	limit int
	depth time.Duration // what a full bucket holds, as the time to fill it
	full  time.Time
}

func newBucket(limit int) *bucket {
	return &bucket{limit: limit, depth: max(time.Second, costOf(1, limit))}
}

// wait lets one that is larger than the bucket pass when the bucket is full,
// and leaves it in debt: a depth of one second must not make a long prompt
// impossible whose tokens are well within the minute's limit.
func (b *bucket) wait(now time.Time, n int) time.Duration {
	room := max(0, b.depth-costOf(n, b.limit))
	return max(0, b.reset(now)-room)
}

func (b *bucket) take(now time.Time, n int) {
	if b.full.Before(now) {
		b.full = now
	}
	b.full = b.full.Add(costOf(n, b.limit))
}

func (b *bucket) remaining(now time.Time) int {
	one := costOf(1, b.limit)
	if one == 0 { // more than one a nanosecond
		return b.limit
	}
	return int(max(0, b.depth-b.reset(now)) / one)
}

func (b *bucket) reset(now time.Time) time.Duration { return max(0, b.full.Sub(now)) }
