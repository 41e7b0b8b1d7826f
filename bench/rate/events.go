package rate

import (
	"math/bits"
	"slices"
	"time"
)

type eventKind uint8

const (
	atServer   eventKind = iota // a request reaches the provider
	atClient                    // its answer reaches the rule
	finished                    // a shared server may have finished one
	tenantSent                  // the second tenant's request reaches the provider
	changed                     // the limit changes
	ripe                        // a refused prompt may be sent again
	sample                      // the rule is asked what binds it
)

// event is something due. Of two at one time the one that was added first
// comes first.
type event struct {
	at   time.Duration
	seq  uint32
	slot int32
	kind eventKind
	next int32 // the event of the same day that was added before, plus 1; 0: none
}

func (a *event) before(b *event) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }

// A calendar has so many days of 2 ms, which is 17 s: all answers but the
// slowest fit, and a day has few events even at 30,000 requests a minute.
const (
	dayBits  = 21 // of a time in nanoseconds
	yearDays = 8192
)

// events is a calendar queue: adding one and taking the next costs the same
// however many there are. What is due beyond a year waits in a heap.
type events struct {
	seq   uint32
	today int64    // what is due until its end is in open
	open  []event  // the last is due first
	days  []int32  // the event of a day that was added last, plus 1; 0: none
	taken []uint64 // a bit for each of days
	pool  []event
	free  int32 // an event of pool that is not used, plus 1; 0: none
	later []event
}

func (q *events) reset() {
	if q.days == nil {
		q.days, q.taken = make([]int32, yearDays), make([]uint64, yearDays/64)
	}
	clear(q.days)
	clear(q.taken)
	q.seq, q.today, q.free = 0, 0, 0
	q.open, q.pool, q.later = q.open[:0], q.pool[:0], q.later[:0]
}

// add notes what is due at a time that is not before the last that was popped,
// nor before an until for which nothing was.
func (q *events) add(at time.Duration, kind eventKind, slot int) {
	q.seq++
	e := event{at: at, seq: q.seq, kind: kind, slot: int32(slot)}
	day := int64(at >> dayBits)
	switch {
	case day <= q.today:
		q.insert(e)
	case day-q.today >= yearDays:
		q.pushLater(e)
	default:
		at := day % yearDays
		e.next = q.days[at]
		n := q.free
		if n > 0 {
			q.free = q.pool[n-1].next
			q.pool[n-1] = e
		} else {
			q.pool = append(q.pool, e)
			n = int32(len(q.pool))
		}
		q.days[at] = n
		q.taken[at/64] |= 1 << (at % 64)
	}
}

// insert puts an event among those of today.
func (q *events) insert(e event) {
	q.open = append(q.open, e)
	i := len(q.open) - 1
	for ; i > 0 && q.open[i-1].before(&e); i-- {
		q.open[i] = q.open[i-1]
	}
	q.open[i] = e
}

// pop takes the first event that is due at until or before; ok is false when
// there is none.
func (q *events) pop(until time.Duration) (e event, ok bool) {
	for len(q.open) == 0 {
		if !q.turn(int64(until >> dayBits)) {
			return e, false
		}
	}
	last := len(q.open) - 1
	if q.open[last].at > until {
		return e, false
	}
	e = q.open[last]
	q.open = q.open[:last]
	return e, true
}

// turn goes on to the next day that has an event, but not beyond the last.
func (q *events) turn(last int64) bool {
	day := q.nextDay(last)
	if len(q.later) > 0 {
		day = min(day, int64(q.later[0].at>>dayBits))
	}
	if day > last {
		return false
	}
	q.today = day
	at := day % yearDays
	n := q.days[at]
	if n > 0 {
		q.days[at] = 0
		q.taken[at/64] &^= 1 << (at % 64)
	}
	const few = 16
	for count := 0; n > 0; count++ {
		e := &q.pool[n-1]
		if count < few {
			q.insert(*e)
		} else {
			q.open = append(q.open, *e)
		}
		next := e.next
		e.next, q.free = q.free, n
		n = next
	}
	if len(q.open) > few {
		slices.SortFunc(q.open, func(a, b event) int {
			if a.before(&b) {
				return 1
			}
			return -1
		})
	}
	for len(q.later) > 0 && int64(q.later[0].at>>dayBits) <= day {
		q.insert(q.popLater())
	}
	return true
}

// nextDay is the first day after today that has an event and fits a year, or
// one beyond last.
func (q *events) nextDay(last int64) int64 {
	for day := q.today + 1; day <= min(last, q.today+yearDays-1); {
		at := day % yearDays
		if word := q.taken[at/64] >> (at % 64); word != 0 {
			return day + int64(bits.TrailingZeros64(word))
		}
		day += 64 - at%64
	}
	return last + 1
}

// pushLater and popLater keep a heap of four children a node, which costs fewer
// cache misses than one of two.
func (q *events) pushLater(e event) {
	q.later = append(q.later, e)
	i := len(q.later) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&q.later[parent]) {
			break
		}
		q.later[i] = q.later[parent]
		i = parent
	}
	q.later[i] = e
}

func (q *events) popLater() event {
	first := q.later[0]
	n := len(q.later) - 1
	last := q.later[n]
	q.later = q.later[:n]
	i := 0
	for {
		child := 4*i + 1
		if child >= n {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, n); c++ {
			if q.later[c].before(&q.later[least]) {
				least = c
			}
		}
		if !q.later[least].before(&last) {
			break
		}
		q.later[i] = q.later[least]
		i = least
	}
	if n > 0 {
		q.later[i] = last
	}
	return first
}
