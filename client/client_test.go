package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/promptforge/promptforge/client"
	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
)

func TestDialRefuses(t *testing.T) {
	t.Parallel()
	const key = "pf_secret"
	for name, tc := range map[string]struct {
		target, key string
		opts        []client.Option
		sentence    string
	}{
		"no target":      {"", key, nil, "target is empty"},
		"a URL":          {"https://promptforge.example.com", key, nil, "without https://"},
		"no key":         {"localhost:1", "", nil, "API key is empty"},
		"a key's end":    {"localhost:1", key + "\n", nil, "line break"},
		"both":           {"a.example:1", key, []client.Option{client.WithTLS(nil), client.WithPlaintext()}, "contradict"},
		"a plain detour": {"a.example:1", key, []client.Option{client.WithDialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))}, "transport level security"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := client.Dial(tc.target, tc.key, tc.opts...)
			if err == nil {
				c.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tc.sentence) || strings.Contains(err.Error(), key) {
				t.Errorf("the error is %q, without %q or with the key", err, tc.sentence)
			}
		})
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := start(t, func(s *service) { s.tls = certificate(t) })
	trust := tlsOf(t, s.tls[0])
	c := s.dial(t, client.WithTLS(trust))
	collect(t, 3, c.Run(t.Context(), request, strings.NewReader(prompts(3))), nil)
}

// What no waiting mends is told at once, although the code is UNAVAILABLE.
func TestDistrustIsNoLostConnection(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	private := httptest.NewTLSServer(http.NotFoundHandler())
	defer private.Close()
	for name, server := range map[string]*httptest.Server{"speaks no TLS": plain, "unknown certificate": private} {
		c, err := client.Dial(server.Listener.Addr().String(), "key", client.WithTLS(&tls.Config{}))
		must(t, err)
		defer c.Close()
		if _, err := c.Wait(t.Context(), "job", nil); status.Code(err) != codes.Unavailable || strings.Contains(err.Error(), "gave up") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The service's REST port, say: waiting mends nothing, and the sentence says
// which port is meant.
func TestTheWrongPort(t *testing.T) {
	t.Parallel()
	rest := httptest.NewServer(http.NotFoundHandler())
	defer rest.Close()
	c, err := client.Dial(rest.Listener.Addr().String(), "key")
	must(t, err)
	defer c.Close()
	if _, err := c.Wait(t.Context(), "job", nil); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "REST port") || strings.Contains(err.Error(), "gave up") {
		t.Errorf("got %v", err)
	}
}

func TestWrongKey(t *testing.T) {
	t.Parallel()
	c := start(t).dialAs(t, "pf_wrong")
	_, submit := c.Submit(t.Context(), request, strings.NewReader(prompts(1)))
	_, wait := c.Wait(t.Context(), unknownJob, nil)
	for name, err := range map[string]error{
		"Submit": submit, "Wait": wait,
		"Results": last(c.Results(t.Context(), unknownJob, 0)),
		"Run":     last(c.Run(t.Context(), request, strings.NewReader(prompts(1)))),
	} {
		if status.Code(err) != codes.Unauthenticated || client.Reason(err) != client.ReasonUnauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
}

const unknownJob = "00000000-0000-4000-8000-000000000000"

func TestUnknownJob(t *testing.T) {
	t.Parallel()
	c := start(t).dial(t)
	_, wait := c.Wait(t.Context(), unknownJob, nil)
	_, upload := c.Upload(t.Context(), unknownJob, strings.NewReader(prompts(1)))
	_, raw := c.Jobs().GetJob(t.Context(), &promptforgev1.GetJobRequest{JobId: unknownJob})
	for name, err := range map[string]error{
		"Wait": wait, "Upload": upload, "Jobs": raw, "Results": last(c.Results(t.Context(), unknownJob, 0)),
	} {
		if status.Code(err) != codes.NotFound || client.Reason(err) != client.ReasonNotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReasonsOfInit(t *testing.T) {
	t.Parallel()
	c := start(t).dial(t)
	_, err := c.Submit(t.Context(), &promptforgev1.InitJobRequest{Provider: "nobody", Model: "m"}, strings.NewReader("{}"))
	if client.Reason(err) != client.ReasonProviderNotOffered {
		t.Errorf("unknown provider: %v", err)
	}
	_, err = c.Submit(t.Context(), request, nil)
	if err == nil || client.Reason(err) != "" {
		t.Errorf("no prompts: %v", err)
	}
}

func TestCancelledContextEndsAll(t *testing.T) {
	t.Parallel()
	s := start(t, gated)
	c := s.dial(t)
	id, err := c.Submit(t.Context(), request, strings.NewReader(prompts(4)))
	must(t, err)
	s.let(1)
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	for _, err = range c.Results(ctx, id, 0) {
		n++
		cancel()
	}
	if n != 2 || !errors.Is(err, context.Canceled) {
		t.Errorf("Results ended after %d with %v", n, err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	_, err = c.Wait(ctx, id, func(*promptforgev1.GetJobStatusResponse) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Wait ended with %v", err)
	}
	_, err = c.Submit(ctx, request, strings.NewReader(prompts(1)))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Submit ended with %v", err)
	}
	// Also while nobody answers.
	s.proxy.to("127.0.0.1:1")
	s.proxy.cut()
	ctx, cancel = context.WithCancel(t.Context())
	refused := s.dial(t, intercept(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		defer cancel()
		return invoke(ctx, method, req, reply, cc, opts...)
	}))
	if _, err = refused.Submit(ctx, request, strings.NewReader(prompts(1))); !errors.Is(err, context.Canceled) {
		t.Errorf("Submit without a service ended with %v", err)
	}
}

func TestClosedClientEndsAll(t *testing.T) {
	t.Parallel()
	s := start(t, gated)
	c := s.dial(t)
	id, err := c.Submit(t.Context(), request, strings.NewReader(prompts(1)))
	must(t, err)
	_, err = c.Wait(t.Context(), id, func(*promptforgev1.GetJobStatusResponse) { c.Close() })
	if status.Code(err) != codes.Canceled {
		t.Errorf("Wait ended with %v", err)
	}
}

func TestDialAllowsPlaintextWhereItIsAskedFor(t *testing.T) {
	t.Parallel()
	c, err := client.Dial("a.example:1", "key", client.WithPlaintext())
	must(t, err)
	must(t, c.Close())
}
