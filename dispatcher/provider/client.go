package provider

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/promptforge/promptforge/internal/failpoint"
	"github.com/promptforge/promptforge/job"
)

// MaxAnswerBytes bounds a provider's answer; a longer one counts as broken.
const MaxAnswerBytes = 16 << 20

const maxAnswerHeaderBytes = 1 << 20

// ClientConfig bounds a client.
type ClientConfig struct {
	InFlight int           // the most requests at once: so many idle connections are kept
	Timeout  time.Duration // for a whole request
	Model    string
}

// Client sends the prompts of one lane. Any number of goroutines use it.
type Client struct {
	endpoint Endpoint
	cfg      ClientConfig
	http     *http.Client
	header   http.Header
}

// NewClient makes a client with connections of its own.
func NewClient(e Endpoint, cfg ClientConfig) *Client {
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		MaxIdleConns:          cfg.InFlight,
		MaxIdleConnsPerHost:   cfg.InFlight,
		IdleConnTimeout:       90 * time.Second,
		ForceAttemptHTTP2:     true,
		ExpectContinueTimeout: time.Second,
		// No bound on connections: where the streams of one are taken, HTTP/2
		// opens another, so that the lane alone says how many requests are out.
		MaxConnsPerHost:        0,
		MaxResponseHeaderBytes: maxAnswerHeaderBytes,
		// A connection that was cut silently would swallow requests for the
		// whole timeout.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}
	c := &Client{cfg: cfg}
	c.http = &http.Client{
		Transport: transport,
		// An endpoint comes from the operator; a redirect would take the
		// credential somewhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c.With(e)
}

// With is a client for another credential of the same quota group. Both use the
// same connections.
func (c *Client) With(e Endpoint) *Client {
	other := &Client{endpoint: e, cfg: c.cfg, http: c.http, header: http.Header{}}
	other.header.Set("Content-Type", "application/json")
	other.header.Set("Accept", "application/json")
	other.header.Set("User-Agent", "promptforge")
	e.Dialect.Authorize(&e, other.header)
	return other
}

// Endpoint is where the client sends to.
func (c *Client) Endpoint() *Endpoint { return &c.endpoint }

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Send sends one prompt and waits for the whole answer. sent is false where
// the dialect can't say the prompt, and nothing left.
func (c *Client) Send(ctx context.Context, p *job.Prompt) (a Answer, sent bool) {
	path, body, err := c.endpoint.Dialect.Request(&c.endpoint, c.cfg.Model, p)
	if err != nil {
		return Answer{Class: Terminal, Code: job.CodeInvalidRequest, Message: err.Error()}, false
	}
	if err := failpoint.Hit("permit"); err != nil {
		return c.unreachable(err, 0), true // nothing left
	}
	a = c.post(ctx, path, body)
	if err := failpoint.Hit("answered"); err != nil {
		return c.unreachable(err, a.Latency), true // the provider has billed it
	}
	withoutPrompt(&c.endpoint, &a, p)
	return a, true
}

// Canary asks the endpoint for the least it can do.
func (c *Client) Canary(ctx context.Context) Answer {
	path, body := c.endpoint.Dialect.Canary(&c.endpoint, c.cfg.Model)
	return c.post(ctx, path, body)
}

func (c *Client) post(ctx context.Context, path string, body []byte) Answer {
	begin := time.Now()
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint.BaseURL+path, bytes.NewReader(body))
	if err != nil {
		return Answer{Class: Fatal, Code: job.CodeServerError, Message: "The endpoint's address cannot be used."}
	}
	req.Header = c.header
	if failpoint.Enabled {
		req = watched(req, cancel)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(err, time.Since(begin))
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, MaxAnswerBytes+1))
	latency := time.Since(begin)
	if err != nil || len(answer) > MaxAnswerBytes {
		return c.cutOff(res, err, latency)
	}
	answer = readable(withoutKey(answer, c.endpoint.Key))
	a := c.endpoint.Dialect.Answer(&c.endpoint, res.StatusCode, res.Header, answer)
	a.HTTPStatus, a.Latency = res.StatusCode, latency
	a.Response = kept(answer, a.Class == Done)
	if a.Class == Broken {
		a.ContentType = mediaType(res.Header)
	}
	return a
}

const maxMediaType = 64 // bytes; the longest that are in use are shorter

// mediaType is what a body says it is, where that is a media type.
func mediaType(h http.Header) string {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || len(t) > maxMediaType {
		return ""
	}
	return t
}

// watched is a request with a failpoint after it was written, and before its
// answer is read.
func watched(req *http.Request, cancel context.CancelFunc) *http.Request {
	return req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		WroteRequest: func(httptrace.WroteRequestInfo) {
			if failpoint.Hit("sent") != nil {
				cancel()
			}
		},
	}))
}

// unreachable is the answer where none came. The error's own text is not
// passed on, since it may quote the address.
func (c *Client) unreachable(err error, latency time.Duration) Answer {
	a := Answer{Class: Transient, Code: job.CodeServerError, Latency: latency}
	var dns *net.DNSError
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &certificate):
		a.Message = "The provider's certificate is not trusted here: " + certificate.Err.Error() + "."
	case errors.As(err, &dns):
		a.Message = "The provider's host name cannot be resolved."
	case errors.As(err, &op) && op.Op == "dial":
		a.Message = "No connection to the provider: " + plainly(op.Err) + "."
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		a.Code = job.CodeTimeout
		a.Message = fmt.Sprintf("The provider gave no answer within %s.", c.cfg.Timeout)
	default:
		a.Message = "The connection broke before the provider answered."
	}
	return a
}

// plainly is why no connection came about, without the name of the system call.
func plainly(err error) string {
	var number syscall.Errno
	switch {
	case errors.As(err, &number):
		return number.Error()
	case isTimeout(err):
		return "none within 5 s"
	default:
		return err.Error()
	}
}

// cutOff is an answer whose body did not come whole. A refusal's status still
// tells what it means, unless only its body could.
func (c *Client) cutOff(res *http.Response, err error, latency time.Duration) Answer {
	a := Answer{Class: Broken, Code: job.CodeBadResponse, RequestID: requestID(res.Header), Message: "The provider's answer was cut off."}
	switch {
	case err == nil:
		a.Message = fmt.Sprintf("The provider's answer was longer than %d MiB.", MaxAnswerBytes>>20)
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		a.Class, a.Code = Transient, job.CodeTimeout
		a.Message = fmt.Sprintf("The provider's answer was not whole within %s.", c.cfg.Timeout)
	}
	if res.StatusCode >= http.StatusMultipleChoices && a.Code != job.CodeTimeout {
		message := a.Message
		a = c.endpoint.Dialect.Answer(&c.endpoint, res.StatusCode, res.Header, nil)
		if a.Class == Terminal {
			a.Class, a.Code, a.Message = Transient, job.CodeServerError, message
		}
	}
	a.HTTPStatus, a.Latency = res.StatusCode, latency
	return a
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// minSecret is how long a credential must be to be one, and not a placeholder
// such as "any", which is a word like others.
const minSecret = 16

// shortWord is how many letters a placeholder has at most, such as "ollama"; what
// is longer may be somebody's password.
const shortWord = 7

// placeholder tells whether a credential is none: a mere short word, or nothing.
func placeholder(key string) bool {
	return len(key) <= shortWord && !strings.ContainsFunc(key, func(r rune) bool { return !unicode.IsLetter(r) })
}

// withoutKey takes the credential out of a body, since some servers quote what
// they were sent, and a job's owner may read the whole answer.
func withoutKey(body []byte, key string) []byte {
	if len(key) < minSecret || !bytes.Contains(body, []byte(key)) {
		return body
	}
	return bytes.ReplaceAll(body, []byte(key), []byte("…"))
}
