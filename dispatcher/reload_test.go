package dispatcher

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/simulator"
)

// refuse answers as OpenAI does.
func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":{"message":%q,"type":%q,"code":%q}}`, message, code, code)
}

func bearer(r *http.Request) string {
	return strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
}

// logged is a log that can be read while it is written.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logged) into(c *Config) {
	c.Log = slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func held(j *job.Job) bool { return j.Pace.HoldReason != "" }

// Credit that is used up at 60 % holds the job; topped up, and probed at the
// operator's wish, it goes on, and nothing is bought twice.
func TestDispatcherWaitsForCredit(t *testing.T) {
	const n = 1000
	b := newBench(t, simulator.Config{})
	var left, bought atomic.Int64
	left.Store(n * 6 / 10)
	b.before = func(w http.ResponseWriter, _ *http.Request) bool {
		if left.Add(-1) < 0 {
			refuse(w, 429, "insufficient_quota", "You exceeded your current quota, please check your plan and billing details.")
			return true
		}
		bought.Add(1)
		return false
	}
	var log logged
	b.start(log.into)
	id := b.submit("a", job.Job{}, prompts(n, "credit")...)
	j := b.wait(id, held)
	if !strings.Contains(j.Pace.HoldReason, "exceeded your current quota") || j.Pace.HeldSince.IsZero() || j.Status != job.Processing {
		t.Errorf("%s: %+v", j.Status, j.Pace)
	}
	lanes, err := b.d.Lanes(context.Background())
	if err != nil || len(lanes) != 1 || lanes[0].Hold != "refused" || lanes[0].Jobs != 1 || lanes[0].Lane.String() != "sim/default/sim-1" {
		t.Errorf("lanes %+v, %v", lanes, err)
	}
	if none, err := b.d.ResumeLanes(context.Background(), "sim/default/other"); err != nil || len(none) != 0 {
		t.Errorf("another lane: %+v, %v", none, err)
	}
	left.Store(n)
	if resumed, err := b.d.ResumeLanes(context.Background(), "sim/default/sim-1"); err != nil || len(resumed) != 1 || resumed[0].Hold != "refused" {
		t.Errorf("resumed %+v, %v", resumed, err)
	}
	j = b.wait(id, settled)
	if j.Status != job.Completed || j.FailedCount != 0 || held(j) && j.Status == job.Processing {
		t.Errorf("%s, %d failed", j.Status, j.FailedCount)
	}
	b.answered(id, n, "credit")
	if bought.Load() != n {
		t.Errorf("%d answers were bought for %d prompts", bought.Load(), n)
	}
	for _, what := range []string{"a lane is held", "hold=refused", "status=429", "a lane goes on", "a lane is probed at the operator's wish"} {
		if !strings.Contains(log.String(), what) {
			t.Errorf("the log lacks %q:\n%s", what, &log)
		}
	}
	if strings.Contains(log.String(), "billing details") {
		t.Error("the log has the provider's words, which may quote a prompt")
	}
}

// Where nobody tops it up the job is FAILED, and one that continues it sends
// the rest alone.
func TestDispatcherContinuesWithoutCredit(t *testing.T) {
	const n = 1000
	b := newBench(t, simulator.Config{})
	var left, bought atomic.Int64
	left.Store(n * 6 / 10)
	b.before = func(w http.ResponseWriter, _ *http.Request) bool {
		if left.Add(-1) < 0 {
			refuse(w, 402, "payment_required", "Your credit is used up.")
			return true
		}
		bought.Add(1)
		return false
	}
	b.start(func(c *Config) { c.MaxHold = time.Nanosecond })
	id := b.submit("a", job.Job{}, prompts(n, "rest")...)
	j := b.wait(id, settled)
	if j.Status != job.Failed || !strings.Contains(j.FailureReason, "Your credit is used up.") || j.CompletedCount != n*6/10 || j.FailedCount != 0 {
		t.Fatalf("%s, %d completed, %d failed: %s", j.Status, j.CompletedCount, j.FailedCount, j.FailureReason)
	}
	left.Store(n)
	next := job.Job{ID: job.NewID(), Client: "a", CreatedAt: time.Now(), Provider: "sim", Model: "sim-1", ContinueFrom: id}
	if _, _, err := b.store.CreateJob(context.Background(), &next, nil); err != nil {
		t.Fatal(err)
	}
	j = b.wait(next.ID, settled)
	if j.Status != job.Completed || j.CompletedCount != n || bought.Load() != n {
		t.Errorf("%s with %d completed, %d answers bought for %d prompts", j.Status, j.CompletedCount, bought.Load(), n)
	}
	b.answered(next.ID, n, "rest")
}

// A hold outlives a restart, with its reason and its beginning.
func TestDispatcherRemembersAHold(t *testing.T) {
	b := newBench(t, simulator.Config{})
	var refused atomic.Bool
	var asked atomic.Int64
	b.before = func(w http.ResponseWriter, _ *http.Request) bool {
		if asked.Add(1) > 50 {
			refused.Store(true)
		}
		if refused.Load() {
			refuse(w, 429, "rate_limit_exceeded", "Rate limit reached on requests per day (RPD): Limit 50")
			return true
		}
		return false
	}
	b.start(nil)
	id := b.submit("a", job.Job{}, prompts(200, "night")...)
	first := b.wait(id, held)
	if err := b.end(); err != nil {
		t.Fatal(err)
	}
	before := asked.Load()
	b.start(nil)
	second := b.wait(id, func(j *job.Job) bool { return held(j) && j.RequestsSent > first.RequestsSent })
	if !second.Pace.HeldSince.Equal(first.Pace.HeldSince) || second.Pace.HoldReason != first.Pace.HoldReason {
		t.Errorf("before the restart %+v, after it %+v", first.Pace, second.Pace)
	}
	if n := asked.Load() - before; n != 1 {
		t.Errorf("%d requests were sent after the restart, want one probe", n)
	}
}

// One of two keys dies in the middle: no prompt is lost, no job fails, and it
// is seen which one. Then the configuration is reread without it.
func TestDispatcherKeysOfOneGroup(t *testing.T) {
	const n = 1200
	b := newBench(t, simulator.Config{Latency: time.Millisecond})
	b.keys = []provider.KeyRef{{Env: "A", QuotaGroup: "team"}, {Env: "B", QuotaGroup: "team"}}
	b.environ = map[string]string{"A": "key-a", "B": "key-b"}
	var mu sync.Mutex
	used := map[string]int{}
	dead := ""
	b.before = func(w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		used[bearer(r)]++
		if used["key-b"] == 150 {
			dead = "key-b"
		}
		if bearer(r) == dead {
			refuse(w, 401, "invalid_api_key", "Incorrect API key provided.")
			return true
		}
		return false
	}
	var log logged
	b.start(func(c *Config) { log.into(c); c.MaxHold = time.Nanosecond })
	id := b.submit("a", job.Job{MaxRetries: 1}, prompts(n, "keys")...)
	j := b.wait(id, settled)
	if j.Status != job.Completed || j.CompletedCount != n || j.FailedCount != 0 {
		t.Fatalf("%s, %d completed, %d failed: %s", j.Status, j.CompletedCount, j.FailedCount, j.FailureReason)
	}
	b.answered(id, n, "keys")
	lanes, err := b.d.Lanes(context.Background())
	if err != nil || len(lanes) != 1 || len(lanes[0].Credentials) != 2 ||
		lanes[0].Credentials[0] != (CredentialState{"A", false}) || lanes[0].Credentials[1] != (CredentialState{"B", true}) {
		t.Errorf("lanes %+v, %v", lanes, err)
	}
	if !strings.Contains(log.String(), "a credential is refused and put aside") || !strings.Contains(log.String(), "credential=B") || strings.Contains(log.String(), "key-b") {
		t.Errorf("the log says\n%s", &log)
	}
	b.keys = b.keys[:1]
	b.d.Reload(b.settings())
	mu.Lock()
	before := used["key-b"]
	mu.Unlock()
	next := b.submit("a", job.Job{}, prompts(500, "less")...)
	b.wait(next, settled)
	mu.Lock()
	defer mu.Unlock()
	if used["key-b"] != before {
		t.Errorf("a key that is not configured any more was used %d times", used["key-b"]-before)
	}
}

// A credential that is refused is replaced while the job is held: it is probed
// at once.
func TestDispatcherReloadsACredential(t *testing.T) {
	b := newBench(t, simulator.Config{})
	b.keys, b.environ = []provider.KeyRef{{Env: "K"}}, map[string]string{"K": "old"}
	var asked atomic.Int64
	b.before = func(w http.ResponseWriter, r *http.Request) bool {
		if bearer(r) == "old" && asked.Add(1) > 100 {
			refuse(w, 401, "invalid_api_key", "Incorrect API key provided.")
			return true
		}
		return false
	}
	b.start(nil)
	id := b.submit("a", job.Job{}, prompts(500, "rotate")...)
	j := b.wait(id, held)
	if !strings.Contains(j.Pace.HoldReason, "set K to a valid key") {
		t.Errorf("held for %q", j.Pace.HoldReason)
	}
	lanes, err := b.d.Lanes(context.Background())
	if err != nil || len(lanes) != 1 || lanes[0].Hold != "refused" || len(lanes[0].Credentials) != 1 || lanes[0].Credentials[0].Aside {
		t.Errorf("nothing is put aside where nothing else works: lanes %+v, %v", lanes, err)
	}
	b.environ = map[string]string{"K": "new"}
	begun := time.Now()
	b.d.Reload(b.settings())
	b.wait(id, settled)
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("it went on after %s, and not at once", took)
	}
	b.answered(id, 500, "rotate")
}

// A quota group that is not configured any more gives its jobs to another.
func TestDispatcherReloadsGroups(t *testing.T) {
	const n = 600
	b := newBench(t, simulator.Config{Latency: 5 * time.Millisecond})
	b.keys = []provider.KeyRef{{Env: "A", QuotaGroup: "one"}, {Env: "B", QuotaGroup: "two"}}
	b.environ = map[string]string{"A": "key-a", "B": "key-b"}
	var a, others atomic.Int64
	b.before = func(_ http.ResponseWriter, r *http.Request) bool {
		if bearer(r) == "key-a" {
			a.Add(1)
		} else {
			others.Add(1)
		}
		return false
	}
	b.start(nil)
	first := b.submit("a", job.Job{}, prompts(n, "one")...)
	second := b.submit("b", job.Job{}, prompts(n, "two")...)
	b.wait(first, func(j *job.Job) bool { return j.CompletedCount > 100 })
	b.wait(second, func(j *job.Job) bool { return j.CompletedCount > 100 })
	if a.Load() == 0 || others.Load() == 0 {
		t.Errorf("two jobs are not in two groups: %d and %d requests", a.Load(), others.Load())
	}
	b.keys = b.keys[1:]
	b.d.Reload(b.settings())
	b.wait(first, settled)
	b.wait(second, settled)
	b.answered(first, n, "one")
	b.answered(second, n, "two")
	if s := b.sim.Stats(); s.AnsweredMoreThanOnce != 0 {
		t.Errorf("%d prompts were answered twice", s.AnsweredMoreThanOnce)
	}
	lanes, err := b.d.Lanes(context.Background())
	if err != nil || len(lanes) != 1 || lanes[0].Lane.Group != "two" {
		t.Errorf("lanes %+v, %v", lanes, err)
	}
}

// The operator's cap of a day holds the job until midnight; a higher one after
// a reread lets it go on.
func TestDispatcherDayCap(t *testing.T) {
	b := newBench(t, simulator.Config{})
	b.rpd = 40
	b.start(nil)
	id := b.submit("a", job.Job{}, prompts(100, "day")...)
	j := b.wait(id, held)
	midnight := time.Now().UTC().Truncate(day).Add(day)
	if sent := b.sim.Stats().Requests; sent != 40 {
		t.Errorf("%d requests under a cap of 40", sent)
	}
	if until := j.Pace.HeldUntil; !until.Equal(midnight) && !until.Equal(midnight.Add(-day)) || !strings.Contains(j.Pace.HoldReason, "40 requests a day") {
		t.Errorf("%+v", j.Pace)
	}
	if err := b.end(); err != nil {
		t.Fatal(err)
	}
	b.start(nil)
	b.wait(id, held)
	if sent := b.sim.Stats().Requests; sent != 40 {
		t.Errorf("after a restart %d requests under a cap of 40", sent)
	}
	b.rpd = 1000
	b.d.Reload(b.settings())
	b.wait(id, settled)
	b.answered(id, 100, "day")
}

// A lane and its workers end when they have nothing to do, and begin again.
func TestDispatcherEndsIdleLanes(t *testing.T) {
	b := newBench(t, simulator.Config{})
	b.idle = time.Millisecond
	var log logged
	b.start(log.into)
	for round := range 5 {
		id := b.submit("a", job.Job{}, prompts(50, fmt.Sprint("idle", round))...)
		b.wait(id, settled)
		b.answered(id, 50, fmt.Sprint("idle", round))
	}
	until := time.After(20 * time.Second)
	for {
		lanes, err := b.d.Lanes(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if len(lanes) == 0 {
			break
		}
		select {
		case <-until:
			t.Fatalf("the lane does not end: %+v", lanes)
		default:
		}
	}
	if !strings.Contains(log.String(), "a lane that had nothing to do ends") {
		t.Errorf("the log says\n%s", &log)
	}
}

// An empty answer that was cut by its limit of tokens is an answer: it is paid
// for, and asked once.
func TestDispatcherAsksAnEmptyAnswerOnce(t *testing.T) {
	b := newBench(t, simulator.Config{})
	b.start(nil)
	id := b.submit("a", job.Job{MaxRetries: 5}, `{"prompt_id":1,"prompt":"[[simulate:empty]] think","max_tokens":5}`)
	j := b.wait(id, settled)
	if j.Status != job.Completed || j.CompletedCount != 1 || j.RequestsSent != 1 || b.sim.Stats().Requests != 1 {
		t.Errorf("%s, %d completed after %d requests", j.Status, j.CompletedCount, j.RequestsSent)
	}
	if got := b.outcomes(id)[1]; !strings.Contains(got, `"result":""`) || !strings.Contains(got, `"finish_reason":"length"`) {
		t.Errorf("it is %s", got)
	}
}
