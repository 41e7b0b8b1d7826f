package sdktest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	openaioption "github.com/openai/openai-go/v3/option"
	"google.golang.org/genai"

	"github.com/promptforge/promptforge/simulator"
)

const key = "sk-conformance-0123456789"

// The models asked for.
const (
	gpt     = "gpt-4o"
	claude  = "claude-sonnet-4-5"
	flash   = "gemini-2.5-flash"
	large   = "mistral-large-latest"
	timeout = 30 * time.Second
)

// world is a simulator with a recorder before it.
type world struct {
	t   *testing.T
	url string

	mu   sync.Mutex
	last *sent
}

// sent is a request as it came over the wire, and the answer's body.
type sent struct {
	path         string
	header       http.Header
	body, answer []byte
}

func start(t *testing.T, cfg simulator.Config) *world {
	t.Helper()
	sim, err := simulator.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		tee := &teeWriter{ResponseWriter: rw}
		s := &sent{path: r.URL.Path, header: r.Header.Clone(), body: body}
		sim.ServeHTTP(tee, r)
		s.answer = tee.copy.Bytes()
		w.mu.Lock()
		w.last = s
		w.mu.Unlock()
	}))
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

type teeWriter struct {
	http.ResponseWriter
	copy bytes.Buffer
}

func (w *teeWriter) Write(b []byte) (int, error) {
	w.copy.Write(b)
	return w.ResponseWriter.Write(b)
}

// Unwrap lets a reset reach the connection.
func (w *teeWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// take is the request that came last.
func (w *world) take() *sent {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last == nil {
		w.t.Fatal("nothing was sent")
	}
	s := w.last
	w.last = nil
	return s
}

// The SDKs retry by themselves and read the environment of whoever runs them;
// here they do neither.

func (w *world) openai() openai.Client {
	return openai.NewClient(openaioption.WithBaseURL(w.url+"/v1"), openaioption.WithAPIKey(key), openaioption.WithMaxRetries(0), openaioption.WithRequestTimeout(timeout))
}

func (w *world) mistral() openai.Client {
	return openai.NewClient(openaioption.WithBaseURL(w.url+"/mistral/v1"), openaioption.WithAPIKey(key), openaioption.WithMaxRetries(0), openaioption.WithRequestTimeout(timeout))
}

func (w *world) anthropic() anthropic.Client {
	return anthropic.NewClient(anthropicoption.WithBaseURL(w.url), anthropicoption.WithAPIKey(key), anthropicoption.WithMaxRetries(0), anthropicoption.WithRequestTimeout(timeout))
}

func (w *world) gemini() *genai.Client {
	w.t.Helper()
	client, err := genai.NewClient(context.Background(), &genai.ClientConfig{
		APIKey: key, Backend: genai.BackendGeminiAPI, HTTPOptions: genai.HTTPOptions{BaseURL: w.url},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return client
}

// field is what both SDKs that Stainless generates keep of a decoded field.
type field interface {
	Raw() string
	Valid() bool
}

// whole holds a decoded answer to the SDK's own idea of it: every field that it
// calls required is there (null may stand for none), every field that came is
// known, and none came as another type.
func whole(t *testing.T, at string, v reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			whole(t, at+"[]", v.Index(i))
		}
		return
	case reflect.Struct:
	default:
		return
	}
	// A union holds all of its variants' fields; the one that it is knows which
	// belong.
	if as := v.MethodByName("AsAny"); as.IsValid() {
		whole(t, at, as.Call(nil)[0].Elem())
		return
	}
	meta := v.FieldByName("JSON")
	if !meta.IsValid() || meta.Kind() != reflect.Struct {
		return
	}
	if extra := meta.FieldByName("ExtraFields"); extra.IsValid() {
		for _, name := range extra.MapKeys() {
			t.Errorf("%s.%s is unknown to the SDK", at, name)
		}
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		m := meta.FieldByName(f.Name)
		if name == "" || name == "-" || !m.IsValid() {
			continue
		}
		was, ok := m.Interface().(field)
		if !ok {
			continue
		}
		switch raw := was.Raw(); {
		case raw == "" && (strings.Contains(f.Tag.Get("api"), "required") || f.Tag.Get("default") != ""):
			t.Errorf("%s.%s is missing", at, name)
		case raw != "" && raw != "null" && !was.Valid():
			t.Errorf("%s.%s is not of its type: %s", at, name, raw)
		case was.Valid():
			whole(t, at+"."+name, v.Field(i))
		}
	}
}
