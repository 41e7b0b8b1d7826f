package rate

import (
	"math"
	"slices"
	"time"
)

// tenMinutes is the span that most rows look at.
const tenMinutes = 10 * minute

// Answers counts the answers that came between from and to.
func (r *Run) Answers(from, to time.Duration) int { return r.count(from, to).answers }

// Refusals counts the refusals that came between from and to.
func (r *Run) Refusals(from, to time.Duration) int { return r.count(from, to).refusals }

// tally is what came in a span of time.
type tally struct {
	from, to          time.Duration
	answers, refusals int
}

// count counts each span once: several rows look at the same few.
func (r *Run) count(from, to time.Duration) tally {
	for _, n := range r.tallies {
		if n.from == from && n.to == to {
			return n
		}
	}
	n := tally{from: from, to: to}
	for i := range r.Records {
		switch a := &r.Records[i]; {
		case a.Answered < from || a.Answered >= to || a.Answered == 0:
		case a.Accepted:
			n.answers++
		default:
			n.refusals++
		}
	}
	r.tallies = append(r.tallies, n)
	return n
}

// Share is the answers between from and to over the oracle's, not capped.
func (r *Run) Share(from, to time.Duration) float64 {
	return float64(r.Answers(from, to)) / r.Scenario.Oracle(r.ChangedAt, from, to)
}

const (
	raisedShare   = 0.95
	trailing      = 5 * time.Second
	trailingCount = 10
)

// RaiseTime is how long after a raise the trailing 5 s or 10 requests at the
// new limit, whichever is longer, first held 95 % of what the new limit allows.
// A request counts when the provider took it. It is the rest of the run where
// that never came.
func (r *Run) RaiseTime() time.Duration {
	limit := r.Scenario.limitAt(r.ChangedAt, r.ChangedAt) / 60 // a second
	span := max(trailing, seconds(trailingCount/limit))
	needed := int(math.Ceil(raisedShare*limit*span.Seconds() - grain))
	taken := r.arrivals()
	first, _ := slices.BinarySearch(taken, r.ChangedAt)
	for i := max(first, needed-1); i < len(taken); i++ {
		if taken[i]-taken[i-needed+1] < span {
			return max(0, taken[i]-r.ChangedAt)
		}
	}
	return r.Scenario.Length - r.ChangedAt
}

// arrivals is when accepted requests reached the provider, in order.
func (r *Run) arrivals() []time.Duration {
	var taken []time.Duration
	for i := range r.Records {
		if a := &r.Records[i]; a.Accepted {
			taken = append(taken, a.Arrived)
		}
	}
	slices.Sort(taken)
	return taken
}

const (
	calmShare = 0.02
	calmCount = 3
	calmSpan  = minute
)

// CalmTime is how long after a fall it takes until, of the requests sent in the
// next minute, under 2 % are refused, or at most 3. It is the rest of the run
// where that never comes.
func (r *Run) CalmTime() time.Duration {
	first, _ := slices.BinarySearchFunc(r.Records, r.ChangedAt, func(a Record, t time.Duration) int { return int(a.Sent - t) })
	// from is the first request not before the minute, to the first after it.
	from, to, refused := first, first, 0
	start := r.ChangedAt
	for {
		for to < len(r.Records) && r.Records[to].Sent < start+calmSpan {
			if r.refused(to) {
				refused++
			}
			to++
		}
		if refused <= calmCount || float64(refused) < calmShare*float64(to-from) {
			return start - r.ChangedAt
		}
		if start+calmSpan >= r.Scenario.Length {
			return r.Scenario.Length - r.ChangedAt
		}
		// Only leaving a refused request behind makes it calmer.
		for !r.refused(from) {
			from++
		}
		refused--
		start = r.Records[from].Sent + 1
		from++
	}
}

func (r *Run) refused(i int) bool { return !r.Records[i].Accepted && r.Records[i].Arrived > 0 }

// Probes counts the refused requests between the moment at which the first
// refusal after a fall came back and the end of the window that was open at the
// fall.
func (r *Run) Probes() int {
	back := time.Duration(0)
	for i := range r.Records {
		if a := &r.Records[i]; r.refused(i) && a.Arrived >= r.ChangedAt && a.Answered > 0 && (back == 0 || a.Answered < back) {
			back = a.Answered
		}
	}
	n := 0
	for i := range r.Records {
		if r.refused(i) && back > 0 && r.Records[i].Sent > back && r.Records[i].Sent < r.WindowEdge {
			n++
		}
	}
	return n
}

// TokenShare is the tokens charged over what the limit of tokens allows in the
// whole run, not capped.
func (r *Run) TokenShare() float64 {
	sum := 0.0
	for i := range r.Records {
		sum += r.Records[i].Charged
	}
	return sum / (r.Scenario.TPM * r.Scenario.Length.Minutes())
}

// BoundShare is the share of time, from then on, in which the rule named what
// really binds it.
func (r *Run) BoundShare(from time.Duration) float64 {
	truth := r.Scenario.Truth()
	asked := r.Bounds[min(len(r.Bounds), int(from/time.Second)):]
	if len(asked) == 0 {
		return 0
	}
	right := 0
	for _, b := range asked {
		if b == truth {
			right++
		}
	}
	return float64(right) / float64(len(asked))
}

// LatencyP99 is the 99th percentile of the latency of answers.
func (r *Run) LatencyP99() time.Duration {
	var all []time.Duration
	for i := range r.Records {
		if a := &r.Records[i]; a.Accepted && a.Answered > 0 {
			all = append(all, a.Answered-a.Sent)
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[(len(all)*99-1)/100]
}
