package rate

import (
	"math/rand/v2"
	"time"
)

// retryLoop is 64 workers that each send a prompt, and at a refusal wait and
// send it again, as the usual client libraries do: from half a second, doubled
// up to 8 s, up to a quarter less by chance, or as long as retry-after says; up
// to five times, then the prompt is given up.
type retryLoop struct {
	rng     *rand.Rand
	workers [retryWorkers]retryWorker
	busy    []int // the worker, by slot
}

type retryWorker struct {
	busy  bool
	ready time.Time
	tries int
}

const (
	retryWorkers  = 64
	retryFirst    = 500 * time.Millisecond
	retryLast     = 8 * time.Second
	retryTries    = 5
	retryObeyMost = time.Minute
)

func newRetryLoop(seed uint64) *retryLoop {
	return &retryLoop{rng: rand.New(rand.NewPCG(seed, 5))}
}

// first is the idle worker that is ready first; nil when all are busy.
func (l *retryLoop) first() (n int, ok bool) {
	for i := range l.workers {
		w := &l.workers[i]
		if !w.busy && (!ok || w.ready.Before(l.workers[n].ready)) {
			n, ok = i, true
		}
	}
	return n, ok
}

func (l *retryLoop) Permit(now time.Time, _ Request) (bool, time.Time) {
	n, ok := l.first()
	if !ok {
		return false, time.Time{}
	}
	return !now.Before(l.workers[n].ready), l.workers[n].ready
}

func (l *retryLoop) Sent(_ time.Time, r Request) {
	n, _ := l.first()
	for len(l.busy) <= r.Slot {
		l.busy = append(l.busy, 0)
	}
	l.busy[r.Slot] = n
	l.workers[n].busy = true
}

func (l *retryLoop) Answered(now time.Time, a Answer) {
	w := &l.workers[l.busy[a.Slot]]
	w.busy, w.ready = false, now
	if a.Status != 429 || w.tries >= retryTries {
		w.tries = 0
		return
	}
	wait := min(retryLast, retryFirst<<w.tries)
	wait -= time.Duration(l.rng.Int64N(int64(wait)/4 + 1))
	if a.RetryAfter > 0 && a.RetryAfter <= retryObeyMost {
		wait = a.RetryAfter
	}
	w.tries++
	w.ready = now.Add(wait)
}
