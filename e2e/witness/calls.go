package witness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/promptforge/promptforge/e2e/judge"
	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
)

// lostError says that nobody knows what became of a request: the server died,
// or it said that it cannot take it now.
type lostError struct{ cause error }

func (e *lostError) Error() string { return "no answer: " + e.cause.Error() }
func (e *lostError) Unwrap() error { return e.cause }

func isLost(err error) bool {
	var lost *lostError
	return errors.As(err, &lost)
}

// reply is a whole answer.
type reply struct {
	status int
	header http.Header
	length int64 // Content-Length
	body   []byte
}

// do sends a request and reads the whole answer.
func (m *member) do(ctx context.Context, method, url, body string, header ...string) (*reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := m.crowd.http.Do(req)
	if err != nil {
		return nil, &lostError{err}
	}
	defer res.Body.Close()
	read, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, &lostError{err}
	}
	if res.StatusCode == http.StatusServiceUnavailable {
		return nil, &lostError{fmt.Errorf("%s", read)}
	}
	return &reply{res.StatusCode, res.Header, res.ContentLength, read}, nil
}

// call asks one of the service's methods.
func (m *member) call(ctx context.Context, method, path, body string, header ...string) (*reply, error) {
	return m.do(ctx, method, m.crowd.url+path, body, append(header, "X-API-Key", m.key)...)
}

// unexpected is an answer that no promise allows.
func unexpected(what string, r *reply) error {
	return fmt.Errorf("%s was answered %d %.300s", what, r.status, r.body)
}

// insist repeats a request until it is answered.
func insist(ctx context.Context, ask func() (*reply, error)) (*reply, error) {
	for {
		r, err := ask()
		if err == nil || !isLost(err) {
			return r, err
		}
		if !pause(ctx, tryAgain) {
			return nil, fmt.Errorf("%w; the last try: %w", context.Cause(ctx), err)
		}
	}
}

// created is init's answer.
type created struct {
	JobID     string `json:"job_id"`
	UploadURL string `json:"upload_url"`
}

// create inits a job. The idempotency key makes a repetition find it.
func (m *member) create(ctx context.Context, key, continues string) (c created, err error) {
	body := `{"provider":"openai","model":"gpt-4o-mini","metadata":{"of":"` + m.name + `"}}`
	if continues != "" {
		body = `{"provider":"openai","model":"gpt-4o-mini","continue_from":"` + continues + `"}`
	}
	r, err := insist(ctx, func() (*reply, error) {
		return m.call(ctx, "POST", "/v1/jobs/init", body, "Idempotency-Key", key)
	})
	if err != nil {
		return c, err
	}
	if r.status != http.StatusAccepted {
		return c, unexpected("init", r)
	}
	if err := json.Unmarshal(r.body, &c); err != nil {
		return c, err
	}
	m.crowd.History.Created(m.name, c.JobID, continues)
	m.crowd.ack("init")
	return c, nil
}

// upload sends a job's files as its plan says, each until it is answered.
func (m *member) upload(ctx context.Context, j *followed, url string) error {
	group, ctx := errgroup.WithContext(ctx)
	sent := []*plan{j.plan}
	if j.plan.twice {
		sent = append(sent, j.plan)
	}
	if j.plan.other != nil {
		sent = append(sent, j.plan.other)
	}
	h := m.crowd.History
	for _, p := range sent {
		h.Sending(j.id, p.file)
	}
	for _, p := range sent {
		group.Go(func() error {
			r, err := insist(ctx, func() (*reply, error) { return m.do(ctx, "PUT", url, p.body) })
			if err != nil {
				return err
			}
			switch r.status {
			case http.StatusOK:
				var answer struct {
					PromptCount int64 `json:"prompt_count"`
				}
				if err := json.Unmarshal(r.body, &answer); err != nil {
					return err
				}
				h.Uploaded(j.id, p.file, answer.PromptCount)
				m.crowd.ack("upload")
			case http.StatusConflict:
				h.Refused(j.id, p.file)
			case http.StatusNotFound, http.StatusForbidden:
				h.Missing(j.id)
			default:
				return unexpected("an upload", r)
			}
			return nil
		})
	}
	return group.Wait()
}

// state is what a client wants to know of a job.
type state int

const (
	open  state = iota // not final
	final              // and not settled
	settled
	gone
)

// look asks for the whole job.
func (m *member) look(ctx context.Context, id string) (state, error) {
	h := m.crowd.History
	asked := h.Now()
	r, err := m.call(ctx, "GET", "/v1/jobs/"+id, "")
	if err != nil {
		return open, err
	}
	if r.status == http.StatusNotFound {
		h.Missing(id)
		return gone, nil
	}
	if r.status != http.StatusOK {
		return open, unexpected("a question for a job", r)
	}
	h.Shown(asked, r.body)
	m.crowd.ack("status")
	var s struct {
		Status    string  `json:"status"`
		SettledAt *string `json:"settled_at"`
	}
	if err := json.Unmarshal(r.body, &s); err != nil {
		return open, err
	}
	switch {
	case s.SettledAt != nil:
		return settled, nil
	case s.Status == "COMPLETED" || s.Status == "FAILED" || s.Status == "CANCELLED":
		return final, nil
	}
	return open, nil
}

// list asks for all jobs of the client.
func (m *member) list(ctx context.Context) error {
	h := m.crowd.History
	asked := h.Now()
	r, err := m.call(ctx, "GET", "/v1/jobs?page_size=1000", "")
	if err != nil {
		return err
	}
	if r.status != http.StatusOK {
		return unexpected("a list", r)
	}
	var page struct {
		Jobs []json.RawMessage `json:"jobs"`
	}
	if err := json.Unmarshal(r.body, &page); err != nil {
		return err
	}
	h.Listed(asked, m.name, page.Jobs)
	return nil
}

// cancel asks once; the caller looks again, and asks again, if nobody answers.
func (m *member) cancel(ctx context.Context, id string) error {
	h := m.crowd.History
	h.Cancelling(id)
	r, err := m.call(ctx, "POST", "/v1/jobs/"+id+"/cancel", "")
	if err != nil {
		return err
	}
	switch r.status {
	case http.StatusOK:
		h.Cancelled(id)
		m.crowd.ack("cancel")
	case http.StatusConflict: // it ended by itself, or an earlier try did it
	default:
		return unexpected("a cancel", r)
	}
	return nil
}

// remove asks once for a deletion.
func (m *member) remove(ctx context.Context, id string) error {
	h := m.crowd.History
	h.Deleting(id)
	r, err := m.call(ctx, "DELETE", "/v1/jobs/"+id, "")
	if err != nil {
		return err
	}
	switch r.status {
	case http.StatusOK:
		h.Deleted(id)
		m.crowd.ack("delete")
	case http.StatusNotFound:
		h.Missing(id)
	default:
		return unexpected("a deletion", r)
	}
	return nil
}

// stream reads a job's outcomes from the first one until the job is settled or
// gone, over however many connections.
func (m *member) stream(ctx context.Context, id string, seen *atomic.Int64) error {
	c, err := m.dial()
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // its calls have ended
	h := m.crowd.History
	asked := h.Now()
	for o, err := range c.Results(ctx, id, 0) {
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case status.Code(err) == codes.NotFound:
			h.Missing(id)
			return nil
		default:
			return fmt.Errorf("the stream of job %s: %w", id, err)
		}
		told, err := outcomeOf(o)
		if err != nil {
			return err
		}
		h.Streamed(asked, id, told)
		seen.Store(told.Offset)
		m.crowd.given.Add(1)
		m.crowd.ack("outcome")
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	h.Ended(id, seen.Load())
	return nil
}

// outcomeOf is an outcome in the judge's words.
func outcomeOf(o *promptforgev1.Outcome) (judge.Outcome, error) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(o)
	out := judge.Outcome{Offset: o.GetOffset(), ID: "null", Raw: raw}
	switch v := o.GetPromptId().(type) {
	case *promptforgev1.Outcome_StringId:
		out.ID = quoted(v.StringId)
	case *promptforgev1.Outcome_Int64Id:
		out.ID = fmt.Sprint(v.Int64Id)
	}
	out.Result = o.GetResult().GetResult()
	out.Error = o.GetError().GetError()
	out.Line = int(o.GetError().GetLine())
	return out, err
}

// readFiles downloads all files of a job, finished or not. partial takes what
// is there of a job that is not COMPLETED.
func (m *member) readFiles(ctx context.Context, id string, lively bool) error {
	h := m.crowd.History
	asked := h.Now()
	r, err := m.call(ctx, "GET", "/v1/jobs/"+id+"/results?partial=true", "")
	if err != nil {
		return err
	}
	switch r.status {
	case http.StatusOK:
	case http.StatusConflict: // it awaits its upload
		return nil
	case http.StatusNotFound:
		h.Missing(id)
		return nil
	default:
		return unexpected("a question for results", r)
	}
	var list struct {
		Files []struct{ Filename, URL string }
	}
	if err := json.Unmarshal(r.body, &list); err != nil {
		return err
	}
	names := make([]string, len(list.Files))
	for i, f := range list.Files {
		names[i] = f.Filename
	}
	h.Files(asked, id, names)
	for _, f := range list.Files {
		asked := h.Now()
		r, err := m.do(ctx, "GET", f.URL, "")
		if err != nil && lively {
			return err
		}
		if err != nil {
			h.Broken(id, f.Filename, err.Error())
			continue
		}
		if r.status != http.StatusOK {
			if lively && (r.status == http.StatusNotFound || r.status == http.StatusForbidden) {
				return nil // it was deleted meanwhile; a last look tells
			}
			h.Broken(id, f.Filename, fmt.Sprint(r.status, " ", string(bytes.TrimSpace(r.body))))
			continue
		}
		h.Downloaded(asked, id, judge.Download{Name: f.Filename, ETag: r.header.Get("ETag"), Length: r.length, Body: r.body}, !lively)
	}
	return nil
}
