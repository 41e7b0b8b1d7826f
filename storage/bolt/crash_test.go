package bolt_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/bolt"
	"github.com/promptforge/promptforge/storage/storagetest"
)

const (
	crashPath = "PROMPTFORGE_TEST_CRASH_PATH"
	crashLine = "PROMPTFORGE_TEST_CRASH_LINE"
	crashJob  = "3f7a1c2e-4b5d-4e7f-8a9b-0c1d2e3f4a5b"
	crashLast = 1_000_000
)

// TestCrashChild records line after line until it is killed, and says of each
// when it is recorded. It is not a test of its own.
func TestCrashChild(t *testing.T) {
	path := os.Getenv(crashPath)
	if path == "" {
		t.Skip("run by TestCrash")
	}
	s := mustOpen(t, path)
	line, err := strconv.ParseInt(os.Getenv(crashLine), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	for ; ; line += 3 {
		var outcomes []*job.Outcome
		for l := line; l < line+3; l++ {
			outcomes = append(outcomes, outcome(l, 1500))
		}
		if _, err := s.Record(context.Background(), []storage.Record{{ID: crashJob, Outcomes: outcomes, SentThrough: line + 2}}); err != nil {
			t.Fatal(err)
		}
		fmt.Println("recorded", line+2)
	}
}

// TestCrash kills a process again and again while it records. Whatever it said
// was recorded is there, and what it did not say is there whole or not at all.
func TestCrash(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	s := mustOpen(t, path)
	lease := startJob(t, s, crashJob, crashLast)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	recorded := int64(0)
	for range 5 {
		recorded = max(recorded, killWhileRecording(t, path, recorded+1))
		s := mustOpen(t, path)
		j, err := s.Job(t.Context(), "", crashJob)
		if err != nil {
			t.Fatal(err)
		}
		if j.CompletedCount < recorded || j.CompletedCount%3 != 0 || j.SentThrough != j.CompletedCount {
			t.Fatalf("%d lines are recorded, the child said %d", j.CompletedCount, recorded)
		}
		recorded = j.CompletedCount
		storagetest.Check(t, s, 1, "client")
		c, err := s.Claim(t.Context(), lease, crashJob, time.Now())
		if err != nil || int64(c.Done.GetCardinality()) != recorded || int64(c.Done.Maximum()) != recorded {
			t.Fatalf("done are %d lines (%v)", c.Done.GetCardinality(), err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killWhileRecording returns the last line that the child said was recorded.
func killWhileRecording(t *testing.T, path string, from int64) (last int64) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run=^TestCrashChild$")
	child.Env = append(os.Environ(), crashPath+"="+path, crashLine+"="+fmt.Sprint(from))
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	left := 20 + rand.IntN(100)
	for lines.Scan() {
		text, ok := strings.CutPrefix(lines.Text(), "recorded ")
		if !ok {
			continue
		}
		if last, err = strconv.ParseInt(text, 10, 64); err != nil {
			t.Fatal(err)
		}
		if left--; left == 0 {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || left > 0 {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return last
}

// startJob makes a PROCESSING job.
func startJob(t testing.TB, s *bolt.Store, id job.ID, prompts int64) storage.Lease {
	t.Helper()
	ctx := context.Background()
	now := time.Now()
	lane := job.Lane{Provider: "openai", Group: "default", Model: "m"}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, _, err := s.CreateJob(ctx, &job.Job{ID: id, Client: "client", Provider: "openai", Model: "m", CreatedAt: now}, nil)
	check(err)
	_, err = s.CompleteUpload(ctx, id, storage.Upload{
		Prompts: job.PromptsFile{Name: "prompts/" + string(id), Bytes: 1, Usable: prompts}, PromptCount: prompts,
	}, now)
	check(err)
	lease, err := s.HoldLane(ctx, lane, "test")
	check(err)
	_, err = s.Claim(ctx, lease, id, now)
	check(err)
	return lease
}

// outcome is a result of about so many bytes.
func outcome(line int64, size int) *job.Outcome {
	public := fmt.Sprintf(`{"prompt_id":%d,"result":"%s"}`, line, strings.Repeat("a", size/2))
	return &job.Outcome{Line: line, Public: []byte(public), Response: []byte(public), HTTPStatus: 200, RequestID: "req", PromptTokens: 9, CompletionTokens: 9}
}
