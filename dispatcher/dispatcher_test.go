package dispatcher

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/simulator"
	"github.com/promptforge/promptforge/storage/bolt"
	"github.com/promptforge/promptforge/storage/files"
	"github.com/promptforge/promptforge/storage/intake"
	"github.com/promptforge/promptforge/storage/results"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a whole dispatcher on a real store, with the simulator as provider.
type bench struct {
	t        *testing.T
	dir      string
	store    *bolt.Store
	files    *files.Folder
	sim      *simulator.Server
	provider *httptest.Server
	// configured is the name of the one provider; empty: sim.
	configured string
	// keys are its credentials, and environ what the variables hold; empty: one.
	keys    []provider.KeyRef
	environ map[string]string
	rpd     int           // its cap of a day
	width   int           // its cap of requests at once; 0: none
	idle    time.Duration // when idle lanes end; 0: as they do
	// before sees each request; true: it has answered. It may be nil.
	before func(http.ResponseWriter, *http.Request) bool

	d       *Dispatcher
	stop    context.CancelFunc
	stopped chan error
}

func newBench(t *testing.T, cfg simulator.Config) *bench {
	t.Helper()
	sim, err := simulator.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, dir: t.TempDir(), sim: sim}
	b.provider = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.before == nil || !b.before(w, r) {
			sim.ServeHTTP(w, r)
		}
	}))
	b.open()
	t.Cleanup(func() {
		if b.stop != nil {
			b.end()
		}
		b.store.Close()
		b.provider.CloseClientConnections()
		b.provider.Close()
	})
	return b
}

func (b *bench) open() {
	b.t.Helper()
	var err error
	if b.store, err = bolt.Open(filepath.Join(b.dir, "promptforge.db"), bolt.Options{}); err != nil {
		b.t.Fatal(err)
	}
	if b.files, err = files.OpenFolder(filepath.Join(b.dir, "files")); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) start(change func(*Config)) {
	b.t.Helper()
	cfg := Config{
		Store: b.store, Files: b.files, Settings: b.settings(),
		MaxActiveJobs: 100, MaxInFlight: 256, DrainTimeout: 10 * time.Second,
	}
	if change != nil {
		change(&cfg)
	}
	var ctx context.Context
	ctx, b.stop = context.WithCancel(context.Background())
	b.stopped = make(chan error, 1)
	d := New(cfg)
	d.idle = cmp.Or(b.idle, d.idle)
	b.d = d
	stopped := b.stopped
	go func() { stopped <- d.Run(ctx) }()
}

// settings are those of now.
func (b *bench) settings() Settings {
	b.t.Helper()
	keys, environ := b.keys, b.environ
	if keys == nil {
		keys, environ = []provider.KeyRef{{Env: "K"}}, map[string]string{"K": "k"}
	}
	registry, err := provider.NewRegistry(map[string]provider.Config{cmp.Or(b.configured, "sim"): {
		BaseURL: b.provider.URL + "/v1", APIKeys: keys, RPD: b.rpd, Concurrency: b.width,
	}}, func(name string) string { return environ[name] })
	if err != nil {
		b.t.Fatal(err)
	}
	return Settings{
		Providers: registry, RequestTimeout: 10 * time.Second, RetryBase: time.Millisecond,
		MaxHold: time.Hour, MaxOutage: time.Hour,
	}
}

// end stops the dispatcher as SIGTERM would.
func (b *bench) end() error {
	b.stop()
	b.stop = nil
	return <-b.stopped
}

func (b *bench) submit(client string, j job.Job, lines ...string) job.ID {
	b.t.Helper()
	ctx := context.Background()
	j.ID, j.Client, j.CreatedAt = job.NewID(), client, time.Now()
	if j.Provider == "" {
		j.Provider, j.Model = "sim", "sim-1"
	}
	if _, _, err := b.store.CreateJob(ctx, &j, nil); err != nil {
		b.t.Fatal(err)
	}
	up, err := intake.Read(ctx, b.files, j.ID, strings.NewReader(strings.Join(lines, "\n")), intake.Limits{MaxBytes: 1 << 30, MaxLines: job.MaxLines})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.store.CompleteUpload(ctx, j.ID, up, time.Now()); err != nil {
		b.t.Fatal(err)
	}
	return j.ID
}

// wait returns the job once ok says so.
func (b *bench) wait(id job.ID, ok func(*job.Job) bool) *job.Job {
	b.t.Helper()
	changed, stop := b.store.Watch(id)
	defer stop()
	deadline := time.After(30 * time.Second)
	for {
		j, err := b.store.Job(context.Background(), "", id)
		if err != nil {
			b.t.Fatal(err)
		}
		if ok(j) {
			return j
		}
		select {
		case <-changed:
		case <-deadline:
			b.t.Fatalf("the job stays %s with %d completed, %d failed of %d", j.Status, j.CompletedCount, j.FailedCount, j.PromptCount)
		}
	}
}

func settled(j *job.Job) bool { return j.Settled() }

// outcomes reads every outcome of a job by its line, and fails on a repeat.
func (b *bench) outcomes(id job.ID) map[int64]string {
	b.t.Helper()
	out := map[int64]string{}
	next := int64(1)
	for item, err := range results.After(context.Background(), b.store, b.files, id, 0) {
		if err != nil {
			b.t.Fatal(err)
		}
		if item.Offset != next {
			b.t.Fatalf("offset %d follows %d", item.Offset, next-1)
		}
		next++
		if _, twice := out[item.Outcome.Line]; twice {
			b.t.Fatalf("line %d has two outcomes", item.Outcome.Line)
		}
		out[item.Outcome.Line] = string(item.Outcome.Public)
	}
	return out
}

func prompts(n int, text string) []string {
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"prompt_id":%d,"prompt":"%s %d"}`, i+1, text, i+1)
	}
	return lines
}

// answered checks that every line of prompts(n, text) has its own answer.
func (b *bench) answered(id job.ID, n int, text string) {
	b.t.Helper()
	got := b.outcomes(id)
	if len(got) != n {
		b.t.Fatalf("%d outcomes, want %d", len(got), n)
	}
	for line, public := range got {
		key := simulator.PromptKey(fmt.Sprintf("%s %d", text, line))[:16]
		if !strings.HasPrefix(public, fmt.Sprintf(`{"prompt_id":%d,"result":"[%s]`, line, key)) {
			b.t.Fatalf("line %d has %.120s", line, public)
		}
	}
}

func TestDispatcherRunsAJob(t *testing.T) {
	b := newBench(t, simulator.Config{Errors: 0.05, Resets: 0.01, Garbage: 0.005, Headers: true})
	b.start(nil)
	const n = 6000
	id := b.submit("a", job.Job{MaxRetries: 10}, prompts(n, "count")...)
	j := b.wait(id, settled)
	if j.Status != job.Completed || j.CompletedCount != n || j.FailedCount != 0 {
		t.Fatalf("%s, %d completed, %d failed: %s", j.Status, j.CompletedCount, j.FailedCount, j.FailureReason)
	}
	b.answered(id, n, "count")
	if stats := b.sim.Stats(); int64(stats.Requests) != j.RequestsSent || j.PossiblyRepaid != 0 {
		t.Errorf("the job counts %d requests and %d repaid, the provider %d", j.RequestsSent, j.PossiblyRepaid, stats.Requests)
	}
	segments, err := b.store.Segments(context.Background(), id)
	if err != nil || len(segments) != 0 {
		t.Errorf("after the end %d segments are unsealed (%v)", len(segments), err)
	}
}

func TestDispatcherKeepsPendingOrder(t *testing.T) {
	b := newBench(t, simulator.Config{Latency: 20 * time.Millisecond})
	first := b.submit("a", job.Job{}, prompts(50, "a1")...)
	second := b.submit("a", job.Job{}, prompts(50, "a2")...)
	other := b.submit("b", job.Job{}, prompts(50, "b1")...)
	b.start(nil)
	j2 := b.wait(second, settled)
	j1, jo := b.wait(first, settled), b.wait(other, settled)
	if j2.StartedAt.Before(j1.SettledAt) {
		t.Errorf("the second job began at %s, before the first was settled at %s", j2.StartedAt, j1.SettledAt)
	}
	if jo.StartedAt.After(j1.SettledAt) {
		t.Error("the other client waited for a job that is not its own")
	}
	b.answered(first, 50, "a1")
	b.answered(second, 50, "a2")
	b.answered(other, 50, "b1")
}

func TestDispatcherStopsAndGoesOn(t *testing.T) {
	b := newBench(t, simulator.Config{Latency: 20 * time.Millisecond})
	const n = 3000
	id := b.submit("a", job.Job{}, prompts(n, "stop")...)
	for range 3 {
		b.start(nil)
		before := b.wait(id, func(*job.Job) bool { return true }).Outcomes()
		b.wait(id, func(j *job.Job) bool { return j.Outcomes() > before+100 || j.Settled() })
		if err := b.end(); err != nil {
			t.Fatal(err)
		}
		if err := b.store.Close(); err != nil {
			t.Fatal(err)
		}
		b.open()
	}
	b.start(nil)
	j := b.wait(id, settled)
	b.answered(id, n, "stop")
	if s := b.sim.Stats(); s.Requests != n || s.AnsweredMoreThanOnce != 0 {
		t.Errorf("%d requests for %d prompts, %d answered twice", s.Requests, n, s.AnsweredMoreThanOnce)
	}
	if j.PossiblyRepaid != 0 || j.RequestsSent != n {
		t.Errorf("the job counts %d repaid and %d requests", j.PossiblyRepaid, j.RequestsSent)
	}
}

func TestDispatcherCancel(t *testing.T) {
	b := newBench(t, simulator.Config{Latency: 50 * time.Millisecond})
	b.start(nil)
	id := b.submit("a", job.Job{}, prompts(5000, "cancel")...)
	next := b.submit("a", job.Job{}, prompts(10, "next")...)
	b.wait(id, func(j *job.Job) bool { return j.CompletedCount > 50 })
	if _, err := b.store.Cancel(context.Background(), "a", id, time.Now()); err != nil {
		t.Fatal(err)
	}
	b.wait(id, func(j *job.Job) bool { return j.Acknowledged })
	sent := b.sim.Stats().Requests
	j := b.wait(id, settled)
	if after := b.sim.Stats().Requests; int64(after) > j.RequestsSent {
		t.Errorf("%d requests reached the provider, %d at the acknowledgement, %d counted", after, sent, j.RequestsSent)
	}
	if j.Status != job.Cancelled || j.CompletedCount != j.RequestsSent {
		t.Errorf("%s, %d completed of %d sent", j.Status, j.CompletedCount, j.RequestsSent)
	}
	if got := b.wait(next, settled); got.Status != job.Completed {
		t.Errorf("the next job is %s", got.Status)
	}
	if got := len(b.outcomes(id)); int64(got) != j.Outcomes() {
		t.Errorf("%d outcomes can be read, %d are counted", got, j.Outcomes())
	}
}

func TestDispatcherFailsAWrongKey(t *testing.T) {
	b := newBench(t, simulator.Config{})
	b.start(nil)
	id := b.submit("a", job.Job{}, `{"prompt_id":1,"prompt":"[[simulate:401]]"}`, `{"prompt_id":2,"prompt":"[[simulate:401]] too"}`)
	j := b.wait(id, settled)
	if j.Status != job.Failed || !strings.Contains(j.FailureReason, "set K to a valid key") {
		t.Errorf("%s: %s", j.Status, j.FailureReason)
	}
}

func TestDispatcherRecordsEveryKindOfFailure(t *testing.T) {
	b := newBench(t, simulator.Config{})
	b.start(nil)
	lines := prompts(30, "fine")
	for class, code := range map[string]string{
		"400": "invalid_request", "context_length": "context_length_exceeded", "content_filter": "content_filtered",
		"refusal": "content_filtered", "too_large": "rate_limit_exceeded", "garbage": "bad_response", "html": "bad_response",
		"500": "server_error", "reset": "server_error",
	} {
		lines = append(lines, fmt.Sprintf(`{"prompt_id":"%s","prompt":"[[simulate:%s]]"}`, code+"/"+class, class))
	}
	lines = append(lines, `{"prompt_id":"bad"}`, `{"prompt_id":"back","prompt":"[[simulate:500:2]] x","metadata":{"k":[1,"é"]}}`)
	id := b.submit("a", job.Job{MaxRetries: 2}, lines...)
	j := b.wait(id, settled)
	if j.Status != job.Completed || j.CompletedCount != 31 || j.FailedCount != 10 {
		t.Fatalf("%s, %d completed, %d failed: %s", j.Status, j.CompletedCount, j.FailedCount, j.FailureReason)
	}
	for _, public := range b.outcomes(id) {
		code, class, ok := strings.Cut(strings.TrimPrefix(public, `{"prompt_id":"`), "/")
		if ok && strings.HasPrefix(public, `{"prompt_id":"`) && !strings.Contains(public, `"error":"`+code+`"`) && strings.Contains(public, `"error"`) {
			t.Errorf("%s is recorded as %s", class, public)
		}
		if strings.Contains(public, `"back"`) && !(strings.Contains(public, `"attempts":3`) && strings.HasSuffix(public, `"metadata":{"k":[1,"é"]}}`)) {
			t.Errorf("the prompt that came back is %s", public)
		}
	}
}

func TestDispatcherGivesUpWhatOutlastsTheDrain(t *testing.T) {
	b := newBench(t, simulator.Config{})
	b.start(func(c *Config) { c.DrainTimeout = 50 * time.Millisecond })
	id := b.submit("a", job.Job{}, append(prompts(20, "ok"), `{"prompt_id":"h","prompt":"[[simulate:hang]]"}`)...)
	b.wait(id, func(j *job.Job) bool { return j.CompletedCount == 20 && j.RequestsSent == 21 })
	err := b.end()
	if err == nil || !strings.Contains(err.Error(), "1 request was still in flight") {
		t.Fatalf("Run returned %v", err)
	}
	j, err := b.store.Job(context.Background(), "a", id)
	if err != nil || j.PossiblyRepaid != 1 || j.Status != job.Processing {
		t.Errorf("%s, %d possibly repaid, %v", j.Status, j.PossiblyRepaid, err)
	}

	// The next holder sends it again, and does not count it a second time.
	b.start(func(c *Config) { c.DrainTimeout = 50 * time.Millisecond })
	b.wait(id, func(j *job.Job) bool { return j.RequestsSent == 22 })
	if j, err = b.store.Job(context.Background(), "a", id); err != nil || j.PossiblyRepaid != 1 {
		t.Errorf("%d possibly repaid after the next start, want 1 still (%v)", j.PossiblyRepaid, err)
	}
	b.end()
}
