package dispatcher

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/promptforge/promptforge/job"
)

// LaneState is a lane as an operator sees it.
type LaneState struct {
	Lane     job.Lane
	Jobs     int
	InFlight int
	Pace     job.Pace // its EstimatedCompletionAt means nothing

	Hold      string    // outage, refused, used_up or day_cap; empty: not held
	NextProbe time.Time // zero: none is due

	Credentials   []CredentialState
	RequestsToday int // counted only where RequestsADay is not 0
	RequestsADay  int // the operator's cap; 0: none
}

// CredentialState is one credential of a lane's quota group.
type CredentialState struct {
	Name  string // of the variable or file that holds it; empty where none is wanted
	Aside bool   // it was refused while another works, and is tried again now and then
}

// Lanes lists the lanes that are at work or held, by name.
func (d *Dispatcher) Lanes(ctx context.Context) ([]LaneState, error) {
	var states []LaneState
	for _, r := range d.lanes() {
		var s LaneState
		if r.ask(ctx, func(now time.Time) { s = r.state(now) }) {
			states = append(states, s)
		}
	}
	return states, ctx.Err()
}

// ResumeLanes has the held lanes probed at once: those of a name
// (job.Lane.String), or all with "". It returns the lanes of that name as they
// were before; a lane that is not held, or that the operator's own cap of a day
// holds, has nothing to probe.
func (d *Dispatcher) ResumeLanes(ctx context.Context, name string) ([]LaneState, error) {
	var states []LaneState
	for _, r := range d.lanes() {
		if name != "" && r.key.String() != name {
			continue
		}
		var s LaneState
		if r.ask(ctx, func(now time.Time) {
			s = r.state(now)
			if r.lane.probeNow(now) {
				d.log.Info("a lane is probed at the operator's wish", "lane", r.key.String())
			}
		}) {
			states = append(states, s)
		}
	}
	return states, ctx.Err()
}

// lanes are the runners in the order of their names.
func (d *Dispatcher) lanes() []*laneRunner {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]*laneRunner, 0, len(d.runners))
	for _, r := range d.runners {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *laneRunner) int { return cmp.Compare(a.key.Key(), b.key.Key()) })
	return list
}

// ask runs an event and waits for it; false if the lane ended, or ctx.
func (r *laneRunner) ask(ctx context.Context, e event) bool {
	done := make(chan struct{})
	select {
	case r.events <- func(now time.Time) { e(now); close(done) }:
	case <-r.closed:
		return false
	case <-ctx.Done():
		return false
	}
	select {
	case <-done:
		return true
	case <-r.closed:
		return false
	case <-ctx.Done():
		return false
	}
}

func (r *laneRunner) state(now time.Time) LaneState {
	l := r.lane
	s := LaneState{
		Lane: r.key, Jobs: len(l.runs), InFlight: l.inFlight, Pace: *l.lanePace(now),
		RequestsADay: l.cfg.RPD,
	}
	if len(l.runs) == 0 {
		s.Pace.BoundBy = "" // what bound its last job binds nobody
	}
	if l.cfg.RPD > 0 {
		l.today.turn(now)
		s.RequestsToday = l.today.sent
	}
	if h := l.hold; h != nil {
		s.Hold = h.kind.String()
		if !h.probing && h.kind != dayCap {
			s.NextProbe = h.next
		}
	}
	// Where none works the hold says why: it may be the address or the model.
	working := l.keys.working()
	for i, e := range r.group {
		s.Credentials = append(s.Credentials, CredentialState{Name: e.KeyName, Aside: working && l.keys.keys[i].aside})
	}
	return s
}
