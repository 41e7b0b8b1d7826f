package dispatcher

import (
	"container/heap"
	"slices"
	"time"
)

// heldBackFor is how long a prompt waits at the most for others to tell.
const heldBackFor = time.Minute

// askLater puts an item with a broken answer back, to leave once another prompt
// that left after that answer was answered soundly, or where nobody is left to
// tell a canary (see vouch): what a proxy answered in the provider's place was
// perhaps billed, and all others may be answered alike.
func (l *lane) askLater(now time.Time, it *item) {
	if it.atFault {
		l.again(it, now)
		return
	}
	it.brokenAt, it.heldBack, l.anyHeldBack = l.left, true, true
	l.again(it, now.Add(heldBackFor))
}

// askNow lets those leave that are held back and may.
func (l *lane) askNow(now time.Time, may func(*item) bool) {
	if !l.anyHeldBack {
		return
	}
	l.anyHeldBack = false
	for _, r := range l.runs {
		moved := false
		for _, it := range r.retry {
			switch {
			case !it.heldBack:
			case may(it):
				it.heldBack, moved = false, true
				if it.notBefore.After(now) {
					it.notBefore = now
				}
			default:
				l.anyHeldBack = true
			}
		}
		if moved {
			heap.Init(&r.retry)
		}
	}
}

// asksLater tells whether a prompt with a broken answer is held back.
func (l *lane) asksLater() bool {
	return l.anyHeldBack && slices.ContainsFunc(l.runs, func(r *run) bool {
		return slices.ContainsFunc(r.retry, func(it *item) bool { return it.heldBack })
	})
}
