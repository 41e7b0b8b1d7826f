package main

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/promptforge/promptforge/simulator"
)

// An upload that the server refuses leaves a job that takes another file.
func TestUploadAfterARefusedOne(t *testing.T) {
	t.Parallel()
	sim := simulate(t, simulator.Config{})
	dir := t.TempDir()
	s := startServe(t, sim.env(), dir, "--max-upload-bytes", "200")
	c := client(t, s, dir, "alice")
	got := exec(t, c, submitArgs(promptsFile(t, 50))...)
	got.wantSentence(t, 1, "the upload failed", "promptforge jobs upload ")
	_, after, _ := strings.Cut(got.stderr, "promptforge jobs upload ")
	id, _, _ := strings.Cut(after, " ")

	exec(t, c, "jobs", "upload", id, "nowhere.jsonl").wantSentence(t, 1, "there is no file nowhere.jsonl")
	again := exec(t, c, "jobs", "upload", id, promptsFile(t, 3))
	again.want(t, 0, "promptforge jobs watch "+id)
	if !strings.HasPrefix(again.stdout, "3 prompts uploaded") {
		t.Errorf("stdout: %s", again.stdout)
	}
	exec(t, c, "jobs", "watch", id).want(t, 0, "3 of 3 done")
	exec(t, c, "jobs", "upload", id, promptsFile(t, 3)).wantSentence(t, 1, "COMPLETED", "promptforge jobs submit")
}

// A file without a usable line makes the job FAILED, and that is said.
func TestUploadWithoutAUsableLine(t *testing.T) {
	t.Parallel()
	_, c := deployment(t, simulator.Config{})
	file := filepath.Join(t.TempDir(), "p.jsonl")
	write(t, file, "no JSON\n")
	got := exec(t, c, submitArgs(file, "--wait")...)
	got.want(t, 1, "the job is FAILED", "promptforge jobs results "+lastLine(got.stdout)+" --partial")
	write(t, file, "")
	exec(t, c, submitArgs(file)...).want(t, 1, "the file has no line at all")
}

// A URL that has expired meanwhile is asked for again, once.
func TestUploadRenewsItsURL(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	made := func(w http.ResponseWriter, url string) {
		fmt.Fprintf(w, `{"job_id":%q,"upload_url":"%s%s","expires_at":"2030-01-01T00:00:00Z"}`, fakeID, f.url, url)
	}
	f.HandleFunc("POST /v1/jobs/init", func(w http.ResponseWriter, _ *http.Request) { made(w, "/old") })
	f.HandleFunc("POST /v1/jobs/"+fakeID+"/upload-url", func(w http.ResponseWriter, _ *http.Request) { made(w, "/new") })
	expired := func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"detail":"This URL has expired."}`)
	}
	f.HandleFunc("PUT /old", expired)
	good := true
	f.HandleFunc("PUT /new", func(w http.ResponseWriter, r *http.Request) {
		if !good {
			expired(w, r)
			return
		}
		fmt.Fprintf(w, `{"job_id":%q,"status":"QUEUED","prompt_count":2}`, fakeID)
	})
	exec(t, f.env(), submitArgs(promptsFile(t, 2))...).want(t, 0, "2 prompts uploaded")
	good = false
	exec(t, f.env(), submitArgs(promptsFile(t, 2))...).wantSentence(t, 1, "This URL has expired", "promptforge jobs upload "+fakeID)
}
