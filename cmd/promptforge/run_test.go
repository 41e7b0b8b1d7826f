package main

import (
	"bytes"
	"context"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/simulator"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/results"
)

func runArgs(file string, more ...string) []string {
	return append([]string{"run", file, "--provider", "openai", "--model", "m"}, more...)
}

func TestRun(t *testing.T) {
	t.Parallel()
	sim := simulate(t, simulator.Config{})
	file := promptsFile(t, 50)
	got := exec(t, sim.env(), runArgs(file)...)
	got.want(t, 0)
	out := strings.TrimSuffix(file, ".jsonl") + "-results"
	if !strings.Contains(got.stdout, "50 of 50 prompts have an outcome: 50 results, 0 errors") || !strings.Contains(got.stdout, out) {
		t.Errorf("stdout: %s", got.stdout)
	}
	if n := len(answers(t, out)); n != 50 {
		t.Errorf("%d answers", n)
	}
	if names := strings.Join(visible(t, out), " "); names != "errors.jsonl results_part_001.jsonl" {
		t.Errorf("the folder holds %s", names)
	}

	// Again: nothing is sent, and files that are missing come back.
	if err := os.Remove(filepath.Join(out, "results_part_001.jsonl")); err != nil {
		t.Fatal(err)
	}
	before := sim.Stats().Requests
	again := exec(t, sim.env(), runArgs(file)...)
	again.want(t, 0)
	if !strings.Contains(again.stdout, "nothing was sent") {
		t.Errorf("stdout: %s", again.stdout)
	}
	if n := len(answers(t, out)); n != 50 || sim.Stats().Requests != before {
		t.Errorf("%d answers after %d requests more", n, sim.Stats().Requests-before)
	}
}

func TestRunRefusesAnotherRunsFolder(t *testing.T) {
	t.Parallel()
	sim := simulate(t, simulator.Config{})
	out := filepath.Join(t.TempDir(), "out")
	file := promptsFile(t, 3)
	exec(t, sim.env(), runArgs(file, "--out", out)...).want(t, 0)
	before := sim.Stats().Requests
	exec(t, sim.env(), runArgs(promptsFile(t, 4), "--out", out)...).wantSentence(t, 1, out+" belongs to a run of another file", "--out")
	exec(t, sim.env(), "run", file, "--out", out, "--provider", "openai", "--model", "other").wantSentence(t, 1, "the model m")
	config := filepath.Join(t.TempDir(), "c.yaml")
	write(t, config, "providers: {local: {base_url: "+sim.url+"}}\n")
	exec(t, nil, "run", file, "--out", out, "--provider", "local", "--model", "m", "--config", config).wantSentence(t, 1, "the provider openai")
	if sim.Stats().Requests != before {
		t.Error("something was sent")
	}
	exec(t, sim.env(), runArgs(file, "--out", out)...).want(t, 0)
}

func TestRunDoesNotWriteOverForeignResults(t *testing.T) {
	t.Parallel()
	sim := simulate(t, simulator.Config{})
	out := t.TempDir()
	write(t, filepath.Join(out, "results_part_001.jsonl"), "mine\n")
	exec(t, sim.env(), runArgs(promptsFile(t, 1), "--out", out)...).wantSentence(t, 1, out+" holds results_part_001.jsonl")
	if sim.Stats().Requests != 0 {
		t.Error("something was sent")
	}
}

func TestRunMistakes(t *testing.T) {
	t.Parallel()
	sim := simulate(t, simulator.Config{})
	file := promptsFile(t, 1)
	exec(t, sim.env(), file).wantSentence(t, 1, "promptforge run "+file+" --provider")
	exec(t, sim.env(), "rn").wantSentence(t, 1, `did you mean "run"?`)
	exec(t, sim.env(), runArgs("nowhere.jsonl")...).wantSentence(t, 1, "there is no file nowhere.jsonl")
	exec(t, sim.env(), runArgs(t.TempDir())...).wantSentence(t, 1, "is a folder")
	exec(t, sim.env(), runArgs("-")...).wantSentence(t, 1, "--out: names the folder")
	exec(t, nil, runArgs(file)...).wantSentence(t, 1, "OPENAI_API_KEY")
	exec(t, sim.env(), "run", file, "--provider", "nix", "--model", "m").wantSentence(t, 1, `"nix" is not offered`, "openai")
	exec(t, sim.env(), "run", file, "--model", "m").wantSentence(t, 1, "--provider")
	exec(t, sim.env(), runArgs(file, "--max-retries", "21")...).wantSentence(t, 1, "--max-retries: needs a whole number from 0 to 20")
	exec(t, sim.env(), runArgs(file, "--out", file)...).wantSentence(t, 1, "a file has that name")
	exec(t, sim.env(), runArgs(file, "--rpm", "0")...).wantSentence(t, 1, "--rpm: needs a whole number from 1")
	if names := visible(t, filepath.Dir(file)); len(names) != 1 {
		t.Errorf("the mistakes left %v", names)
	}
}

func TestRunWithErrorsAndBrokenLines(t *testing.T) {
	t.Parallel()
	sim := simulate(t, simulator.Config{})
	file := filepath.Join(t.TempDir(), "p.jsonl")
	write(t, file, `{"prompt_id": "a", "prompt": "one"}
not json
{"prompt_id": "b", "prompt": "[[simulate:400]]"}
{"prompt_id": "a", "prompt": "again"}
`)
	got := exec(t, sim.env(), runArgs(file)...)
	got.want(t, 0)
	if !strings.Contains(got.stdout, "4 of 4 prompts have an outcome: 1 result, 3 errors") || !strings.Contains(got.stdout, "The first error is invalid_line: ") {
		t.Errorf("stdout: %s", got.stdout)
	}
	if n := len(lines(t, filepath.Join(filepath.Dir(file), "p-results", "errors.jsonl"))); n != 3 {
		t.Errorf("%d error records", n)
	}
}

func TestRunWithoutAUsableLine(t *testing.T) {
	t.Parallel()
	sim := simulate(t, simulator.Config{})
	file := filepath.Join(t.TempDir(), "p.jsonl")
	write(t, file, "not json\n")
	out := filepath.Join(filepath.Dir(file), "p-results")
	for range 2 {
		exec(t, sim.env(), runArgs(file)...).want(t, 1, "nothing was sent", "line 1: The line is not valid JSON", out, "mend "+file)
	}
	if n := len(lines(t, filepath.Join(out, "errors.jsonl"))); n != 1 {
		t.Errorf("%d error records", n)
	}
	write(t, file, "")
	exec(t, sim.env(), runArgs(file)...).want(t, 1, "the file has no line at all")

	// Mended, the same command does what it was meant to.
	write(t, file, `{"prompt_id": 1, "prompt": "What is 1 plus one?"}`+"\n")
	exec(t, sim.env(), runArgs(file)...).want(t, 0)
	if n := len(answers(t, out)); n != 1 || len(lines(t, filepath.Join(out, "errors.jsonl"))) != 0 {
		t.Errorf("%d answers, and there are errors", n)
	}
	exec(t, nil, "verify", out).want(t, 0)
}

func TestRunReadsStandardInput(t *testing.T) {
	t.Parallel()
	sim := simulate(t, simulator.Config{})
	out := filepath.Join(t.TempDir(), "out")
	text, err := os.ReadFile(promptsFile(t, 5))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		execWith(t.Context(), sim.env(), string(text), runArgs("-", "--out", out)...).want(t, 0)
	}
	if n := len(answers(t, out)); n != 5 || sim.Stats().Answered != 5 {
		t.Errorf("%d answers, %d bought", n, sim.Stats().Answered)
	}
}

// A refused credential fails the run with the reason. When it is mended, the
// same command goes on and buys nothing twice.
func TestRunFailsAndGoesOn(t *testing.T) {
	t.Parallel()
	sim := simulate(t, simulator.Config{})
	file := filepath.Join(t.TempDir(), "p.jsonl")
	write(t, file, `{"prompt_id": 1, "prompt": "[[simulate:401:2]]"}`+"\n")
	exec(t, sim.env(), runArgs(file)...).want(t, 1, "the run failed at 0 of 1 prompts")
	got := exec(t, sim.env(), runArgs(file)...)
	got.want(t, 0)
	if !strings.Contains(got.stdout, "1 result") {
		t.Errorf("stdout: %s", got.stdout)
	}
}

func TestRunStopsAndGoesOn(t *testing.T) {
	t.Parallel()
	sim := simulate(t, simulator.Config{})
	file := promptsFile(t, 300)
	out := filepath.Join(t.TempDir(), "out")
	ctx, cancel := context.WithCancel(t.Context())
	sim.after(100, cancel)
	got := execWith(ctx, sim.env(), "", runArgs(file, "--out", out, "--max-in-flight", "4")...)
	got.want(t, 130, "Stopping: ", "Ctrl-C again leaves at once", "of 300 prompts", "Run the same command again")
	so := len(answers(t, out))
	if stats := sim.Stats(); so == 0 || so >= 300 || int64(so) != stats.Answered {
		t.Errorf("%d answers are there, %d were bought", so, stats.Answered)
	}
	exec(t, sim.env(), runArgs(file, "--out", out)...).want(t, 0, "Going on")
	if n := len(answers(t, out)); n != 300 {
		t.Errorf("%d answers", n)
	}
	if stats := sim.Stats(); stats.AnsweredMoreThanOnce != 0 {
		t.Errorf("%d prompts were bought twice", stats.AnsweredMoreThanOnce)
	}
}

// SIGKILL at any moment: a prompt whose answer is recorded is never sent again.
func TestRunSurvivesSIGKILL(t *testing.T) {
	t.Parallel()
	sim := simulate(t, simulator.Config{Latency: 2 * time.Millisecond})
	file := promptsFile(t, 600)
	out := filepath.Join(t.TempDir(), "out")
	sent := map[int]int64{} // how often a prompt had been sent when its answer was recorded
	for _, at := range []int{1, 90, 170} {
		child := osexec.CommandContext(t.Context(), os.Args[0], runArgs(file, "--out", out, "--max-in-flight", "8")...)
		child.Env = append(os.Environ(), beProgram+"=1", "OPENAI_API_KEY=any", "OPENAI_BASE_URL="+sim.url)
		var stderr bytes.Buffer
		child.Stderr = &stderr
		reached := make(chan struct{})
		sim.after(at, func() { close(reached) })
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- child.Wait() }()
		select {
		case <-reached:
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-ended
		case err := <-ended:
			t.Fatalf("it ended by itself: %v\n%s", err, stderr.String())
		}
		for _, line := range recorded(t, out) {
			if _, known := sent[line]; !known {
				sent[line] = sim.PromptStats(promptOf(line)).Requests
			}
		}
	}
	if len(sent) == 0 || len(sent) == 600 {
		t.Errorf("%d answers were recorded before the kills", len(sent))
	}
	exec(t, sim.env(), runArgs(file, "--out", out)...).want(t, 0, "Going on")
	if n := len(answers(t, out)); n != 600 {
		t.Errorf("%d answers", n)
	}
	for line, before := range sent {
		if now := sim.PromptStats(promptOf(line)).Requests; now != before {
			t.Errorf("prompt %d was sent %d times more after its answer was recorded", line, now-before)
		}
	}
}

// recorded reads the lines that have an outcome in the state of a dead run.
func recorded(t *testing.T, out string) (found []int) {
	t.Helper()
	m, err := openMemory(filepath.Join(out, stateName), 1)
	if err != nil {
		t.Fatal(err)
	}
	jobs, _, err := m.store.ListJobs(t.Context(), storage.ListQuery{Client: runClient, Limit: 1})
	if err != nil || len(jobs) != 1 {
		t.Fatalf("%d jobs, %v", len(jobs), err)
	}
	for item, err := range results.After(t.Context(), m.store, m.files, jobs[0].ID, 0) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, int(item.Outcome.Line))
	}
	if err := m.close(nil); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestTwoRunsInOneFolder(t *testing.T) {
	t.Parallel()
	sim := simulate(t, simulator.Config{})
	file := promptsFile(t, 50)
	out := filepath.Join(t.TempDir(), "out")
	var second outcome
	sim.after(1, func() {
		second = execWith(context.Background(), sim.env(), "", runArgs(file, "--out", out)...)
	})
	exec(t, sim.env(), runArgs(file, "--out", out)...).want(t, 0)
	second.wantSentence(t, 1, out, "open")
}
