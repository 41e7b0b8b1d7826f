package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// These tests make a server misbehave in ways that ours does not.

const fakeID = "3f7a1c2e-4b5d-4e7f-8a9b-0c1d2e3f4a5b"

type fakeServer struct {
	*http.ServeMux
	url string
}

func newFake(t *testing.T) *fakeServer {
	f := &fakeServer{ServeMux: http.NewServeMux()}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

func (f *fakeServer) env() env {
	return env{"PROMPTFORGE_URL": f.url, "PROMPTFORGE_API_KEY": "pf_x"}
}

func (f *fakeServer) job(status string) {
	f.HandleFunc("GET /v1/jobs/"+fakeID, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, statusJSON(status, 3))
	})
}

func statusJSON(status string, done int) string {
	return fmt.Sprintf(`{"job_id":%q,"status":%q,"provider":"openai","model":"m","prompt_count":3,"completed_count":%d,"failed_count":0,"failure_reason":null}`, fakeID, status, done)
}

// A stream of events that breaks off is taken up again with the last event's
// id, and 204 tells that nothing changes any more.
func TestWatchConnectsAgain(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.job("COMPLETED")
	var mu sync.Mutex
	var asked []string
	f.HandleFunc("GET /v1/jobs/"+fakeID+"/events", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Header.Get("Last-Event-ID"))
		switch len(asked) {
		case 1:
			fmt.Fprintf(w, "id: a\ndata: %s\n\n: still here\n\nid: b\ndata: %s\n\n", statusJSON("PROCESSING", 1), statusJSON("PROCESSING", 2))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		case 2:
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"detail":"Starting."}`)
		case 3:
			fmt.Fprintf(w, "id: c\ndata: %s\n\n", statusJSON("COMPLETED", 3))
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	})
	got := exec(t, f.env(), "jobs", "watch", fakeID, "--json")
	got.want(t, 0)
	if want := statusJSON("PROCESSING", 1) + "\n" + statusJSON("PROCESSING", 2) + "\n" + statusJSON("COMPLETED", 3) + "\n"; got.stdout != want {
		t.Errorf("it printed\n%s\nwant\n%s", got.stdout, want)
	}
	if got := strings.Join(asked, ","); got != ",b,b,c" {
		t.Errorf("Last-Event-ID was %s", got)
	}
}

func TestWatchEndsWithTheJob(t *testing.T) {
	t.Parallel()
	for status, code := range map[string]int{"COMPLETED": 0, "FAILED": 1, "CANCELLED": 1} {
		f := newFake(t)
		f.job(status)
		f.HandleFunc("GET /v1/jobs/"+fakeID+"/events", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNoContent)
		})
		exec(t, f.env(), "jobs", "watch", fakeID).want(t, code, "The job is "+status)
	}
}

func TestRefusalsInTheServersWords(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.HandleFunc("/v1/", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"detail":"There is no such job."}`)
	})
	for _, args := range [][]string{
		{"status", fakeID},
		{"watch", fakeID},
		{"results", fakeID, "--out", t.TempDir()},
		{"cancel", fakeID},
		{"delete", fakeID},
		{"list"},
		{"submit", promptsFile(t, 1), "--provider", "a", "--model", "b"},
	} {
		exec(t, f.env(), append([]string{"jobs"}, args...)...).wantSentence(t, 1, "promptforge: There is no such job.")
	}
}

func TestAServerThatIsNotOurs(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	exec(t, f.env(), "jobs", "status", fakeID).wantSentence(t, 1, f.url, "418", "is no PromptForge server")
	exec(t, env{"PROMPTFORGE_API_KEY": "x", "PROMPTFORGE_URL": "http://127.0.0.1:1"}, "jobs", "cancel", fakeID).
		wantSentence(t, 1, "no server answers at http://127.0.0.1:1", "promptforge serve", "PROMPTFORGE_URL")
	exec(t, env{"PROMPTFORGE_URL": f.url}, "jobs", "list").wantSentence(t, 1, "PROMPTFORGE_API_KEY is not set")
	exec(t, env{"PROMPTFORGE_URL": "localhost:8080", "PROMPTFORGE_API_KEY": "x"}, "jobs", "list").wantSentence(t, 1, "PROMPTFORGE_URL: needs an absolute")
	exec(t, env{"PROMPTFORGE_API_KEY": "a\nb"}, "jobs", "list").wantSentence(t, 1, "PROMPTFORGE_API_KEY: ")
}

// fakeResults serves one results file that breaks off after so many bytes each
// time, and an empty errors.jsonl.
func (f *fakeServer) fakeResults(content string, piece int, ranges *[]string) {
	f.HandleFunc("GET /v1/jobs/"+fakeID+"/results", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"job_id":%q,"status":"COMPLETED","files":[{"filename":"results_part_001.jsonl","url":"%[2]s/f/r"},{"filename":"errors.jsonl","url":"%[2]s/f/e"}]}`, fakeID, f.url)
	})
	f.HandleFunc("/f/e", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") })
	f.HandleFunc("/f/r", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		from := 0
		if r.Method == http.MethodGet {
			*ranges = append(*ranges, r.Header.Get("Range"))
			fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from)
		}
		rest := content[from:]
		w.Header().Set("Content-Length", fmt.Sprint(len(rest)))
		if from > 0 {
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(content)-1, len(content)))
			w.WriteHeader(http.StatusPartialContent)
		}
		if r.Method == http.MethodHead {
			return
		}
		if len(rest) > piece {
			w.Write([]byte(rest[:piece]))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		w.Write([]byte(rest))
	})
}

func TestResultsGoOnWhereTheyBrokeOff(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	content := strings.Repeat(`{"prompt_id":1}`+"\n", 20)
	var ranges []string
	f.fakeResults(content, 150, &ranges)
	dir := filepath.Join(t.TempDir(), "new", "answers")
	got := exec(t, f.env(), "jobs", "results", fakeID, "--out", dir)
	got.want(t, 0)
	if text, err := os.ReadFile(filepath.Join(dir, "results_part_001.jsonl")); string(text) != content {
		t.Errorf("the file has %d bytes, %v", len(text), err)
	}
	if got := strings.Join(ranges, ","); got != ",bytes=150-,bytes=300-" {
		t.Errorf("the ranges were %q", got)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
	if !strings.Contains(got.stdout, "2 files (320 bytes)") {
		t.Errorf("stdout: %s", got.stdout)
	}
}

func TestResultsRefuseNamesThatAreNone(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.HandleFunc("GET /v1/jobs/"+fakeID+"/results", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"status":"COMPLETED","files":[{"filename":"../../.profile","url":"%s/f"}]}`, f.url)
	})
	dir := filepath.Join(t.TempDir(), "out")
	exec(t, f.env(), "jobs", "results", fakeID, "--out", dir).wantSentence(t, 1, `"../../.profile"`)
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder was made")
	}
}

func TestResultsRefuseAFolderOfAnotherJob(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	var ranges []string
	f.fakeResults("{}\n", 100, &ranges)
	dir := t.TempDir()
	args := []string{"jobs", "results", fakeID, "--out", dir}
	mine := filepath.Join(dir, "results_part_001.jsonl")
	write(t, mine, "mine\n")
	exec(t, f.env(), args...).wantSentence(t, 1, "it holds results_part_001.jsonl", "empty folder")
	write(t, filepath.Join(dir, claimName), "another\n")
	exec(t, f.env(), args...).wantSentence(t, 1, "it holds the results of the job another")
	if got := lines(t, mine); len(got) != 1 || got[0] != "mine" {
		t.Errorf("they were written over: %v", got)
	}
	// Its own it may write over, as often as it likes; and once the other's are
	// gone, the folder is free.
	for range 2 {
		os.Remove(mine)
		exec(t, f.env(), args...).want(t, 0)
	}
	exec(t, f.env(), args...).want(t, 0)
}

// A file that is compressed on its way, and a broken connection, after which
// the same bytes come again.
func TestUploadComesAgain(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	tries := 0
	f.HandleFunc("POST /v1/jobs/init", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Idempotency-Key") == "" {
			t.Error("no Idempotency-Key, so the request could not be repeated")
		}
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprintf(w, `{"job_id":%q,"upload_url":"%s/up","expires_at":"2030-01-01T00:00:00Z"}`, fakeID, f.url)
	})
	f.HandleFunc("PUT /up", func(w http.ResponseWriter, r *http.Request) {
		tries++
		if tries == 1 {
			panic(http.ErrAbortHandler)
		}
		if r.Header.Get("X-API-Key") != "" {
			t.Error("the key went to the upload URL")
		}
		fmt.Fprintf(w, `{"job_id":%q,"status":"QUEUED","prompt_count":2}`, fakeID)
	})
	got := exec(t, f.env(), "jobs", "submit", promptsFile(t, 2), "--provider", "a", "--model", "b")
	got.want(t, 0, "2 prompts uploaded", "promptforge jobs watch "+fakeID)
	if got.stdout != fakeID+"\n" || tries != 2 {
		t.Errorf("stdout %q after %d tries", got.stdout, tries)
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.HandleFunc("DELETE /v1/jobs/"+fakeID, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"job_id":%q,"status":"CANCELLED"}`, fakeID)
	})
	got := exec(t, f.env(), "jobs", "delete", fakeID)
	got.want(t, 0)
	if got.stdout != "The job "+fakeID+" is gone.\n" {
		t.Errorf("stdout: %s", got.stdout)
	}
	if got := exec(t, f.env(), "jobs", "delete", fakeID, "--json"); got.stdout != `{"job_id":"`+fakeID+`","status":"CANCELLED"}`+"\n" {
		t.Errorf("stdout: %s", got.stdout)
	}
}

// Whoever answers at the address may be anyone.
func TestTheWrongServer(t *testing.T) {
	t.Parallel()
	s := startServe(t, nil, t.TempDir())
	plain, secure := newFake(t), httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	plain.HandleFunc("GET /page/v1/jobs", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") })
	for url, want := range map[string]string{
		"http://" + s.grpc:                           "gRPC port",
		strings.Replace(s.url, "http:", "https:", 1): "begin the URL with http://",
		plain.url:            "no PromptForge server; set PROMPTFORGE_URL or --url to one (it answered 404 Not Found)",
		plain.url + "/page":  "no PromptForge server",
		secure.URL:           "not trusted here",
		"http://127.0.0.1:1": "no server answers at",
	} {
		exec(t, env{"PROMPTFORGE_API_KEY": "pf_x"}, "jobs", "list", "--url", url).wantSentence(t, 1, want)
	}
}
