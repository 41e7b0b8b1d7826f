package rate

import (
	"container/heap"
	"math"
	"time"
)

// sharing is a server that refuses nothing: up to places requests each run a
// little slower the more there are, beyond that they share what places get.
// Work is measured in seconds that a request would take alone.
type sharing struct {
	places int
	slope  float64

	done float64 // work done by each that was there from the beginning
	at   time.Duration
	jobs sharedJobs
}

// sharedJob is a request that ends when done reaches until.
type sharedJob struct {
	until float64
	slot  int
}

type sharedJobs []sharedJob

func (j sharedJobs) Len() int { return len(j) }
func (j sharedJobs) Less(a, b int) bool {
	return j[a].until < j[b].until || j[a].until == j[b].until && j[a].slot < j[b].slot
}
func (j sharedJobs) Swap(a, b int) { j[a], j[b] = j[b], j[a] }
func (j *sharedJobs) Push(x any)   { *j = append(*j, x.(sharedJob)) }
func (j *sharedJobs) Pop() any {
	old := *j
	last := old[len(old)-1]
	*j = old[:len(old)-1]
	return last
}

// speed is how fast each of n runs, as a share of one that is alone.
func (s *sharing) speed(n int) float64 {
	places := float64(s.places)
	full := min(float64(n), places)
	return min(1, places/float64(n)) / (1 + s.slope*full/places)
}

func (s *sharing) advance(now time.Duration) {
	if len(s.jobs) > 0 {
		s.done += (now - s.at).Seconds() * s.speed(len(s.jobs))
	}
	s.at = now
}

// add begins a request that would take work alone.
func (s *sharing) add(now time.Duration, work float64, slot int) {
	s.advance(now)
	heap.Push(&s.jobs, sharedJob{s.done + work, slot})
}

// next is when the next request is finished if none comes; ok is false when
// there is none.
func (s *sharing) next() (at time.Duration, ok bool) {
	if len(s.jobs) == 0 {
		return 0, false
	}
	left := max(0, (s.jobs[0].until-s.done)/s.speed(len(s.jobs)))
	return s.at + time.Duration(math.Ceil(left*1e9)), true
}

// finish returns the request that is finished by now, if one is.
func (s *sharing) finish(now time.Duration) (slot int, ok bool) {
	s.advance(now)
	if len(s.jobs) == 0 || s.jobs[0].until > s.done+1e-9 {
		return 0, false
	}
	return heap.Pop(&s.jobs).(sharedJob).slot, true
}
