package rate

import (
	"sort"
	"time"
)

// fixed counts in minutes of a clock of its own. A refusal that counts is
// forgotten with its minute, so it makes no difference.
type fixed struct {
	limit float64
	edge  time.Duration // the end of the minute that used belongs to
	used  float64
}

// newFixed makes a window whose first edge comes at phase, at most a minute.
func newFixed(perMinute float64, phase time.Duration) *fixed {
	return &fixed{limit: perMinute, edge: phase}
}

func (f *fixed) advance(now time.Duration) {
	if now >= f.edge {
		f.edge += minute * (1 + (now-f.edge)/minute)
		f.used = 0
	}
}

func (f *fixed) setLimit(now time.Duration, perMinute float64) {
	f.advance(now)
	f.limit = perMinute
}

func (f *fixed) take(now time.Duration, n float64) time.Duration {
	f.advance(now)
	if f.used+n > f.limit+grain {
		return f.edge - now
	}
	f.used += n
	return 0
}

func (f *fixed) charge(now time.Duration, n float64) {
	f.advance(now)
	f.used += n
}

func (f *fixed) state(now time.Duration) (float64, time.Duration) {
	f.advance(now)
	return f.limit - f.used, f.edge - now
}

// sliding counts what was taken in the last 60 s. A refusal that counts is
// taken too, until twice the limit is.
type sliding struct {
	limit   float64
	counted bool
	log     []taking // oldest first, from head
	head    int
	taken   float64 // all that was ever taken
	gone    float64 // what of it is a minute old
}

type taking struct {
	at    time.Duration
	taken float64 // all that was ever taken, this included
}

func newSliding(perMinute float64, counted bool) *sliding {
	return &sliding{limit: perMinute, counted: counted}
}

func (s *sliding) advance(now time.Duration) {
	for s.head < len(s.log) && now-s.log[s.head].at >= minute {
		s.gone = s.log[s.head].taken
		s.head++
	}
	if s.head > len(s.log)/2 {
		s.log = s.log[:copy(s.log, s.log[s.head:])]
		s.head = 0
	}
}

func (s *sliding) setLimit(now time.Duration, perMinute float64) {
	s.advance(now)
	s.limit = perMinute
}

func (s *sliding) take(now time.Duration, n float64) time.Duration {
	s.advance(now)
	used := s.taken - s.gone
	if used+n <= s.limit+grain {
		s.charge(now, n)
		return 0
	}
	if s.counted && used+n <= 2*s.limit {
		s.charge(now, n)
	}
	return s.wait(now, n)
}

// wait is how long until enough is a minute old for n to pass.
func (s *sliding) wait(now time.Duration, n float64) time.Duration {
	must := s.taken + n - s.limit - grain // so much must be a minute old
	if must <= s.gone {
		return 0
	}
	log := s.log[s.head:]
	i := sort.Search(len(log), func(i int) bool { return log[i].taken >= must })
	if i == len(log) {
		return minute // n is more than the limit
	}
	return log[i].at + minute - now
}

func (s *sliding) charge(now time.Duration, n float64) {
	s.taken += n
	s.log = append(s.log, taking{now, s.taken})
}

func (s *sliding) state(now time.Duration) (float64, time.Duration) {
	s.advance(now)
	return s.limit - (s.taken - s.gone), s.wait(now, 1)
}
