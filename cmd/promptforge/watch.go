package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// quietFor is how long a stream of events may say nothing: the server shows
// every 15 s that it is alive.
const quietFor = 45 * time.Second

type jobsWatchCmd struct {
	ID string `arg:"" help:"The job's id."`
	serverFlags
}

// Help is the long help.
func (c *jobsWatchCmd) Help() string {
	return `Exit code 0 when the job is COMPLETED, 1 when it is FAILED or CANCELLED. Ctrl-C stops watching, not the job. With --json every change is a line with the status object.

	promptforge jobs watch ID
`
}

// Run follows a job.
func (c *jobsWatchCmd) Run(p *program) error {
	a, err := c.api(p)
	if err != nil {
		return err
	}
	return (&watcher{p: p, api: a, id: c.ID, json: c.json()}).run()
}

// watcher follows a job by its events, and connects again when they break off.
type watcher struct {
	p    *program
	api  *api
	id   string
	json bool

	lastEvent string
	last      wireJob
	show      progress
	meter     meter
}

func (w *watcher) run() error {
	err := w.follow()
	if w.show != nil {
		w.show.end()
	}
	switch {
	case w.p.ctx.Err() != nil:
		fmt.Fprintf(w.p.stderr, "Stopped watching; the job goes on. Again: promptforge jobs watch %s\n", w.id)
		return &errExit{code: exitInterrupted}
	case err != nil:
		return err
	}
	return w.finish()
}

// follow returns when the job is settled. A server that is away for a while
// (it is being restarted, say) is waited for.
func (w *watcher) follow() error {
	wait := 200 * time.Millisecond
	for {
		seen := w.lastEvent
		settled, err := w.stream()
		switch {
		case settled:
			return nil
		case w.p.ctx.Err() != nil:
			return w.p.ctx.Err()
		case err != nil && (w.lastEvent == "" || !mayPass(err)):
			return err
		case err != nil && wait > 30*time.Second:
			return err
		}
		if w.lastEvent != seen {
			wait = 200 * time.Millisecond
		}
		if err := pause(w.p.ctx, wait); err != nil {
			return err
		}
		wait *= 2
	}
}

// stream reads one stream of events to its end. settled tells that nothing
// about the job changes any more.
func (w *watcher) stream() (settled bool, err error) {
	ctx, cancel := context.WithCancelCause(w.p.ctx)
	defer cancel(nil)
	quiet := time.AfterFunc(quietFor, func() { cancel(&unreachable{"the server says nothing any more"}) })
	defer quiet.Stop()

	req, err := w.api.request(ctx, http.MethodGet, jobPath(w.id)+"/events", nil, nil)
	if err != nil {
		return false, err
	}
	req.Header.Set("Accept", "text/event-stream")
	if w.lastEvent != "" {
		req.Header.Set("Last-Event-ID", w.lastEvent)
	}
	resp, err := w.api.send(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return true, nil
	}
	lines := bufio.NewReader(resp.Body)
	id := ""
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			// Settled, or a server that stops: asking again tells.
			return false, nil
		}
		if err != nil {
			return false, w.api.failed(req, err)
		}
		quiet.Reset(quietFor)
		field, value, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			id = value
		case "data":
			if err := w.event(id, []byte(value)); err != nil {
				return false, err
			}
		}
	}
}

func (w *watcher) event(id string, data []byte) error {
	var j wireJob
	if err := json.Unmarshal(data, &j); err != nil {
		return fmt.Errorf("the server sent an event that is no status: %w", err)
	}
	w.lastEvent, w.last = id, j
	if w.json {
		printJSON(w.p.stdout, bytes.TrimSpace(data))
		return nil
	}
	if w.show == nil {
		w.show = w.p.newProgress(w.detail)
	}
	w.show.update(w.snapshot())
	return nil
}

func (w *watcher) snapshot() snapshot {
	return snapshot{
		state: w.last.Status, total: or(w.last.PromptCount),
		done: or(w.last.CompletedCount) + or(w.last.FailedCount), failed: or(w.last.FailedCount),
	}
}

// detail asks for what the events do not tell. One goroutine calls it.
func (w *watcher) detail(s snapshot) snapshot {
	j, _, err := w.api.job(w.p.ctx, w.id)
	if err != nil {
		return s
	}
	s.boundBy, s.held, s.tokens = or(j.BoundBy), or(j.HoldReason), or(j.TokensUsed)
	s.heldSince, s.heldUntil = timeOf(j.HeldSince), timeOf(j.HeldUntil)
	if s.held != "" {
		w.meter.forget()
		return s
	}
	s.rate, s.cap = w.meter.rate(time.Now(), s.done), capped(s.boundBy, float64(or(j.RPM)), float64(or(j.CurrentRPM)))
	s.rest = rest{timeOf(j.EstimatedFinish), timeOf(j.EstimatedEarliest), timeOf(j.EstimatedLatest)}
	// A watcher that has just come knows no rate of outcomes yet. Before the
	// first one, what was sent is only what fits in at once.
	if rpm := or(j.CurrentRPM); rpm > 0 && s.rate == 0 && s.done > 0 {
		s.rate = float64(rpm)
	}
	return s
}

// timeOf reads a time of the server's; zero where it said none.
func timeOf(text *string) time.Time {
	t, _ := time.Parse(time.RFC3339, or(text)) // what is no time is as none
	return t
}

// finish says how the job ended.
func (w *watcher) finish() error {
	j, _, err := w.api.job(w.p.ctx, w.id)
	if err != nil {
		return err
	}
	if !w.json {
		fmt.Fprintln(w.p.stderr, ended(j))
	}
	if j.Status != "COMPLETED" {
		return &errExit{code: exitFailed}
	}
	return nil
}

func ended(j *wireJob) string {
	text := fmt.Sprintf("The job is %s: %s", j.Status, counts(j))
	if n := or(j.TokensUsed); n > 0 {
		text += ", " + plural(n, "token")
	}
	text += "."
	if reason := or(j.FailureReason); reason != "" {
		text += " " + reason
	}
	if n := or(j.PossiblyRepaid); n > 0 {
		text += repaid(n)
	}
	return text
}

// repaid tells of requests whose answer nobody knows. It is a bound: a crash
// leaves prompts in doubt that were about to be sent, too.
func repaid(n int64) string {
	return fmt.Sprintf(" At most %s may have been paid for twice, after a crash or a stop that gave them up.", plural(n, "request"))
}
