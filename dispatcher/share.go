package dispatcher

import "time"

// share is what one client takes of a lane. The client that has taken the
// fewest tokens goes next (start-time fair queueing), so that all get the same
// however large their jobs and prompts are.
type share struct {
	client string
	runs   []*run
	turn   int     // the run that goes next
	taken  float64 // tokens, counted from the lane's own zero
}

// ready returns the item that the client would send next, or when it can.
func (s *share) ready(now time.Time) (it *item, at time.Time) {
	for i := range s.runs {
		next, when := s.runs[(s.turn+i)%len(s.runs)].peek(now)
		if next != nil {
			return next, now
		}
		at = earliest(at, when)
	}
	return nil, at
}

type shares []*share

// join puts a run under its client. A client that comes new, or back, starts
// level with those that are there: nobody saves up a share by staying away.
func (ss *shares) join(r *run) {
	for _, s := range *ss {
		if s.client == r.client {
			s.runs = append(s.runs, r)
			return
		}
	}
	s := &share{client: r.client, runs: []*run{r}}
	for i, other := range *ss {
		if i == 0 || other.taken < s.taken {
			s.taken = other.taken
		}
	}
	*ss = append(*ss, s)
}

func (ss *shares) leave(r *run) {
	for i, s := range *ss {
		if s.client != r.client {
			continue
		}
		for k, other := range s.runs {
			if other == r {
				s.runs = append(s.runs[:k], s.runs[k+1:]...)
				break
			}
		}
		s.turn = 0
		if len(s.runs) == 0 {
			*ss = append((*ss)[:i], (*ss)[i+1:]...)
		}
		return
	}
}

// next returns the item that leaves next, or when one can. waiting counts the
// clients that have one ready.
func (ss shares) next(now time.Time) (it *item, from *share, waiting int, at time.Time) {
	for _, s := range ss {
		found, when := s.ready(now)
		if found == nil {
			at = earliest(at, when)
			continue
		}
		waiting++
		if from == nil || s.taken < from.taken {
			it, from = found, s
		}
	}
	if from == nil {
		return nil, nil, 0, at
	}
	// Whoever had nothing to send is brought level, so that an idle hour is
	// not paid out as a burst.
	level := from.taken
	for _, s := range ss {
		if s.taken < level {
			s.taken = level
		}
	}
	return it, from, waiting, now
}

// take books tokens on a run's client.
func (ss shares) take(r *run, tokens int) {
	for _, s := range ss {
		if s.client == r.client {
			s.taken += float64(tokens)
			return
		}
	}
}

// earliest is the earlier of two times of which the zero time is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
