package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/promptforge/promptforge/simulator"
)

// moody is a provider in front of which a test can stand.
type moody struct {
	*httptest.Server
	answered atomic.Int64
}

// newMoody makes a provider. refuse answers in its place, where it wants to.
func newMoody(t *testing.T, refuse func(w http.ResponseWriter, r *http.Request) bool) *moody {
	t.Helper()
	sim, err := simulator.New(simulator.Config{})
	if err != nil {
		t.Fatal(err)
	}
	m := &moody{}
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !refuse(w, r) {
			m.answered.Add(1)
			sim.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(m.Close)
	return m
}

func say(w http.ResponseWriter, status int, code, message string) bool {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"error":{"message":%q,"type":%q,"code":%q}}`, message, code, code)
	return true
}

// with deploys a server whose OpenAI is the provider.
func with(t *testing.T, m *moody, key string, flags ...string) *deployment {
	t.Helper()
	d := &deployment{t: t, dir: t.TempDir(), flags: flags}
	d.environ = []string{"OPENAI_API_KEY=" + key, "OPENAI_BASE_URL=" + m.URL + "/v1"}
	d.up()
	d.key = d.newKey("tester")
	return d
}

func (d *deployment) begin(prompts int, text string) (id string) {
	d.t.Helper()
	return d.submit(d.key, "", promptLines(prompts, text))
}

// A wrong key from the start: the job is FAILED within 10 s, with a sentence
// that names the variable to set; run likewise.
func TestWrongKeyFailsSoon(t *testing.T) {
	m := newMoody(t, func(w http.ResponseWriter, _ *http.Request) bool {
		return say(w, 401, "invalid_api_key", "Incorrect API key provided.")
	})
	d := with(t, m, "sk-wrong")
	begun := time.Now()
	j := d.settled(d.key, d.begin(2000, "wrong"))
	if took := time.Since(begun); j.Status != "FAILED" || took > 10*time.Second {
		t.Errorf("%s after %s", j.Status, took)
	}
	if !strings.Contains(j.FailureReason, "set OPENAI_API_KEY to a valid key") {
		t.Errorf("the reason is %s", j.FailureReason)
	}
	file := filepath.Join(d.dir, "prompts.jsonl")
	if err := os.WriteFile(file, []byte(promptLines(50, "wrong")), 0o600); err != nil {
		t.Fatal(err)
	}
	begun = time.Now()
	code, _, errs := command(t, d.environ, "run", file, "--provider", "openai", "--model", "gpt-4o-mini")
	if took := time.Since(begun); code != 1 || took > 10*time.Second || !strings.Contains(errs, "set OPENAI_API_KEY to a valid key") {
		t.Errorf("run ended with %d after %s: %s", code, took, errs)
	}
}

// Credit is used up at 60 %. Topped up, the job goes on; not topped up it is
// FAILED, and another one continues it. Either way each prompt is bought once.
func TestCreditUsedUp(t *testing.T) {
	const prompts = 1000
	for _, toppedUp := range []bool{true, false} {
		t.Run(fmt.Sprintf("topped up %v", toppedUp), func(t *testing.T) {
			var credit atomic.Int64
			credit.Store(prompts * 6 / 10)
			m := newMoody(t, func(w http.ResponseWriter, _ *http.Request) bool {
				return credit.Add(-1) < 0 && say(w, 429, "insufficient_quota", "You exceeded your current quota, please check your plan and billing details.")
			})
			hold := "1h"
			if !toppedUp {
				hold = "1ms"
			}
			d := with(t, m, "any", "--max-hold", hold)
			id := d.begin(prompts, "credit")
			if toppedUp {
				until(t, "a hold", func() bool { return d.job(d.key, id).HoldReason != "" })
				if j := d.job(d.key, id); j.HeldSince == "" || !strings.Contains(j.HoldReason, "exceeded your current quota") {
					t.Errorf("held for %q since %q", j.HoldReason, j.HeldSince)
				}
				credit.Store(prompts)
				if code, _, errs := command(t, nil, "lanes", "resume", "--data-dir", d.data()); code != 0 {
					t.Errorf("resume ended with %d: %s", code, errs)
				}
			} else {
				j := d.settled(d.key, id)
				if j.Status != "FAILED" || j.CompletedCount != prompts*6/10 {
					t.Fatalf("%s with %d completed", j.Status, j.CompletedCount)
				}
				credit.Store(prompts)
				var next struct {
					JobID string `json:"job_id"`
				}
				call(t, d.request("POST", "/v1/jobs/init", d.key, fmt.Sprintf(`{"provider":"openai","model":"gpt-4o-mini","continue_from":%q}`, id)), 202, &next)
				id = next.JobID
			}
			if j := d.settled(d.key, id); j.Status != "COMPLETED" {
				t.Fatalf("%s: %s", j.Status, j.FailureReason)
			}
			d.answered(d.key, id, prompts, "credit")
			if n := m.answered.Load(); n != prompts {
				t.Errorf("%d answers were bought for %d prompts", n, prompts)
			}
		})
	}
}

// A hold outlives kill -9, with its beginning, and SIGHUP with another
// credential ends it at once.
func TestHoldOverAKillAndSIGHUP(t *testing.T) {
	var asked atomic.Int64
	m := newMoody(t, func(w http.ResponseWriter, r *http.Request) bool {
		return r.Header.Get("Authorization") == "Bearer old" && asked.Add(1) > 100 && say(w, 401, "invalid_api_key", "Incorrect API key provided.")
	})
	dir := t.TempDir()
	config, key := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "key")
	for name, text := range map[string]string{
		key: "old\n", config: fmt.Sprintf("providers: {openai: {base_url: %s/v1, api_keys: [{file: %s}]}}\n", m.URL, key),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := with(t, m, "unused", "--config", config, "--log-level", "info")
	id := d.begin(500, "hold")
	until(t, "a hold", func() bool { return d.job(d.key, id).HoldReason != "" })
	since := d.job(d.key, id).HeldSince
	d.killed()
	before := asked.Load()
	d.up()
	until(t, "a probe after the kill", func() bool { return asked.Load() > before })
	until(t, "the hold after the kill", func() bool { return d.job(d.key, id).HoldReason != "" })
	if again := d.job(d.key, id).HeldSince; again != since {
		t.Errorf("held since %q, after the kill since %q", since, again)
	}
	if err := os.WriteFile(key, []byte("new\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.server.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if j := d.settled(d.key, id); j.Status != "COMPLETED" {
		t.Fatalf("%s: %s", j.Status, j.FailureReason)
	}
	d.answered(d.key, id, 500, "hold")
	d.terminated(t)
}
