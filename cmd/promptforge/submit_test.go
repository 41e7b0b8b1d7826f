package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/simulator"
)

// Every field of the contract's init can be said on the command line.
func TestSubmitHasEveryField(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	var sent map[string]any
	f.HandleFunc("POST /v1/jobs/init", func(w http.ResponseWriter, r *http.Request) {
		sent = nil
		if err := json.NewDecoder(r.Body).Decode(&sent); err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, `{"job_id":%q,"upload_url":null,"expires_at":null}`, fakeID)
	})
	f.job("QUEUED")
	flags := []string{
		"--provider", "a", "--model", "b", "--max-retries", "1", "--rpm", "2", "--tpm", "3",
		"--metadata", "k=v", "--webhook-url", "https://hook.example/x", "--continue-from", fakeID,
	}
	exec(t, f.env(), append([]string{"jobs", "submit"}, flags...)...).want(t, 0)
	fields := (&promptforgev1.InitJobRequest{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if name := string(fields.Get(i).Name()); sent[name] == nil {
			t.Errorf("no flag says %s", name)
		}
	}
	if sent["webhook_url"] != "https://hook.example/x" || sent["continue_from"] != fakeID {
		t.Errorf("it sent %v", sent)
	}
}

// What failed is tried again in a job of its own, and nothing is bought twice.
func TestSubmitContinues(t *testing.T) {
	t.Parallel()
	sim, c := deployment(t, simulator.Config{})
	file := filepath.Join(t.TempDir(), "p.jsonl")
	write(t, file, `{"prompt_id": 1, "prompt": "one"}
{"prompt_id": 2, "prompt": "[[simulate:400:1]]"}
`)
	first := exec(t, c, submitArgs(file, "--wait")...)
	first.want(t, 0, "1 of them failed")
	second := exec(t, c, "jobs", "submit", "--continue-from", lastLine(first.stdout), "--wait")
	second.want(t, 0, "The job is COMPLETED: 2 of 2 done")
	if stats := sim.Stats(); stats.AnsweredMoreThanOnce != 0 || stats.Answered != 2 {
		t.Errorf("%d answers, %d more than once", stats.Answered, stats.AnsweredMoreThanOnce)
	}
	var j wireJob
	if err := json.Unmarshal([]byte(exec(t, c, "jobs", "status", lastLine(second.stdout), "-o", "json").stdout), &j); err != nil || or(j.ContinueFrom) != lastLine(first.stdout) {
		t.Errorf("it continues %q, %v", or(j.ContinueFrom), err)
	}
}

func TestSubmitMistakes(t *testing.T) {
	t.Parallel()
	_, c := deployment(t, simulator.Config{})
	file := promptsFile(t, 1)
	exec(t, c, "jobs", "submit").wantSentence(t, 1, "name a prompts file")
	exec(t, c, "jobs", "submit", file, "--model", "m").wantSentence(t, 1, "--provider and --model are needed")
	exec(t, c, "jobs", "submit", file, "--continue-from", fakeID).wantSentence(t, 1, "leave "+file+" out")
	exec(t, c, "jobs", "submit", "--continue-from", fakeID).wantSentence(t, 1, "--continue-from "+fakeID, "no such job")
	exec(t, c, submitArgs(file, "--webhook-url", "https://127.0.0.1/x")...).wantSentence(t, 1, "webhook_url")
	exec(t, c, submitArgs(file, "--rpm", "-5")...).wantSentence(t, 1, `--rpm: needs a whole number from 1 to 1,000,000,000,000, not "-5"`)
	exec(t, c, submitArgs(file, "--rpm", "99999999999999999999")...).wantSentence(t, 1, "--rpm: needs a whole number from 1 to 1,000,000,000,000")
}

// Ctrl-C in an upload says how to go on.
func TestStoppedUpload(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	ctx, stop := context.WithCancel(t.Context())
	f.HandleFunc("POST /v1/jobs/init", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"job_id":%q,"upload_url":"%s/up","expires_at":null}`, fakeID, f.url)
	})
	f.HandleFunc("PUT /up", func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		stop()
		<-r.Context().Done()
	})
	execWith(ctx, f.env(), "", submitArgs(promptsFile(t, 2))...).wantSentence(t, 130, "promptforge jobs upload "+fakeID)
}

func TestListInPages(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	var sizes []string
	f.HandleFunc("GET /v1/jobs", func(w http.ResponseWriter, r *http.Request) {
		sizes = append(sizes, r.FormValue("page_size"))
		next := "more"
		if r.FormValue("page_token") == "more" {
			next = ""
		}
		fmt.Fprintf(w, `{"jobs":[%s],"next_page_token":%q}`, statusJSON("COMPLETED", 3), next)
	})
	one := exec(t, f.env(), "jobs", "list", "--limit", "1")
	one.want(t, 0, "--all")
	if n := len(slices.Collect(strings.Lines(one.stdout))); n != 2 || !slices.Equal(sizes, []string{"1"}) {
		t.Errorf("asked for %v and printed\n%s", sizes, one.stdout)
	}
	sizes = nil
	all := exec(t, f.env(), "jobs", "list", "--all", "-o", "json")
	all.want(t, 0)
	if n := len(slices.Collect(strings.Lines(all.stdout))); n != 2 || !slices.Equal(sizes, []string{"1000", "1000"}) || all.stderr != "" {
		t.Errorf("asked for %v and printed\n%s%s", sizes, all.stdout, all.stderr)
	}
	exec(t, f.env(), "jobs", "list", "--all", "--limit", "1").wantSentence(t, 1, "--limit", "--all")
}

func TestListOfNothing(t *testing.T) {
	t.Parallel()
	_, c := deployment(t, simulator.Config{})
	exec(t, c, "jobs", "list").wantSentenceOnly(t, "There is no job yet")
	exec(t, c, "jobs", "list", "--status", "failed").wantSentenceOnly(t, "No job is FAILED.")
}
