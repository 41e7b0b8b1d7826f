package rate

import "time"

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
	kind eventKind
	slot int32
}

// events is a heap of four children a node, which costs fewer cache misses
// than one of two.
type events struct {
	heap []event
	seq  uint32
}

func (q *events) reset() { q.heap, q.seq = q.heap[:0], 0 }

func (a event) before(b event) bool { return a.at < b.at || a.at == b.at && a.seq < b.seq }

func (q *events) add(at time.Duration, kind eventKind, slot int) {
	q.seq++
	e := event{at, q.seq, kind, int32(slot)}
	q.heap = append(q.heap, e)
	i := len(q.heap) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(q.heap[parent]) {
			break
		}
		q.heap[i] = q.heap[parent]
		i = parent
	}
	q.heap[i] = e
}

// next is when the first event is due; ok is false when there is none.
func (q *events) next() (at time.Duration, ok bool) {
	if len(q.heap) == 0 {
		return 0, false
	}
	return q.heap[0].at, true
}

func (q *events) pop() event {
	first := q.heap[0]
	n := len(q.heap) - 1
	last := q.heap[n]
	q.heap = q.heap[:n]
	if n == 0 {
		return first
	}
	i := 0
	for {
		child := 4*i + 1
		if child >= n {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, n); c++ {
			if q.heap[c].before(q.heap[least]) {
				least = c
			}
		}
		if !q.heap[least].before(last) {
			break
		}
		q.heap[i] = q.heap[least]
		i = least
	}
	q.heap[i] = last
	return first
}
