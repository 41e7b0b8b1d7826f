package bolt

import (
	"sync"

	"github.com/promptforge/promptforge/job"
)

// watches are the channels that Watch gave out, by job; "" is all jobs.
type watches struct {
	mu       sync.Mutex
	channels map[job.ID]map[chan struct{}]struct{}
}

// signals is what a transaction has to tell once it is committed.
type signals struct {
	jobs map[job.ID]struct{}
	any  bool // a job came, moved to another state or was settled
}

func (s *signals) job(id job.ID) {
	if s.jobs == nil {
		s.jobs = map[job.ID]struct{}{}
	}
	s.jobs[id] = struct{}{}
}

// Watch signals changes of a job, or with "" moves of all. When the store is
// closed every watcher is signalled once.
func (s *Store) Watch(id job.ID) (changed <-chan struct{}, stop func()) {
	w := &s.watches
	ch := make(chan struct{}, 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.channels == nil {
		w.channels = map[job.ID]map[chan struct{}]struct{}{}
	}
	if w.channels[id] == nil {
		w.channels[id] = map[chan struct{}]struct{}{}
	}
	w.channels[id][ch] = struct{}{}
	return ch, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.channels[id], ch)
		if len(w.channels[id]) == 0 {
			delete(w.channels, id)
		}
	}
}

func (w *watches) signal(s signals) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for id := range s.jobs {
		notify(w.channels[id])
	}
	if s.any {
		notify(w.channels[""])
	}
}

func (w *watches) signalAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, channels := range w.channels {
		notify(channels)
	}
}

func notify(channels map[chan struct{}]struct{}) {
	for ch := range channels {
		select {
		case ch <- struct{}{}:
		default: // a signal is pending already
		}
	}
}
