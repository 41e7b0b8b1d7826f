package rate

import (
	"container/heap"
	"time"
)

// places counts the requests under way for the rules that limit them. A place
// whose request was refused stays taken as long as retry-after says, or half a
// second, as the usual client waits before it sends again.
type places struct {
	taken   int
	waiting waits
}

const retryPause = 500 * time.Millisecond

// permit tells whether one of limit places is free, or when one is.
func (p *places) permit(now time.Time, limit float64) (bool, time.Time) {
	for len(p.waiting) > 0 && !p.waiting[0].After(now) {
		heap.Pop(&p.waiting)
		p.taken--
	}
	if float64(p.taken+1) <= limit {
		return true, time.Time{}
	}
	if len(p.waiting) > 0 {
		return false, p.waiting[0]
	}
	return false, time.Time{}
}

// answered frees the place, at once or later.
func (p *places) answered(now time.Time, a Answer) {
	if a.Status == 429 {
		heap.Push(&p.waiting, now.Add(max(retryPause, a.RetryAfter)))
		return
	}
	p.taken--
}

type waits []time.Time

func (w waits) Len() int           { return len(w) }
func (w waits) Less(a, b int) bool { return w[a].Before(w[b]) }
func (w waits) Swap(a, b int)      { w[a], w[b] = w[b], w[a] }
func (w *waits) Push(x any)        { *w = append(*w, x.(time.Time)) }
func (w *waits) Pop() any {
	old := *w
	last := old[len(old)-1]
	*w = old[:len(old)-1]
	return last
}
