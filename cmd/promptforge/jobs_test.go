package main

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/promptforge/promptforge/simulator"
)

// deployment is a server with a stand-in provider and one client.
func deployment(t *testing.T, cfg simulator.Config) (*standIn, env) {
	t.Helper()
	sim := simulate(t, cfg)
	dir := t.TempDir()
	s := startServe(t, sim.env(), dir, "--retry-base", "1ms")
	return sim, client(t, s, dir, "alice")
}

func submitArgs(file string, more ...string) []string {
	return append([]string{"jobs", "submit", file, "--provider", "openai", "--model", "m"}, more...)
}

func TestJobFromSubmitToResults(t *testing.T) {
	t.Parallel()
	_, c := deployment(t, simulator.Config{})
	got := exec(t, c, submitArgs(promptsFile(t, 30), "--metadata", "team=a", "--metadata", "note=x,y", "--max-retries", "0", "--wait")...)
	got.want(t, 0, "30 prompts uploaded", "The job is COMPLETED: 30 of 30 done")
	id := lastLine(got.stdout)

	status := exec(t, c, "jobs", "status", id)
	status.want(t, 0)
	for _, text := range []string{"COMPLETED", "openai / m", "30 of 30 done", "metadata team", "x,y"} {
		if !strings.Contains(status.stdout, text) {
			t.Errorf("status lacks %q:\n%s", text, status.stdout)
		}
	}
	var j wireJob
	if err := json.Unmarshal([]byte(exec(t, c, "jobs", "status", id, "--json").stdout), &j); err != nil || j.JobID != id || or(j.MaxRetries) != 0 {
		t.Errorf("status --json is %+v, %v", j, err)
	}
	exec(t, c, "jobs", "watch", id).want(t, 0, "COMPLETED")
	list := exec(t, c, "jobs", "list", "--status", "COMPLETED")
	if !strings.Contains(list.stdout, id) {
		t.Errorf("list:\n%s", list.stdout)
	}
	if list := exec(t, c, "jobs", "list", "--status", "FAILED", "--json"); list.stdout != "" {
		t.Errorf("failed jobs:\n%s", list.stdout)
	}

	out := filepath.Join(t.TempDir(), "out")
	exec(t, c, "jobs", "results", id, "--out", out).want(t, 0)
	if n := len(answers(t, out)); n != 30 {
		t.Errorf("%d answers", n)
	}
	exec(t, c, "jobs", "results", id, "--out", out, "--full").want(t, 0)
	if first := lines(t, filepath.Join(out, "results_part_001.jsonl"))[0]; !strings.Contains(first, `"response":{`) {
		t.Errorf("--full gave %s", first)
	}

	exec(t, c, "jobs", "cancel", id).wantSentence(t, 1, "COMPLETED")
	exec(t, c, "jobs", "list", "--status", "lost").wantSentence(t, 1, `--status: "lost" is no status`, "PROCESSING")
}

func TestSubmitAgain(t *testing.T) {
	t.Parallel()
	sim, c := deployment(t, simulator.Config{})
	file := promptsFile(t, 5)
	first := exec(t, c, submitArgs(file, "--idempotency-key", "k", "--wait")...)
	first.want(t, 0)
	second := exec(t, c, submitArgs(file, "--idempotency-key", "k", "--wait")...)
	second.want(t, 0, "submitted before")
	if lastLine(first.stdout) != lastLine(second.stdout) || sim.Stats().Requests != 5 {
		t.Errorf("%q and %q after %d requests", first.stdout, second.stdout, sim.Stats().Requests)
	}
	exec(t, c, "jobs", "submit", file, "--provider", "openai", "--model", "n", "--idempotency-key", "k").wantSentence(t, 1, "Idempotency-Key")
}

func TestSubmitInEveryWrapping(t *testing.T) {
	t.Parallel()
	sim, c := deployment(t, simulator.Config{})
	dir := t.TempDir()
	small, err := os.ReadFile(promptsFile(t, 3))
	if err != nil {
		t.Fatal(err)
	}
	packed := filepath.Join(dir, "p.jsonl.gz")
	f, err := os.Create(packed)
	if err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(f)
	z.Write(small)
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	f.Close()
	exec(t, c, submitArgs(packed, "--wait")...).want(t, 0, "3 prompts uploaded")
	execWith(t.Context(), c, string(small), submitArgs("-", "--wait")...).want(t, 0, "3 prompts uploaded")
	// Larger than compressFrom, blanks among it.
	large := filepath.Join(dir, "large.jsonl")
	write(t, large, string(small)+strings.Repeat(strings.Repeat(" ", 1000)+"\n", 2000))
	exec(t, c, submitArgs(large, "--wait")...).want(t, 0, "3 prompts uploaded")
	if got := sim.Stats().Answered; got != 9 {
		t.Errorf("%d answers", got)
	}
}

func TestSubmitWhatIsNotOffered(t *testing.T) {
	t.Parallel()
	_, c := deployment(t, simulator.Config{})
	exec(t, c, "jobs", "submit", promptsFile(t, 1), "--provider", "nix", "--model", "m").wantSentence(t, 1, "nix", "openai")
	exec(t, c, submitArgs("nowhere.jsonl")...).wantSentence(t, 1, "there is no file nowhere.jsonl")
	if list := exec(t, c, "jobs", "list", "--json"); list.stdout != "" {
		t.Errorf("jobs were made: %s", list.stdout)
	}
}

func TestAFailedJob(t *testing.T) {
	t.Parallel()
	_, c := deployment(t, simulator.Config{})
	file := filepath.Join(t.TempDir(), "p.jsonl")
	write(t, file, `{"prompt_id": 1, "prompt": "[[simulate:401]]"}`+"\n")
	got := exec(t, c, submitArgs(file, "--wait")...)
	got.want(t, 1, "The job is FAILED")
	id := lastLine(got.stdout)
	exec(t, c, "jobs", "watch", id, "--json").want(t, 1)
	out := t.TempDir()
	exec(t, c, "jobs", "results", id, "--out", out).wantSentence(t, 1, "; --partial lists what is finished so far.")
	exec(t, c, "jobs", "results", id, "--out", out, "--partial").want(t, 0)
	if names := strings.Join(visible(t, out), " "); names != "errors.jsonl" {
		t.Errorf("the folder holds %s", names)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	// Nothing gets an answer before the cancel.
	release := make(chan struct{})
	sim, c := deployment(t, simulator.Config{})
	arrived := make(chan struct{})
	sim.after(1, func() { close(arrived); <-release })
	got := exec(t, c, submitArgs(promptsFile(t, 2000), "--rpm", "60")...)
	got.want(t, 0)
	id := lastLine(got.stdout)
	<-arrived
	exec(t, c, "jobs", "cancel", id).want(t, 0)
	close(release)
	exec(t, c, "jobs", "watch", id).want(t, 1, "The job is CANCELLED")
	if got := sim.Stats().Requests; got > 10 {
		t.Errorf("%d requests", got)
	}
}
