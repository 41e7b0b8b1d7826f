package simulator

import "time"

// sliding counts what was taken in the last minute, exactly: it remembers
// every taking until it is a minute old (32 bytes each).
type sliding struct {
	limit int
	used  int
	log   []taking // oldest first, from head
	head  int
}

type taking struct {
	at time.Time
	n  int
}

// advance forgets what is a minute old.
func (s *sliding) advance(now time.Time) {
	for s.head < len(s.log) && now.Sub(s.log[s.head].at) >= minute {
		s.used -= s.log[s.head].n
		s.head++
	}
	// Moved only when half is free, so that a taking is moved once on average.
	if s.head > len(s.log)/2 {
		s.log = s.log[:copy(s.log, s.log[s.head:])]
		s.head = 0
	}
}

func (s *sliding) wait(now time.Time, n int) time.Duration {
	s.advance(now)
	over := s.used + n - s.limit
	for i := s.head; over > 0; i++ {
		if over -= s.log[i].n; over <= 0 {
			return s.log[i].at.Add(minute).Sub(now)
		}
	}
	return 0
}

func (s *sliding) take(now time.Time, n int) {
	s.advance(now)
	// Order is what advance relies on.
	if last := len(s.log) - 1; last >= s.head && now.Before(s.log[last].at) {
		now = s.log[last].at
	}
	s.log = append(s.log, taking{now, n})
	s.used += n
}

func (s *sliding) remaining(now time.Time) int {
	s.advance(now)
	return s.limit - s.used
}

func (s *sliding) reset(now time.Time) time.Duration {
	s.advance(now)
	if s.head == len(s.log) {
		return 0
	}
	return s.log[len(s.log)-1].at.Add(minute).Sub(now)
}
