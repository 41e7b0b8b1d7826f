package transfer

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/bolt/bolttest"
	"github.com/promptforge/promptforge/storage/files"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const client = "acme"

// env is a server of transfers with a store and a folder of its own, and one
// client that has one key.
type env struct {
	*testing.T
	store   storage.Store
	files   storage.Files
	handler *Handler
	url     string

	mu    sync.Mutex
	clock time.Time
}

// options change the Config that an env is made with.
func newEnv(t *testing.T, options ...func(*Config)) *env {
	t.Helper()
	e := &env{T: t, store: bolttest.Open(t), clock: start}
	folder, err := files.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	e.files = folder
	if err := e.store.CreateKey(t.Context(), storage.Key{ID: "key-1", Client: client, SHA256: [32]byte{1}, CreatedAt: start}); err != nil {
		t.Fatal(err)
	}
	c := Config{
		Store: e.store, Files: e.files,
		Signer: NewSigner(bytes.Repeat([]byte{7}, 32), func() string { return e.url }),
		Now:    e.now,
		Log:    slog.New(slog.DiscardHandler),
	}
	for _, o := range options {
		o(&c)
	}
	e.handler = NewHandler(c)
	srv := httptest.NewServer(e.handler)
	t.Cleanup(srv.Close)
	e.url = srv.URL
	return e
}

func (e *env) now() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.clock
}

func (e *env) advance(d time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.clock = e.clock.Add(d)
}

// newJob makes a job that awaits its upload, and its upload URL.
func (e *env) newJob() (id job.ID, url string) {
	e.Helper()
	id, expires := job.NewID(), e.now().Add(15*time.Minute)
	_, _, err := e.store.CreateJob(e.Context(), &job.Job{
		ID: id, Client: client, Status: job.AwaitingUpload, Provider: "openai", Model: "m",
		CreatedAt: e.now(), UploadExpiresAt: expires,
	}, nil)
	if err != nil {
		e.Fatal(err)
	}
	return id, e.handler.Signer.UploadURL(client, id, expires)
}

func (e *env) job(id job.ID) *job.Job {
	e.Helper()
	j, err := e.store.Job(e.Context(), client, id)
	if err != nil {
		e.Fatal(err)
	}
	return j
}

// awaits checks that an upload has come to nothing, and left nothing.
func (e *env) awaits(id job.ID) {
	e.Helper()
	if j := e.job(id); j.Status != job.AwaitingUpload || j.Parsed {
		e.Errorf("the job is %s", j.Status)
	}
	if names := e.fileNames(); len(names) != 0 {
		e.Errorf("left behind: %v", names)
	}
	if e.handler.Busy(id) {
		e.Error("the job is busy still")
	}
}

func (e *env) fileNames() (names []string) {
	e.Helper()
	err := e.files.List(e.Context(), func(name string, _ int64, _ time.Time) error {
		names = append(names, name)
		return nil
	})
	if err != nil {
		e.Fatal(err)
	}
	return names
}

// answer is what a request came to.
type answer struct {
	status int
	header http.Header
	body   string
}

func (e *env) do(method, url string, header http.Header, body io.Reader) answer {
	e.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(e.Context()), method, url, body)
	if err != nil {
		e.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		e.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		e.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(got)}
}

func (e *env) put(url, body string, header ...string) answer {
	e.Helper()
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	return e.do(http.MethodPut, url, h, strings.NewReader(body))
}

// want checks a status, and the body of an error.
func (e *env) want(a answer, status int, words ...string) {
	e.Helper()
	if a.status != status {
		e.Errorf("status %d, want %d: %s", a.status, status, a.body)
		return
	}
	if status >= 400 && !strings.HasPrefix(a.body, `{"detail":"`) {
		e.Errorf("the error's body is %s", a.body)
	}
	for _, w := range words {
		if !strings.Contains(a.body, w) {
			e.Errorf("the body has no %q: %s", w, a.body)
		}
	}
}

// uploadedAs is the exact answer to an upload.
func uploadedAs(id job.ID, status job.Status, count string) string {
	return `{"job_id":"` + string(id) + `","status":"` + string(status) + `","prompt_count":` + count + `}`
}
