package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	firstBackoff    = 100 * time.Millisecond
	maxBackoff      = 15 * time.Second
	defaultPatience = 5 * time.Minute
	// steady is how long a stream stands that is sound although nothing came: a
	// job may be quiet for hours, and some proxies end a stream that is.
	steady = 30 * time.Second
)

func defaultBackoff(attempt int) time.Duration {
	d := maxBackoff
	if attempt < 8 { // beyond, it would be more
		d = min(d, firstBackoff<<attempt)
	}
	return d/2 + rand.N(d/2)
}

// retry is the patience of one operation. It belongs to one goroutine.
type retry struct {
	backoff  func(attempt int) time.Duration
	patience time.Duration
	attempt  int
	waited   time.Duration // since something came
}

func (c *Client) newRetry() *retry {
	return &retry{backoff: c.backoff, patience: c.patience}
}

// progress tells that something came.
func (r *retry) progress() { r.attempt, r.waited = 0, 0 }

// stood tells that a stream was open since then.
func (r *retry) stood(since time.Time) {
	if time.Since(since) >= steady {
		r.progress()
	}
}

// after waits until the operation that failed may be tried again, and returns
// nil then. Otherwise it returns the error that ends the operation.
func (r *retry) after(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if misdirected(err) {
		return fmt.Errorf("the target does not speak gRPC; if it is the service's REST port, give the other one, 9090 unless it was set: %w", err)
	}
	if !lost(err) {
		return err
	}
	// Never 0, so that the patience ends whatever the backoff is.
	delay := max(time.Millisecond, r.backoff(r.attempt)+RetryDelay(err))
	if delay > r.patience-r.waited {
		if r.attempt == 0 {
			return err
		}
		return fmt.Errorf("gave up after %d tries: %w", r.attempt+1, err)
	}
	r.attempt++
	r.waited += delay
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lost reports whether the call failed by a lost connection, or by a service
// that cannot answer now. gRPC has no type for what befalls a stream on its way,
// only a text.
func lost(err error) bool {
	st := status.Convert(err)
	switch st.Code() {
	case codes.Unavailable:
		return !distrusted(st.Message()) && !misdirected(err)
	case codes.Internal, codes.Canceled:
		return strings.Contains(st.Message(), "stream terminated by RST_STREAM") ||
			strings.Contains(st.Message(), "closed the stream without sending trailers")
	default:
		return false
	}
}

// misdirected reports whether an HTTP/1.1 server answered, such as the service's
// own REST port.
func misdirected(err error) bool {
	st := status.Convert(err)
	return st.Code() == codes.Unavailable && strings.Contains(st.Message(), "looked like an HTTP/1.1 header")
}

// distrusted reports whether a connection failed by a wrong certificate, or by a
// server that speaks no TLS or no HTTP/2, which no repeating mends. A handshake
// that was merely cut says none of these.
func distrusted(message string) bool {
	return strings.Contains(message, "authentication handshake failed: ") &&
		(strings.Contains(message, "tls: ") || strings.Contains(message, "ALPN"))
}
