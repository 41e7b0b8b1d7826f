package rate

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// A calendar is as good as a list that is sorted whenever it is asked: whether
// few or many are due in a day, at once or in the next year.
func TestEventsComeInTheirOrder(t *testing.T) {
	var q events
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 0))
		q.reset()
		var now time.Duration
		var all []event
		spans := []time.Duration{1, time.Microsecond, 5 * time.Millisecond, time.Second, 17 * time.Second, 40 * time.Second, 10 * minute}
		span := func() time.Duration { return time.Duration(rng.Int64N(int64(spans[rng.IntN(len(spans))]))) }
		for n := range 1500 {
			for range rng.IntN(3) * rng.IntN(1+n%40) {
				at := now + span()
				q.add(at, atServer, len(all))
				all = append(all, event{at: at, seq: q.seq})
			}
			until := now + span()
			e, ok := q.pop(until)
			i := -1
			for k := range all {
				if all[k].at <= until && (i < 0 || all[k].before(&all[i])) {
					i = k
				}
			}
			if ok != (i >= 0) || ok && (e.at != all[i].at || e.seq != all[i].seq) {
				t.Fatalf("seed %d, step %d: the calendar has %+v (%v), the list %d of %d", seed, n, e, ok, i, len(all))
			}
			if now = until; ok {
				now = e.at
				all = slices.Delete(all, i, i+1)
			}
		}
	}
}
