package rate

import "math"

const (
	// placesProof is how many refusals must come at the same number of requests
	// at once before it is taken for the provider's.
	placesProof = 4
	// placesNear is how far apart two such numbers may be.
	placesNear = 0.1
	// With a limit of requests at once a pace near it is refused before so many
	// have passed, or so many times the limit.
	placesSpan  = 110
	placesShare = 30
	placesLeast = 50
	// placesLow is how far below the limit, and its share placesDown, a refusal
	// contradicts it, and placesOff the share that one
	// at it takes off: the count at once may be a little too high.
	placesLow  = 0.5
	placesDown = 0.04
	placesOff  = 0.005
	// placesTotal times the limit must have been accepted, and placesLeast, to
	// know that more at once would not be.
	placesTotal = 3
	// The proof must take so many times an answer's latency: for less, requests
	// at once stay about the same under any limit.
	placesLatencies = 6
	placesMemory    = 20
	// placesForget is what each refusal takes off the most that was accepted at
	// once, lest a limit that fell is never seen.
	placesForget = 0.01
	// placesRaised, or half the limit, must be accepted beyond it in a row to
	// raise it: one or two slip in while an answer is on its way.
	placesRaised = 8
	// placesRace is by how much more may be under way by our count than by the
	// provider's, whose answers are still on their way.
	placesRace = 0.07
	// A request more is tried after so many accepted ones, or seconds.
	placesRequests = 150
	placesSeconds  = 20.0
	// placesLost is how many refusals far below the limit end it.
	placesLost = 3
	// placesStreak is how many refusals in a row end it.
	placesStreak = 10
)

// places watches whether a provider refuses by the number of requests at once:
// then it refuses at that number and never accepts beyond it, whatever the rate.
type places struct {
	limit   float64 // requests at once; 0: not known
	proofs  float64 // refusals at it
	against float64 // accepted ones beyond it
	known   bool

	most     float64 // requests at once that were accepted
	first    float64 // when limit was first taken for it
	latency  float64 // of accepted requests
	total    int     // accepted since limit was first taken for it
	extra    float64 // how many more are tried
	beyond   int     // accepted beyond the limit while more are tried
	accepted int     // since the last refusal
	streak   int     // refusals with none accepted between
	since    float64 // that refusal
	lost     int
	back     comeback
}

// accept hears of an accepted request that left with so many others under way.
func (p *places) accept(t float64, open int, took float64) {
	p.latency += (took - p.latency) / placesMemory
	p.accepted++
	p.total++
	p.streak = 0
	p.most = max(p.most, float64(open))
	p.back.accepted(t)
	if p.accepted >= placesRequests {
		p.lost = 0
	}
	if p.known && float64(open) >= p.limit {
		// It was raised: twice as many more each time.
		if p.beyond++; float64(p.beyond) >= max(placesRaised, p.limit/2) {
			p.limit += p.extra
			p.extra, p.beyond = min(2*p.extra, p.limit), 0
		}
		return
	}
	if p.limit > 0 && float64(open) >= p.limit*(1+placesRace) {
		p.against++
	}
}

// refuse hears of a refused one, the first of its episode.
func (p *places) refuse(t float64, open int) {
	n := float64(open)
	p.most *= 1 - placesForget
	if p.streak++; p.known && p.streak > placesStreak {
		// A limit of requests at once lets the next one in when one is answered.
		*p = places{most: p.most, latency: p.latency}
		return
	}
	switch {
	case n < 1:
		*p = places{most: p.most, latency: p.latency} // it was alone
	case !p.known && float64(p.accepted) >= max(placesSpan, placesShare*n):
		*p = places{most: p.most, latency: p.latency} // so many pass in a row only below a limit by time
	case p.known && n < p.limit*(1-placesDown)-placesLow:
		// Refused far below the limit: it is another, or none.
		p.limit = n
		if p.lost++; p.lost >= placesLost {
			*p = places{most: p.most, latency: p.latency}
		}
	case p.known:
		p.limit = max(1, min(p.limit, n)-placesOff*p.limit)
	case p.limit > 0 && math.Abs(n-p.limit) <= max(1, placesNear*p.limit):
		p.limit = min(p.limit, n)
		p.proofs++
		p.known = p.proofs >= placesProof && p.against <= p.proofs/2 && p.most <= p.limit*(1+placesRace)+1 && t-p.first >= placesLatencies*p.latency && float64(p.total) >= placesTotal*p.limit+placesLeast
	default:
		*p = places{limit: n, most: p.most, first: t, latency: p.latency}
	}
	p.accepted, p.since = 0, t
	p.extra, p.beyond = 1, 0
}

// remember begins with half of a limit that was learned.
func (p *places) remember(limit, t float64) {
	*p = places{limit: max(1, limit), known: true, since: t, extra: 1}
	p.back.half(t)
}

// restart begins again with one request, on the way back to what was known.
func (p *places) restart() {
	if !p.known {
		*p = places{}
		return
	}
	p.back.one()
}

// width is how many requests may be under way.
func (p *places) width(t float64) float64 {
	if p.back.under {
		return p.back.of(p.limit)
	}
	if p.accepted >= placesRequests && t-p.since >= placesSeconds {
		return p.limit + p.extra
	}
	return p.limit
}
