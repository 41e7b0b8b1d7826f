package dispatcher

import (
	"sync/atomic"
	"time"
)

// slotPoll is when a lane looks again for a slot that another lane holds.
const slotPoll = 10 * time.Millisecond

// slots bounds the requests at once over all lanes.
type slots struct {
	most    int64
	taken   atomic.Int64
	waiting atomic.Int64 // lanes that found none
}

// seat is what one lane has of the slots. Its lane's goroutine uses it.
type seat struct {
	held  int64
	waits bool
}

// take takes a slot. While another lane waits, a lane that has its even part
// takes no more, so that the one that frees slots most often does not keep them.
func (s *slots) take(x *seat) bool {
	others := s.waiting.Load()
	if x.waits {
		others--
	}
	if others > 0 && x.held >= max(1, s.most/(others+1)) {
		return false
	}
	if s.taken.Add(1) > s.most {
		s.taken.Add(-1)
		if !x.waits {
			x.waits = true
			s.waiting.Add(1)
		}
		return false
	}
	x.held++
	s.leave(x)
	return true
}

// leave says that the lane waits for no slot.
func (s *slots) leave(x *seat) {
	if x.waits {
		x.waits = false
		s.waiting.Add(-1)
	}
}

func (s *slots) free(x *seat) {
	x.held--
	s.taken.Add(-1)
}
