package rate

import "math"

// regainDouble is in how many seconds a lane comes back from half of what it
// knew: it was true not long ago, and a first refusal ends it.
const regainDouble = 2.0

// comeback is how a number of requests at once that was known comes back: as
// one until an answer came, then half, and soon all of it. What is known itself
// stays as it was, so that beginning again and again loses nothing. The zero
// value holds nothing back.
type comeback struct {
	under  bool
	passed bool    // an answer came
	from   float64 // when it was half
	share  float64 // of what was known
}

// half begins with half.
func (b *comeback) half(t float64) { *b = comeback{under: true, passed: true, from: t, share: 0.5} }

// one begins with one request at once.
func (b *comeback) one() { *b = comeback{under: true} }

// accepted hears of an answer.
func (b *comeback) accepted(t float64) {
	switch {
	case !b.under:
	case !b.passed:
		b.half(t)
	default:
		if b.share = 0.5 * math.Exp2((t-b.from)/regainDouble); b.share >= 1 {
			*b = comeback{}
		}
	}
}

// of is how much of what is known may be used now, at least 1.
func (b *comeback) of(known float64) float64 {
	if !b.under {
		return known
	}
	return max(1, min(known, b.share*known))
}
