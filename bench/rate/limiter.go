package rate

import "time"

const (
	minute = time.Minute
	// grain absorbs the rounding of sums of floats: a request that comes to
	// the nanosecond in time is in time.
	grain = 1e-6
)

// Kind is the law by which a provider limits.
type Kind string

// The kinds of limiters.
const (
	Bucket      Kind = "bucket"      // tokens that flow in evenly, up to a depth
	Plain       Kind = "plain"       // evenly spaced; a refusal that counts begins the space anew
	Fixed       Kind = "fixed"       // so many a minute, by the clock's minutes
	Sliding     Kind = "sliding"     // so many in any 60 s
	Concurrency Kind = "concurrency" // so many at once
	Shared      Kind = "shared"      // refuses nothing, slows down
)

// limiter is the law of one limit, in requests or in tokens. Times never run
// backwards.
type limiter interface {
	// take asks for n units. wait is how long the same would have to wait from
	// now on, 0 when it was taken.
	take(now time.Duration, n float64) (wait time.Duration)
	// charge takes n units that nobody asked for: the real use of tokens, known
	// only afterwards. What is left may become less than nothing.
	charge(now time.Duration, n float64)
	// setLimit changes the limit to units a minute.
	setLimit(now time.Duration, perMinute float64)
	// state is what is left, and how long until the limit is whole, or until
	// the next passes where the kind's headers say that.
	state(now time.Duration) (left float64, reset time.Duration)
}

// bucket fills evenly up to its depth. A refusal that counts is debt, down to
// minus one depth.
type bucket struct {
	perSecond, depth float64
	seconds          float64 // the depth as time at the limit; 0: depth stays as it is
	counted          bool
	level            float64
	at               time.Duration
}

// newBucket makes a full bucket that holds the seconds' worth of its limit, or
// depth units where seconds is 0.
func newBucket(perMinute, seconds, depth float64, counted bool) *bucket {
	b := &bucket{seconds: seconds, depth: depth, counted: counted}
	b.setLimit(0, perMinute)
	b.level = b.depth
	return b
}

func (b *bucket) setLimit(now time.Duration, perMinute float64) {
	b.settle(now)
	b.perSecond = perMinute / 60
	if b.seconds > 0 {
		b.depth = max(1, b.seconds*b.perSecond)
	}
	b.level = min(b.level, b.depth)
}

func (b *bucket) settle(now time.Duration) {
	b.level = min(b.depth, b.level+(now-b.at).Seconds()*b.perSecond)
	b.at = now
}

func (b *bucket) take(now time.Duration, n float64) time.Duration {
	b.settle(now)
	if b.level >= n-grain {
		b.level -= n
		return 0
	}
	if b.counted {
		b.level = max(-b.depth, b.level-n)
	}
	return seconds((n - b.level) / b.perSecond)
}

func (b *bucket) charge(now time.Duration, n float64) {
	b.settle(now)
	b.level -= n
}

func (b *bucket) state(now time.Duration) (float64, time.Duration) {
	b.settle(now)
	return b.level, seconds((b.depth - b.level) / b.perSecond)
}

// plain lets one pass a while after the one before. It has no use for n.
type plain struct {
	space   time.Duration
	counted bool
	next    time.Duration
}

func newPlain(perMinute float64, counted bool) *plain {
	p := &plain{counted: counted}
	p.setLimit(0, perMinute)
	return p
}

func (p *plain) setLimit(now time.Duration, perMinute float64) {
	p.space = seconds(60 / perMinute)
	p.next = min(p.next, now+p.space)
}

func (p *plain) take(now time.Duration, _ float64) time.Duration {
	if now >= p.next {
		p.next = now + p.space
		return 0
	}
	if p.counted {
		p.next = now + p.space
	}
	return p.next - now
}

func (p *plain) charge(time.Duration, float64) {}

func (p *plain) state(now time.Duration) (float64, time.Duration) {
	if now >= p.next {
		return 1, 0
	}
	return 0, p.next - now
}

// seconds is s as a duration, rounded up to the nanosecond.
func seconds(s float64) time.Duration { return time.Duration(s*1e9 + 1 - grain) }
