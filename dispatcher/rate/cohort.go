package rate

import (
	"cmp"
	"math"
	"slices"
)

// cohortMost is how many requests of a cohort are looked at.
const cohortMost = 256

// cohort is the requests that left one after the other at one width of the
// window, the first cohortMost of them. One that is still under way counts too,
// with the time that it has taken so far: an answer that is late tells as much
// as one that came.
type cohort []member

// member is a request of a cohort.
type member struct {
	number int64
	at     float64 // when it left
	took   float64 // seconds until its answer; 0: under way
}

func (c *cohort) sent(k Ticket) {
	if len(*c) < cohortMost {
		*c = append(*c, member{number: k.number, at: k.at})
	}
}

func (c cohort) find(k Ticket) (i int, ok bool) {
	return slices.BinarySearchFunc(c, k, func(m member, k Ticket) int {
		return cmp.Or(cmp.Compare(m.number, k.number), cmp.Compare(m.at, k.at))
	})
}

// gone hears that a request has no answer that took its time.
func (c *cohort) gone(k Ticket) {
	if i, ok := c.find(k); ok {
		*c = slices.Delete(*c, i, i+1)
	}
}

func (c cohort) accepted(t float64, k Ticket) {
	if i, ok := c.find(k); ok {
		c[i].took = latencyOf(t, k)
	}
}

// latencyOf is how many seconds an answer that came now took.
func latencyOf(t float64, k Ticket) float64 { return max(t-k.at, 1e-4) }

// exposure is how long a request has been looked at, and whether an answer
// ended that.
type exposure struct {
	seconds  float64
	answered bool
}

// exposures appends those of its requests at a time.
func (c cohort) exposures(t float64, to []exposure) []exposure {
	for _, m := range c {
		if m.took > 0 {
			to = append(to, exposure{m.took, true})
		} else {
			to = append(to, exposure{t - m.at, false})
		}
	}
	return to
}

// hazard is how many answers a request that has been under way for so long
// should have had, were it sent again and again: the cumulative hazard, as
// Nelson and Aalen estimate it. It needs no law of latencies.
type hazard struct {
	at, sum []float64
}

// hazardShare of the requests are under way at least where their hazard is
// taken as known.
const hazardShare = 0.1

// hazardOf sorts what it is given.
func hazardOf(all []exposure) hazard {
	slices.SortFunc(all, func(a, b exposure) int { return cmp.Compare(a.seconds, b.seconds) })
	var h hazard
	sum := 0.0
	for i, e := range all {
		left := float64(len(all) - i)
		if left < hazardShare*float64(len(all)) {
			break
		}
		if e.answered {
			sum += 1 / left
			h.at, h.sum = append(h.at, e.seconds), append(h.sum, sum)
		}
	}
	return h
}

// known is up to how many seconds it is known.
func (h *hazard) known() float64 {
	if len(h.at) == 0 {
		return 0
	}
	return h.at[len(h.at)-1]
}

func (h *hazard) of(seconds float64) float64 {
	i, _ := slices.BinarySearchFunc(h.at, seconds, func(at, seconds float64) int {
		if at <= seconds {
			return -1
		}
		return 1
	})
	if i == 0 {
		return 0
	}
	return h.sum[i-1]
}

// expected is how many answers of these should have come if each took slower
// times as long as those of the hazard, and came is how many did, where
// the hazard is known.
func (h *hazard) expected(all []exposure, slower float64) (expected, came float64) {
	within := h.known() * slower
	for _, e := range all {
		expected += h.of(e.seconds / slower)
		if e.answered && e.seconds <= within {
			came++
		}
	}
	return expected, came
}

// deviations is by how many standard deviations more of these answers came than
// if each took slower times as long; below 0: fewer.
func (h *hazard) deviations(all []exposure, slower float64) float64 {
	expected, came := h.expected(all, slower)
	// The expectation is of few answers too.
	chance := math.Sqrt(expected * (1 + expected/float64(len(h.at))))
	return (came - expected) / max(chance, 1)
}

// slower is how much longer answers take, between 1 and most times.
func (h *hazard) slower(all []exposure, most float64) float64 {
	low, high := 1.0, most
	for range 12 {
		mid := math.Sqrt(low * high)
		if expected, came := h.expected(all, mid); expected > came {
			low = mid
		} else {
			high = mid
		}
	}
	return math.Sqrt(low * high)
}
