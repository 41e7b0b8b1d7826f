package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// api is a server as its clients see it.
type api struct {
	base string
	key  string
	http *http.Client
}

// apiError is what a server refused, in its own words.
type apiError struct {
	status int
	detail string
}

func (e *apiError) Error() string { return e.detail }

// unreachable tells that no server answered, which may pass.
type unreachable struct{ sentence string }

func (e *unreachable) Error() string { return e.sentence }

// mayPass tells whether repeating a request is worth it.
func mayPass(err error) bool {
	var refused *apiError
	if errors.As(err, &refused) {
		return refused.status >= 500 || refused.status == http.StatusTooManyRequests
	}
	var away *unreachable
	return errors.As(err, &away)
}

func newAPI(base, key string) *api {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	// A refusal comes before the upload, not after it.
	transport.ExpectContinueTimeout = 5 * time.Second
	transport.ResponseHeaderTimeout = 0 // the answer to an upload comes when it is checked
	return &api{base: strings.TrimRight(base, "/"), key: key, http: &http.Client{
		Transport: transport,
		// A redirect would take the key somewhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// send sends a request and returns the answer if it is a success.
func (a *api) send(req *http.Request) (*http.Response, error) {
	req.Header.Set("User-Agent", "promptforge/"+version)
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, a.failed(req, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, refusal(req, resp)
}

func (a *api) failed(req *http.Request, err error) error {
	if req.Context().Err() != nil {
		return context.Cause(req.Context())
	}
	// The URL may be signed: only its origin is said.
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	origin := req.URL.Scheme + "://" + req.URL.Host
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return &unreachable{fmt.Sprintf("no server answers at %s (%s); start one with promptforge serve, or set PROMPTFORGE_URL", origin, op.Err)}
	}
	if why := misdirected(err); why != "" {
		return fmt.Errorf("%s %s", origin, why)
	}
	return &unreachable{fmt.Sprintf("the connection to %s broke: %s", origin, err)}
}

// misdirected says why an address will never answer as a server of ours; ""
// where it may. The standard library has no types for the first two.
func misdirected(err error) string {
	var untrusted *tls.CertificateVerificationError
	switch text := err.Error(); {
	case strings.Contains(text, "malformed HTTP response"):
		return "does not speak HTTP; if it is the server's gRPC port, give the one for REST, which serve shows when it starts (8080 unless it was set)"
	case strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return "does not speak TLS; begin the URL with http://"
	case errors.As(err, &untrusted):
		return "has a certificate that is not trusted here (" + untrusted.Err.Error() + ")"
	}
	return ""
}

func refusal(req *http.Request, resp *http.Response) error {
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // whatever came is used
	var said struct {
		Detail string `json:"detail"`
	}
	switch {
	case req.Method == http.MethodHead: // has no body
		said.Detail = "the server answered " + resp.Status
	case json.Unmarshal(body, &said) != nil || said.Detail == "":
		said.Detail = notOurs(req) + " (it answered " + resp.Status + ")"
	}
	return &apiError{status: resp.StatusCode, detail: said.Detail}
}

// notOurs says that something answered, and what it sent is not our API.
func notOurs(req *http.Request) string {
	return fmt.Sprintf("what listens at %s://%s is no PromptForge server; set PROMPTFORGE_URL or --url to one", req.URL.Scheme, req.URL.Host)
}

// request makes a request with the API key.
func (a *api) request(ctx context.Context, method, path string, query url.Values, body any) (*http.Request, error) {
	if a.key == "" {
		return nil, errors.New("PROMPTFORGE_API_KEY is not set; on the server's machine promptforge keys create CLIENT makes a key")
	}
	var sent io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		sent = bytes.NewReader(text)
	}
	target := a.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, sent)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-API-Key", a.key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// call sends a request and returns the body of the answer, read into out
// unless that is nil. Requests that change nothing, or that the server knows
// again, are repeated when no answer comes.
func (a *api) call(ctx context.Context, method, path string, query url.Values, body, out any, header ...string) ([]byte, error) {
	for wait := 200 * time.Millisecond; ; wait *= 2 {
		req, err := a.request(ctx, method, path, query, body)
		if err != nil {
			return nil, err
		}
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		text, err := a.answer(req, out)
		repeatable := method == http.MethodGet || req.Header.Get("Idempotency-Key") != ""
		if err == nil || !repeatable || !mayPass(err) || wait > time.Second {
			return text, err
		}
		if err := pause(ctx, wait); err != nil {
			return nil, err
		}
	}
}

func (a *api) answer(req *http.Request, out any) ([]byte, error) {
	resp, err := a.send(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, a.failed(req, err)
	}
	if out == nil {
		return text, nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return nil, errors.New(notOurs(req))
	}
	return text, nil
}

// pause waits, unless ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wireJob is as much of a whole job as a person wants to know.
type wireJob struct {
	JobID          string  `json:"job_id"`
	Status         string  `json:"status"`
	Provider       string  `json:"provider"`
	Model          string  `json:"model"`
	PromptCount    *int64  `json:"prompt_count"`
	CompletedCount *int64  `json:"completed_count"`
	FailedCount    *int64  `json:"failed_count"`
	CreatedAt      *string `json:"created_at"`
	StartedAt      *string `json:"started_processing_at"`
	CompletedAt    *string `json:"completed_at"`

	FailureReason     *string           `json:"failure_reason"`
	HoldReason        *string           `json:"hold_reason"`
	HeldSince         *string           `json:"held_since"`
	HeldUntil         *string           `json:"held_until"`
	SettledAt         *string           `json:"settled_at"`
	MaxRetries        *int64            `json:"max_retries"`
	RPM               *int64            `json:"rpm"`
	TPM               *int64            `json:"tpm"`
	TokensUsed        *int64            `json:"tokens_used"`
	RequestsSent      *int64            `json:"requests_sent"`
	PossiblyRepaid    *int64            `json:"possibly_repaid"`
	CurrentRPM        *int64            `json:"current_rpm"`
	BoundBy           *string           `json:"bound_by"`
	EstimatedFinish   *string           `json:"estimated_completion_at"`
	EstimatedEarliest *string           `json:"estimated_completion_earliest"`
	EstimatedLatest   *string           `json:"estimated_completion_latest"`
	ContinueFrom      *string           `json:"continue_from"`
	Metadata          map[string]string `json:"metadata"`
	WebhookURL        *string           `json:"webhook_url"`
	WebhookState      *string           `json:"webhook_state"`
	WebhookAttempts   int64             `json:"webhook_attempts"`
	WebhookError      *string           `json:"webhook_error"`
}

// job asks for the whole job.
func (a *api) job(ctx context.Context, id string) (*wireJob, []byte, error) {
	j := &wireJob{}
	text, err := a.call(ctx, http.MethodGet, jobPath(id), nil, nil, j)
	return j, text, err
}

func jobPath(id string) string { return "/v1/jobs/" + url.PathEscape(id) }

// or is what a pointer points to, or the zero value.
func or[T any](v *T) T {
	if v == nil {
		var zero T
		return zero
	}
	return *v
}
