package simulator

import (
	"sync"
	"sync/atomic"
	"time"
)

// ledger counts what the server saw. Totals are atomic; prompts are spread
// over shards, each with its lock and map. A prompt costs 32 bytes in its map,
// 40 to 75 with the map's own room: a million stay below 100 MB.
type ledger struct {
	by [len(dialects)]counters

	inFlight, maxInFlight atomic.Int64
	first, last           atomic.Int64 // nanoseconds since 1970; 0 for never

	prompts, repeated, maxAnswers atomic.Int64

	shards [256]shard // by the key's first byte
}

// counters are how the requests of one dialect ended.
type counters struct {
	requests, answered, limited, errors, resets, hangs, garbage, aborted atomic.Int64
}

func (c *counters) reset() {
	for _, n := range []*atomic.Int64{&c.requests, &c.answered, &c.limited, &c.errors, &c.resets, &c.hangs, &c.garbage, &c.aborted} {
		n.Store(0)
	}
}

type shard struct {
	mu sync.Mutex
	m  map[key]tally
	_  [48]byte // a cache line to itself
}

// tally is what is known of one prompt.
type tally struct {
	requests, answered, limited uint32
	attempts                    uint32 // admitted requests
}

// arrive counts a request from its first moment, for the dialect at that place.
func (l *ledger) arrive(now time.Time, place int) {
	l.by[place].requests.Add(1)
	raise(&l.maxInFlight, l.inFlight.Add(1))
	at := now.UnixNano()
	if l.first.Load() == 0 {
		l.first.CompareAndSwap(0, at)
	}
	raise(&l.last, at)
}

func (l *ledger) leave() { l.inFlight.Add(-1) }

// attempt counts a request for k that was admitted, and returns how many were
// before it.
func (l *ledger) attempt(k key) (before uint32) {
	l.update(k, func(t *tally) {
		before = t.attempts
		t.requests++
		t.attempts++
	})
	return before
}

// refuse counts a request for k that was not admitted.
func (l *ledger) refuse(k key) {
	l.update(k, func(t *tally) { t.requests++ })
}

// limit counts a 429 for the rate; its request is counted elsewhere.
func (l *ledger) limit(k key, place int) {
	l.by[place].limited.Add(1)
	l.update(k, func(t *tally) { t.limited++ })
}

// answer counts a complete answer to k.
func (l *ledger) answer(k key, place int) {
	l.by[place].answered.Add(1)
	var n uint32
	l.update(k, func(t *tally) {
		t.answered++
		n = t.answered
	})
	if n == 2 {
		l.repeated.Add(1)
	}
	raise(&l.maxAnswers, int64(n))
}

func (l *ledger) update(k key, change func(*tally)) {
	s := &l.shards[k[0]]
	s.mu.Lock()
	defer s.mu.Unlock()
	t, known := s.m[k]
	if !known {
		l.prompts.Add(1)
		if s.m == nil {
			s.m = make(map[key]tally)
		}
	}
	change(&t)
	s.m[k] = t
}

func (l *ledger) tally(k key) tally {
	s := &l.shards[k[0]]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[k]
}

// reset zeroes everything but what is in flight, which is counted on: take it
// at rest, or the requests then open count as answered but not as asked.
func (l *ledger) reset() {
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		s.m = nil
		s.mu.Unlock()
	}
	for i := range l.by {
		l.by[i].reset()
	}
	for _, n := range []*atomic.Int64{&l.first, &l.last, &l.prompts, &l.repeated, &l.maxAnswers} {
		n.Store(0)
	}
	l.maxInFlight.Store(l.inFlight.Load())
}

// raise sets n to at least v.
func raise(n *atomic.Int64, v int64) {
	for old := n.Load(); old < v; old = n.Load() {
		if n.CompareAndSwap(old, v) {
			return
		}
	}
}
