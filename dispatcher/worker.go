package dispatcher

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/job"
)

// worker sends one item after another, each as soon as the lane hands it over,
// and ends when nothing comes for long.
func (r *laneRunner) worker(it *item) {
	var parser job.Parser
	idle := time.NewTimer(r.d.idle)
	defer idle.Stop()
	for {
		r.one(&parser, it)
		idle.Reset(r.d.idle)
		select {
		case it = <-r.work:
		case <-idle.C:
			return
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
	a, sent := r.send(it, p)
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

// send sends an item. A bug that one prompt or one answer brings out costs that
// prompt alone, and not the process.
func (r *laneRunner) send(it *item, p *job.Prompt) (a provider.Answer, sent bool) {
	defer func() {
		if v := recover(); v != nil {
			r.panicked(v)
			a = provider.Answer{Class: provider.Broken, Code: job.CodeBadResponse, Message: "The answer could not be read, because of a mistake in this program."}
			sent = true // perhaps
		}
	}()
	return it.client.Send(r.d.hard, p)
}

// panicked logs where a panic happened. What was panicked with is told only
// where Go itself made it: any other text may hold a prompt.
func (r *laneRunner) panicked(v any) {
	what := fmt.Sprintf("%T", v)
	var goError runtime.Error
	if err, ok := v.(error); ok && errors.As(err, &goError) {
		what = goError.Error()
	}
	r.d.log.Error("panic", "lane", r.key.String(), "panic", what, "stack", string(debug.Stack()))
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

func (r *laneRunner) canary(c *provider.Client) {
	a := func() (a provider.Answer) {
		defer func() {
			if v := recover(); v != nil {
				r.panicked(v)
				a = provider.Answer{Class: provider.Broken, Code: job.CodeBadResponse}
			}
		}()
		return c.Canary(r.d.hard)
	}()
	r.post(func(now time.Time) { r.lane.canaried(now, &a) })
}
