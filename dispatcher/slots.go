package dispatcher

import (
	"sync/atomic"
	"time"
)

// slotPoll is when a lane looks again for a slot that another lane holds.
const slotPoll = 10 * time.Millisecond

// slots bounds the requests at once over all lanes.
type slots struct {
	most  int64
	taken atomic.Int64
}

func (s *slots) take() bool {
	if s.taken.Add(1) > s.most {
		s.taken.Add(-1)
		return false
	}
	return true
}

func (s *slots) free() { s.taken.Add(-1) }
