package server

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/apicheck"
	"github.com/promptforge/promptforge/server/keys"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/bolt"
	"github.com/promptforge/promptforge/storage/files"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testNow is the clock of every test that does not bring its own.
var testNow = time.Date(2024, 1, 15, 10, 15, 0, 987654321, time.UTC)

func openStore(t testing.TB) storage.Store {
	t.Helper()
	store, err := bolt.Open(filepath.Join(t.TempDir(), "store.db"), bolt.Options{})
	must(t, err)
	return store
}

// env is a running server on a real store and a real folder.
type env struct {
	*Server
	t      testing.TB
	dir    string        // of the files
	store  storage.Store // what is below the server's, if that is wrapped
	key    string        // of the client "acme"
	api    promptforgev1.JobServiceClient
	conn   *grpc.ClientConn
	log    *lockedBuffer
	http   *http.Client
	clock  *clock
	scheme string
	leases map[job.ID]storage.Lease
	served chan error
	stop   func()
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// offersOnly offers openai with gpt-4o-mini, and panics where a test asks it to.
type offersOnly struct{}

const panicText = "the prompt's secret text"

func (offersOnly) Offered(provider, model string) error {
	switch {
	case model == "panic":
		panic(panicText)
	case provider != "openai":
		return &NotOffered{Sentence: "The provider is not offered here."}
	case model != "gpt-4o-mini":
		return &NotOffered{Model: true, Sentence: "The model is not offered here."}
	}
	return nil
}

// start runs a server; its options change the configuration. It is stopped,
// and its stop checked, at the test's end.
func start(t testing.TB, options ...func(*Config)) *env {
	t.Helper()
	store := openStore(t)
	dir := t.TempDir()
	folder, err := files.OpenFolder(dir)
	must(t, err)
	e := &env{
		t: t, store: store, dir: dir, log: &lockedBuffer{}, clock: &clock{now: testNow},
		scheme: "http://",
		leases: map[job.ID]storage.Lease{},
		http:   &http.Client{Transport: apicheck.Transport(t, &http.Transport{})},
	}
	cfg := Config{
		Store: store, Files: folder, Offers: offersOnly{},
		HTTPAddr: "127.0.0.1:0", GRPCAddr: "127.0.0.1:0",
		Log: slog.New(slog.NewJSONHandler(e.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now: e.clock.Now, Version: "test",
	}
	for _, option := range options {
		option(&cfg)
	}
	e.Server, err = New(cfg)
	must(t, err)
	e.key = e.issue("acme")
	e.conn, err = grpc.NewClient(e.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(t, err)
	e.api = promptforgev1.NewJobServiceClient(e.conn)
	ctx, cancel := context.WithCancel(context.Background())
	e.served = make(chan error, 1)
	go func() { e.served <- e.Serve(ctx) }()
	e.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-e.served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(func() {
		e.http.CloseIdleConnections()
		e.conn.Close()
		e.stop()
		must(t, store.Close())
	})
	return e
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (e *env) issue(client string) string {
	e.t.Helper()
	plain, _, err := keys.Issue(e.ctx(), e.store, client, testNow)
	must(e.t, err)
	return plain
}

func (e *env) ctx() context.Context { return e.t.Context() }

// as is the context of a gRPC call with a key and more metadata.
func (e *env) as(key string, pairs ...string) context.Context {
	if key != "" {
		pairs = append(pairs, "x-api-key", key)
	}
	return metadata.NewOutgoingContext(e.ctx(), metadata.Pairs(pairs...))
}

func (e *env) url(path string) string {
	path = strings.TrimPrefix(path, e.publicURL()) // as a proxy in front would
	if strings.HasPrefix(path, "/") {
		return e.scheme + e.HTTPAddr() + path
	}
	return path
}

// reply is an HTTP answer, read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

// rest sends a request with the env's key; header pairs may replace it.
func (e *env) rest(method, path, body string, header ...string) reply {
	e.t.Helper()
	resp := e.send(method, path, strings.NewReader(body), append([]string{"X-API-Key", e.key}, header...)...)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(e.t, err)
	return reply{resp.StatusCode, resp.Header, string(b)}
}

func (e *env) send(method, path string, body io.Reader, header ...string) *http.Response {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.ctx(), method, e.url(path), body)
	must(e.t, err)
	for i := 0; i < len(header); i += 2 {
		if header[i+1] == "" {
			req.Header.Del(header[i])
			continue
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := e.http.Do(req)
	must(e.t, err)
	return resp
}

const initBody = `{"provider":"openai","model":"gpt-4o-mini"}`

func (e *env) init() *promptforgev1.InitJobResponse {
	e.t.Helper()
	resp, err := e.api.InitJob(e.as(e.key), &promptforgev1.InitJobRequest{Provider: "openai", Model: "gpt-4o-mini"})
	must(e.t, err)
	return resp
}

func prompts(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"prompt_id":%d,"prompt":"say %d"}`+"\n", i+1, i+1)
	}
	return b.String()
}

// uploaded makes a job with n prompts.
func (e *env) uploaded(n int) job.ID {
	e.t.Helper()
	resp := e.init()
	r := e.rest(http.MethodPut, resp.GetUploadUrl(), prompts(n), "X-API-Key", "")
	if r.status != http.StatusOK {
		e.t.Fatalf("upload: %d %s", r.status, r.body)
	}
	return job.ID(resp.GetJobId())
}

// claimed makes a job with n prompts that is PROCESSING.
func (e *env) claimed(n int) job.ID {
	e.t.Helper()
	id := e.uploaded(n)
	e.claim(id)
	return id
}

func (e *env) claim(id job.ID) {
	e.t.Helper()
	lease, err := e.store.HoldLane(e.ctx(), job.Lane{Provider: "openai", Group: "a", Model: "gpt-4o-mini"}, "test")
	must(e.t, err)
	e.clock.Advance(time.Second)
	_, err = e.store.Claim(e.ctx(), lease, id, e.clock.Now())
	must(e.t, err)
	e.leases[id] = lease
}

// record keeps the outcomes of the lines from first to last: results, but
// every third line fails.
func (e *env) record(id job.ID, first, last int64) {
	e.t.Helper()
	r := storage.Record{ID: id, SentThrough: last, Requests: last - first + 1}
	for line := first; line <= last; line++ {
		r.Outcomes = append(r.Outcomes, outcome(line))
	}
	out, err := e.store.Record(e.ctx(), []storage.Record{r})
	must(e.t, err)
	must(e.t, out[0].Err)
}

func outcome(line int64) *job.Outcome {
	if line%3 == 0 {
		f := job.Failure{PromptID: job.IntID(line), Code: job.CodeTimeout, Attempts: 4, Message: "No answer came in time."}
		return &job.Outcome{Line: line, Failed: true, Public: f.AppendJSON(nil)}
	}
	r := job.Result{
		PromptID: job.IntID(line), Text: fmt.Sprintf("said %d", line), Model: "gpt-4o-mini-2024-07-18",
		PromptTokens: new(int64(3)), CompletionTokens: new(int64(4)), TokensUsed: new(int64(7)),
		FinishReason: "stop", Attempts: 1, LatencyMS: 12,
	}
	return &job.Outcome{
		Line: line, Public: r.AppendJSON(nil), Response: []byte(`{"id":"r"}`), HTTPStatus: 200,
		PromptTokens: 3, CompletionTokens: 4,
	}
}

func (e *env) finish(id job.ID, to job.Status, reason string) {
	e.t.Helper()
	e.clock.Advance(time.Second)
	_, err := e.store.Finish(e.ctx(), e.leases[id].Term, id, to, reason, e.clock.Now())
	must(e.t, err)
}

func (e *env) settle(id job.ID) {
	e.t.Helper()
	_, err := e.store.Settle(e.ctx(), e.leases[id].Term, id, e.clock.Now())
	must(e.t, err)
}

// completed makes a job with n prompts and their outcomes.
func (e *env) completed(n int) job.ID {
	e.t.Helper()
	id := e.claimed(n)
	e.record(id, 1, int64(n))
	e.finish(id, job.Completed, "")
	return id
}
