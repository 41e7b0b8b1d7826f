//go:build outside

package e2e

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// These tests run programs that nobody here wrote; make check installs them
// and sets the tag.

// TestCurlDoesTheWholeJob runs testdata/job.sh, and then asks with a URL that
// has expired.
func TestCurlDoesTheWholeJob(t *testing.T) {
	d := deploy(t, []string{"--latency", "5ms"})
	work := t.TempDir()
	file := filepath.Join(work, "prompts.jsonl")
	if err := os.WriteFile(file, []byte(promptLines(300, "curl")), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "testdata/job.sh")
	cmd.Env = append(os.Environ(), "WORK="+work, "PROMPTS="+file, "URL="+d.server.url, "KEY="+d.key)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	id := strings.TrimSpace(string(out))
	checkAnswers(t, readAnswers(t, onlyResults(t, work)), 300, "curl")

	d.server.signal(syscall.SIGTERM)
	d.flags = []string{"--results-url-ttl", "1ns"}
	d.up()
	var list struct{ Files []struct{ URL string } }
	call(t, d.request("GET", "/v1/jobs/"+id+"/results", d.key, ""), 200, &list)
	got, err := exec.Command("curl", "-sS", "-w", "\n%{http_code}", list.Files[0].URL).CombinedOutput()
	if err != nil || !strings.HasSuffix(string(got), "\n403") || !strings.Contains(string(got), "expired") {
		t.Errorf("an expired URL: %v, %s", err, got)
	}
}

// onlyResults moves what was downloaded into a folder of its own.
func onlyResults(t *testing.T, work string) string {
	t.Helper()
	dir := filepath.Join(work, "results")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"results_part_001.jsonl", "errors.jsonl"} {
		if err := os.Rename(filepath.Join(work, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestPythonSnippet follows a job with the snippet of the status page, in which
// only the base URL is another.
func TestPythonSnippet(t *testing.T) {
	python := os.Getenv("PYTHON")
	if python == "" {
		t.Fatal("PYTHON names no interpreter with requests; run it through make check")
	}
	d := deploy(t, []string{"--latency", "5ms"})
	id := d.submit(d.key, "", promptLines(200, "python"))
	source, err := os.ReadFile("testdata/wait.py")
	if err != nil {
		t.Fatal(err)
	}
	code := strings.Replace(string(source), "https://api.promptforge.dev", d.server.url, 1)
	cmd := exec.Command(python, "-c", code)
	cmd.Env = append(os.Environ(), "JOB_ID="+id, "PROMPTFORGE_API_KEY="+d.key)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.HasSuffix(string(out), "Status: COMPLETED200/200\n") {
		t.Errorf("%v: %s", err, out)
	}
	if res, err := http.Get(d.server.url + "/healthz"); err != nil || res.StatusCode != 200 {
		t.Error("the server did not survive it")
	}
}
