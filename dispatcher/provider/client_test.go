package provider

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/job"
)

func newTestClient(t *testing.T, timeout time.Duration, h http.HandlerFunc) *Client {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Only a request that was read to its end tells when its client leaves.
		io.Copy(io.Discard, r.Body)
		h(w, r)
	}))
	e := testEndpoint
	e.BaseURL = srv.URL + "/v1"
	c := NewClient(e, ClientConfig{InFlight: 4, Timeout: timeout, Model: "m"})
	t.Cleanup(func() {
		c.Close()
		srv.CloseClientConnections()
		srv.Close()
	})
	return c
}

func send(t *testing.T, c *Client) Answer {
	t.Helper()
	a, sent := c.Send(context.Background(), parse(t, `{"prompt_id":1,"prompt":"q"}`))
	if !sent {
		t.Fatal("nothing was sent")
	}
	return a
}

func TestClientKeepsTheWholeAnswerAsOneLine(t *testing.T) {
	c := newTestClient(t, time.Minute, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/chat/completions" || r.Header.Get("Authorization") != "Bearer sk-canary" {
			t.Errorf("%s with %q", r.URL.Path, r.Header.Get("Authorization"))
		}
		w.Write([]byte("{\n \"model\": \"m\",\n \"choices\": [{\"message\": {\"content\": \"a\\nb\"}}],\r\n \"x\": 1}\n"))
	})
	a := send(t, c)
	if want := `{"model":"m","choices":[{"message":{"content":"a\nb"}}],"x":1}`; string(a.Response) != want {
		t.Errorf("kept %s", a.Response)
	}
	if a.Class != Done || a.Text != "a\nb" || a.HTTPStatus != 200 {
		t.Errorf("got %+v", a)
	}
}

func TestClientFailures(t *testing.T) {
	for _, c := range []struct {
		name  string
		serve http.HandlerFunc
		class Class
		code  string
	}{
		{"no answer in time", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, Transient, job.CodeTimeout},
		{"an answer that never ends", func(w http.ResponseWriter, r *http.Request) {
			w.Write([]byte("{"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, Transient, job.CodeTimeout},
		{"a reset", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Transient, job.CodeServerError},
		{"a body that is cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.Write([]byte("{"))
		}, Broken, job.CodeBadResponse},
		{"an error's body that is cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(500)
		}, Transient, job.CodeServerError},
		{"a body without end", func(w http.ResponseWriter, _ *http.Request) {
			chunk := []byte(strings.Repeat(" ", 1<<20))
			for range 17 {
				w.Write(chunk)
			}
		}, Broken, job.CodeBadResponse},
		{"a redirect, which is not followed", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
		}, Fatal, job.CodeServerError},
	} {
		t.Run(c.name, func(t *testing.T) {
			timeout := time.Minute
			if c.code == job.CodeTimeout {
				timeout = 100 * time.Millisecond
			}
			a := send(t, newTestClient(t, timeout, c.serve))
			if a.Class != c.class || a.Code != c.code {
				t.Errorf("it means %s %q, want %s %q: %s", a.Class, a.Code, c.class, c.code, a.Message)
			}
			if a.Message == "" || strings.Contains(a.Message, "sk-canary") {
				t.Errorf("message %q", a.Message)
			}
		})
	}
}

func TestClientWithoutAServer(t *testing.T) {
	e := testEndpoint
	e.BaseURL = "http://127.0.0.1:1/v1"
	a := send(t, NewClient(e, ClientConfig{InFlight: 1, Timeout: time.Second, Model: "m"}))
	if a.Class != Transient || a.Message != "No connection to the provider: connection refused." {
		t.Errorf("got %s %q", a.Class, a.Message)
	}
}

// A broken answer tells what it said it was, and no more than a media type.
func TestClientTellsTheTypeOfABrokenAnswer(t *testing.T) {
	for header, want := range map[string]string{
		"Text/HTML; charset=utf-8":                  "text/html",
		"your prompt was: x":                        "",
		"text/" + strings.Repeat("x", maxMediaType): "",
		"application/json":                          "application/json",
	} {
		a := send(t, newTestClient(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", header)
			io.WriteString(w, "<html>")
		}))
		if a.Class != Broken || a.HTTPStatus != 200 || a.ContentType != want {
			t.Errorf("%q: %s, status %d, type %q", header, a.Class, a.HTTPStatus, a.ContentType)
		}
	}
}
