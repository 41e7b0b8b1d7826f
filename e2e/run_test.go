package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// begin runs the binary in the background, without waiting for a line.
func begin(t *testing.T, env []string, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(binary, args...), log: &bytes.Buffer{}, done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() { p.signal(syscall.SIGKILL) })
	return p
}

// readAnswers reads what run wrote.
func readAnswers(t *testing.T, out string) map[int64]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(out, "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no results in %s (%v)", out, err)
	}
	got := map[int64]string{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		dec := json.NewDecoder(f)
		for dec.More() {
			var line struct {
				PromptID int64 `json:"prompt_id"`
				Result   string
				Error    string
			}
			if err := dec.Decode(&line); err != nil {
				t.Fatal(err)
			}
			if _, twice := got[line.PromptID]; twice {
				t.Fatalf("prompt %d has two records", line.PromptID)
			}
			got[line.PromptID] = line.Result + line.Error
		}
		f.Close()
	}
	return got
}
