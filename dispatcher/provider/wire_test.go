package provider

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/promptforge/promptforge/job"
)

const okCompletion = `{"model":"m","choices":[{"message":{"content":"42"},"finish_reason":"stop"}]}`

func gzipped(s string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.Bytes()
}

// TestWire: what HTTP and what is in between can do to an answer.
func TestWire(t *testing.T) {
	cut := func(status int, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(status)
			w.Write([]byte(`{"error":{"mes`))
		}
	}
	write := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	for _, c := range []struct {
		name  string
		serve http.HandlerFunc
		class Class
		code  string
	}{
		{"gzip", func(w http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
				t.Error("it asks for no gzip")
			}
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(gzipped(okCompletion))
		}, Done, ""},
		{"gzip that is cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(gzipped(okCompletion)[:40])
		}, Broken, job.CodeBadResponse},
		{"gzip that is none", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, okCompletion)
		}, Broken, job.CodeBadResponse},
		{"gzip that grows beyond all bounds", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(gzipped(strings.Repeat(" ", MaxAnswerBytes+1)))
		}, Broken, job.CodeBadResponse},
		{"an error in gzip", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			w.WriteHeader(429)
			w.Write(gzipped(`{"error":{"code":"insufficient_quota"}}`))
		}, Fatal, job.CodeServerError},
		{"chunks and trailers", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Trailer", "X-Done")
			for _, piece := range []string{okCompletion[:10], okCompletion[10:]} {
				io.WriteString(w, piece)
				w.(http.Flusher).Flush()
			}
			w.Header().Set("X-Done", "yes")
		}, Done, ""},
		{"a byte order mark", write(200, "\xef\xbb\xbf"+okCompletion), Done, ""},
		{"a page", write(200, "<html>"), Broken, job.CodeBadResponse},
		{"a page with 403", write(403, "<html>"), Fatal, job.CodeServerError},
		{"a page with 503", write(503, "<html>"), Transient, job.CodeServerError},
		{"nothing", write(200, ""), Broken, job.CodeBadResponse},
		{"the error of a stream", write(200, "event: error\ndata: {\"error\":{\"message\":\"x\",\"code\":429}}\n\n"), SlowDown, job.CodeRateLimit},
		{"a refused key that is cut", cut(401), Fatal, job.CodeServerError},
		{"a rate limit that is cut", cut(429, "Retry-After", "7"), SlowDown, job.CodeRateLimit},
		{"a refusal whose reason is cut", cut(400), Transient, job.CodeServerError},
		{"an outage that is cut", cut(503), Transient, job.CodeServerError},
		{"an answer that is cut", cut(200), Broken, job.CodeBadResponse},
		{"headers without end", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", maxAnswerHeaderBytes+1))
		}, Transient, job.CodeServerError},
		{"no HTTP", func(w http.ResponseWriter, _ *http.Request) {
			c, _, _ := w.(http.Hijacker).Hijack()
			io.WriteString(c, "SSH-2.0-OpenSSH\r\n")
			c.Close()
		}, Transient, job.CodeServerError},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := send(t, newTestClient(t, time.Minute, c.serve))
			if a.Class != c.class || a.Code != c.code {
				t.Errorf("it means %s %q, want %s %q: %s", a.Class, a.Code, c.class, c.code, a.Message)
			}
			if a.Class == SlowDown && c.name == "a rate limit that is cut" && a.RetryAfter != 7*time.Second {
				t.Errorf("it waits %s", a.RetryAfter)
			}
			if a.Response != nil && !json.Valid(a.Response) {
				t.Errorf("it keeps what is no JSON: %s", a.Response)
			}
		})
	}
}

// TestLinesStayLines: whatever the bytes of an answer, both lines that are made
// of it are one line of valid JSON in UTF-8.
func TestLinesStayLines(t *testing.T) {
	for name, body := range map[string]string{
		"broken UTF-8":            "{\"model\":\"m\xff\",\"choices\":[{\"message\":{\"content\":\"a\xff\xfeb\xc3\"}}]}",
		"half a surrogate pair":   `{"model":"m","choices":[{"message":{"content":"a\ud800b"}}]}`,
		"a field twice":           `{"model":"m","model":"n","choices":[{"message":{"content":"a"}}]}`,
		"pretty-printed calls":    "{\n \"model\": \"m\",\r\n \"choices\": [{\"message\": {\"content\": null, \"tool_calls\": [\n{\"id\": \"1\",\r\n\"function\": {}}\n]}}]\n}\n",
		"broken UTF-8 in calls":   "{\"model\":\"m\",\"choices\":[{\"message\":{\"tool_calls\":[{\"id\":\"\xff\"}]}}]}",
		"line separators in text": "{\"model\":\"m\",\"choices\":[{\"message\":{\"content\":\"a\u2028b\\n\\u0000\"}}]}",
	} {
		t.Run(name, func(t *testing.T) {
			c := newTestClient(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) })
			p := parse(t, `{"prompt_id":1,"prompt":"q"}`)
			a, _ := c.Send(context.Background(), p)
			if a.Class != Done {
				t.Fatalf("it means %s: %s", a.Class, a.Message)
			}
			o := a.Result(p, 1)
			for _, line := range [][]byte{o.AppendPublic(nil), o.AppendFull(nil)} {
				if !utf8.Valid(line) || !json.Valid(line) || bytes.Count(line, []byte{'\n'}) != 1 || bytes.ContainsRune(line, '\r') {
					t.Errorf("no line of JSON: %q", line)
				}
				if bytes.Contains(line, []byte(`\ud800`)) {
					t.Errorf("half a surrogate pair is left: %s", line)
				}
			}
			if strings.Contains(name, "UTF-8") && !bytes.Contains(o.Response, []byte("\uFFFD")) {
				t.Errorf("nothing stands for what was broken: %s", o.Response)
			}
		})
	}
	// An error's bytes are no better.
	c := newTestClient(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(400)
		io.WriteString(w, "{\"error\":{\"message\":\"a\xffb\"}}")
	})
	p := parse(t, `{"prompt_id":1,"prompt":"q"}`)
	a, _ := c.Send(context.Background(), p)
	if line := a.Failure(p, a.Code, 1).AppendFull(nil); !utf8.Valid(line) || !json.Valid(line) {
		t.Errorf("no line of JSON: %q", line)
	}
}

// TestHTTP2OpensAsManyConnectionsAsTheLaneNeeds: a server allows few requests a
// connection; all of the lane's are there at once nevertheless.
func TestHTTP2OpensAsManyConnectionsAsTheLaneNeeds(t *testing.T) {
	const inFlight = 40
	var mu sync.Mutex
	conns := map[string]bool{}
	var all sync.WaitGroup
	all.Add(inFlight)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("it speaks %s", r.Proto)
		}
		mu.Lock()
		conns[r.RemoteAddr] = true
		mu.Unlock()
		all.Done()
		all.Wait() // until the others are here too
		io.WriteString(w, okCompletion)
	}))
	srv.EnableHTTP2 = true
	srv.Config.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 10}
	srv.StartTLS()
	defer srv.Close()
	e := testEndpoint
	e.BaseURL = srv.URL + "/v1"
	c := NewClient(e, ClientConfig{InFlight: inFlight, Timeout: 30 * time.Second, Model: "m"})
	defer c.Close()
	c.http.Transport.(*http.Transport).TLSClientConfig = srv.Client().Transport.(*http.Transport).TLSClientConfig
	var sent sync.WaitGroup
	for range inFlight {
		sent.Go(func() {
			if a, _ := c.Send(context.Background(), parse(t, `{"prompt_id":1,"prompt":"q"}`)); a.Class != Done {
				t.Errorf("it means %s: %s", a.Class, a.Message)
			}
		})
	}
	sent.Wait()
	if len(conns) < inFlight/10 {
		t.Errorf("%d connections for %d requests", len(conns), inFlight)
	}
}

// TestConnectionsAreKept: a lane's connections wait for its next prompts, as
// many as it has requests out.
func TestConnectionsAreKept(t *testing.T) {
	const inFlight = 8
	var opened sync.Map
	gate := make(chan struct{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		<-gate
		io.WriteString(w, okCompletion)
	}))
	srv.Config.ConnState = func(c net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Store(c, true)
		}
	}
	srv.Start()
	defer srv.Close()
	e := testEndpoint
	e.BaseURL = srv.URL + "/v1"
	c := NewClient(e, ClientConfig{InFlight: inFlight, Timeout: 30 * time.Second, Model: "m"})
	defer c.Close()
	for range 3 {
		var round sync.WaitGroup
		for range inFlight {
			round.Go(func() { c.Send(context.Background(), parse(t, `{"prompt_id":1,"prompt":"q"}`)) })
		}
		for range inFlight {
			gate <- struct{}{}
		}
		round.Wait()
	}
	n := 0
	opened.Range(func(any, any) bool { n++; return true })
	// net/http dials beside a connection that is just being put back, so there
	// may be a few more; without keeping them there would be three times as many.
	if n >= 2*inFlight {
		t.Errorf("%d connections for %d requests at once", n, inFlight)
	}
}

func TestUntrustedCertificate(t *testing.T) {
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	srv.Config.ErrorLog = nil
	defer srv.Close()
	e := testEndpoint
	e.BaseURL = srv.URL + "/v1"
	a := send(t, NewClient(e, ClientConfig{InFlight: 1, Timeout: time.Minute, Model: "m"}))
	if a.Class != Transient || !strings.Contains(a.Message, "certificate") {
		t.Errorf("%s: %s", a.Class, a.Message)
	}
}

// TestCredentialsTravelInHeadersAlone: each dialect sends its key in its own
// header, and nothing of it in the address.
func TestCredentialsTravelInHeadersAlone(t *testing.T) {
	const key = "canary-0123456789"
	for name, want := range map[string][2]string{
		"openai": {"Authorization", "Bearer " + key}, "anthropic": {"X-Api-Key", key}, "gemini": {"X-Goog-Api-Key", key}, "mistral": {"Authorization", "Bearer " + key},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if strings.Contains(r.RequestURI, key) || bytes.Contains(body, []byte(key)) {
				t.Errorf("%s: the key is in %s", name, r.RequestURI)
			}
			if r.Header.Get(want[0]) != want[1] {
				t.Errorf("%s: %s is %q", name, want[0], r.Header.Get(want[0]))
			}
			if name == "anthropic" && r.Header.Get("anthropic-version") != "2023-06-01" {
				t.Errorf("the version is %q", r.Header.Get("anthropic-version"))
			}
		}))
		c := NewClient(Endpoint{Provider: name, Dialect: dialects[name], BaseURL: srv.URL, Key: key}, ClientConfig{InFlight: 1, Timeout: time.Minute, Model: "m"})
		send(t, c)
		c.Canary(context.Background())
		c.Close()
		srv.Close()
	}
}
