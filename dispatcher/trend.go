package dispatcher

import "time"

const (
	// A trend is told over the shortest time that has trendEnough outcomes, at
	// least trendShortest, so that it follows a rate that is still learned, and
	// at most trendLongest, for servers that answer a few prompts a minute.
	trendEnough   = 50
	trendShortest = 10 * time.Second
	trendLongest  = 10 * time.Minute
	trendStep     = time.Second
)

// trend tells from the outcomes so far how long the rest takes. Requests that
// were sent do not tell it: the first ones only fill the lane, and others are
// retries.
type trend struct{ seen []trendPoint }

type trendPoint struct {
	at       time.Time
	outcomes int
}

// left is how long a run of outcomes so far takes for the prompts that it still
// has open; 0 where nobody knows.
func (t *trend) left(now time.Time, outcomes int, open int64) time.Duration {
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
		return 0
	}
	return time.Duration(float64(elapsed) / float64(got) * float64(open))
}

// forget begins anew, such as after a hold.
func (t *trend) forget() { t.seen = nil }
