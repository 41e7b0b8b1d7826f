package dispatcher

import (
	"math"
	"time"
)

const (
	// A trend is told over the shortest time that has trendEnough outcomes, at
	// least trendShortest, so that it follows a rate that is still learned, and
	// at most trendLongest, for servers that answer a few prompts a minute.
	trendEnough   = 50
	trendShortest = 10 * time.Second
	trendLongest  = 10 * time.Minute
	trendStep     = time.Second

	// Its time is cut into so many pieces, whose rates tell how much it varies.
	trendPieces = 10
	// With fewer pieces than that they tell nothing, and outcomes are taken to
	// come at random.
	trendFewest = 4
	// trendErrors is how many standard errors of the rate an interval reaches
	// to either side: about 19 of 20 times the mean rate lies within two.
	trendErrors = 2
	// A rate that may as well be nearly nothing bounds no time; the slowest
	// that is reckoned with is this share of the mean.
	trendSlowest = 0.1
)

// trend tells from the outcomes so far how long the rest takes. Requests that
// were sent do not tell it: the first ones only fill the lane, and others are
// retries.
type trend struct {
	seen     []trendPoint
	outcomes int       // at the last look
	rose     time.Time // when they were last more than before
}

type trendPoint struct {
	at       time.Time
	outcomes int
}

// forecast is how long the rest takes: about, at the least and at the most.
// The zero forecast means that nobody knows.
type forecast struct{ about, least, most time.Duration }

// left is how long a run of outcomes so far takes for the prompts that it still
// has open. cap is the most outcomes a minute that the rest can have, 0 for no
// bound: what came faster was a beginning.
func (t *trend) left(now time.Time, outcomes int, open int64, cap float64) forecast {
	if outcomes != t.outcomes {
		t.outcomes, t.rose = outcomes, now
	}
	if n := len(t.seen); n == 0 || now.Sub(t.seen[n-1].at) >= trendStep {
		t.seen = append(t.seen, trendPoint{now, outcomes})
	}
	for len(t.seen) > 1 {
		next := t.seen[1]
		enough := now.Sub(next.at) >= trendShortest && outcomes-next.outcomes >= trendEnough
		if !enough && now.Sub(next.at) < trendLongest {
			break
		}
		t.seen = t.seen[1:]
	}
	first := t.seen[0]
	elapsed, got := now.Sub(first.at), outcomes-first.outcomes
	if got <= 0 || elapsed < trendStep || open <= 0 {
		return forecast{}
	}
	rate := float64(got) / elapsed.Seconds()
	off := trendErrors * t.spread(trendPoint{now, outcomes}, rate)
	most := math.Inf(1)
	if cap > 0 {
		most = cap / 60
	}
	takes := func(rate float64) time.Duration {
		return time.Duration(float64(open) / min(rate, most) * float64(time.Second))
	}
	return forecast{about: takes(rate), least: takes(rate * (1 + off)), most: takes(rate * max(trendSlowest, 1-off))}
}

// refuted tells whether nothing came for longer than all the rest was to take:
// the last ones wait for something that the others did not.
func (t *trend) refuted(now time.Time, f forecast) bool { return now.Sub(t.rose) > f.most }

// spread is the standard error of the mean rate, as a share of it.
func (t *trend) spread(last trendPoint, rate float64) float64 {
	got := float64(last.outcomes - t.seen[0].outcomes)
	pieces := min(trendPieces, len(t.seen)-1)
	if pieces < trendFewest {
		return 1 / math.Sqrt(got)
	}
	points := append(t.seen[:len(t.seen):len(t.seen)], last)
	sum := 0.0
	from := points[0]
	for i := 1; i <= pieces; i++ {
		to := points[i*(len(points)-1)/pieces]
		off := float64(to.outcomes-from.outcomes)/to.at.Sub(from.at).Seconds() - rate
		sum += off * off
		from = to
	}
	variance := sum / float64(pieces-1)
	// No count is known better than to one outcome.
	return max(math.Sqrt(variance/float64(pieces))/rate, 1/got)
}

// forget begins anew, such as after a hold.
func (t *trend) forget() { *t = trend{} }
