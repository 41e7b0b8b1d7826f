package quota

import (
	"math"
	"time"
)

// bucket is a token bucket that is full at first. It holds one number: when it
// is full again.
type bucket struct{ full time.Time }

// rate is what refills a bucket: one token every so often, up to burst.
type rate struct {
	every time.Duration
	burst int
}

// perSecond is a rate whose bucket holds what comes in a second, and at least
// one token.
func perSecond(n float64) rate {
	return rate{every: time.Duration(float64(time.Second) / n), burst: int(math.Max(1, math.Ceil(n)))}
}

// take takes a token. Where there is none wait, over 0, is until there is one,
// whoever asks how often.
func (b *bucket) take(now time.Time, r rate) (wait time.Duration) {
	most := r.every * time.Duration(r.burst)
	full := b.full
	if full.Before(now) {
		full = now
	}
	if full.Sub(now) > most { // the rate was another, or the clock was set back
		full = now.Add(most)
		b.full = full // or it would be clamped for as long again at each try
	}
	full = full.Add(r.every)
	if over := full.Sub(now) - most; over > 0 {
		return over
	}
	b.full = full
	return 0
}
