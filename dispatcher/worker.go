package dispatcher

import (
	"errors"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/job"
)

// worker sends one item after another, each as soon as the lane hands it over.
func (r *laneRunner) worker(it *item) {
	var parser job.Parser
	for {
		r.one(&parser, it)
		select {
		case it = <-r.work:
		case <-r.closed:
			return
		}
	}
}

// one sends an item and posts what became of it.
func (r *laneRunner) one(parser *job.Parser, it *item) {
	p, err := parser.Parse(it.raw, it.line)
	if err != nil {
		r.unreadable(it, err)
		return
	}
	a, sent := r.client.Send(r.d.hard, p)
	if r.d.hard.Err() != nil && a.Class != provider.Done {
		r.post(func(time.Time) {
			r.lane.abandoned(it)
			r.d.gaveUp.Add(1)
			r.d.commit.touch(r, it.run)
		})
		return
	}
	var outcome *job.Outcome
	if a.Class == provider.Done {
		outcome = a.Result(p, it.attempts+1)
	}
	r.post(func(now time.Time) { r.lane.answered(now, it, &a, p, sent, outcome) })
}

// unreadable ends a line that was usable when it was uploaded and is not any
// more: another version of this program checked it by other rules.
func (r *laneRunner) unreadable(it *item, err error) {
	p := &job.Prompt{Line: it.line}
	a := provider.Answer{Class: provider.Terminal, Code: job.CodeInvalidLine, Message: err.Error()}
	var line *job.LineError
	if errors.As(err, &line) {
		p.ID = line.ID
	}
	r.post(func(now time.Time) { r.lane.answered(now, it, &a, p, false, nil) })
}

func (r *laneRunner) canary() {
	a := r.client.Canary(r.d.hard)
	r.post(func(now time.Time) { r.lane.canaried(now, &a) })
}
