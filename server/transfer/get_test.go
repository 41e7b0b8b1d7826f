package transfer

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// record gives a job outcomes for some of its lines: results for the even
// ones and error records for the odd ones.
func (e *env) record(id job.ID, first, last int64) {
	e.Helper()
	r := storage.Record{ID: id, SentThrough: last, Requests: last - first + 1}
	for line := first; line <= last; line++ {
		o := &job.Outcome{Line: line, Failed: line%2 == 1, Response: []byte(fmt.Sprintf(`{"line":%d}`, line))}
		o.Public = []byte(fmt.Sprintf(`{"prompt_id":%d,"result":"r"}`, line))
		if o.Failed {
			o.Public = []byte(fmt.Sprintf(`{"prompt_id":%d,"error":"timeout"}`, line))
		}
		r.Outcomes = append(r.Outcomes, o)
	}
	recorded, err := e.store.Record(e.Context(), []storage.Record{r})
	if err != nil || recorded[0].Err != nil {
		e.Fatal(err, recorded)
	}
}

// running makes a job of n prompts that is PROCESSING.
func (e *env) running(n int) job.ID {
	e.Helper()
	id, url := e.newJob()
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"prompt_id\":%d,\"prompt\":\"p\"}\n", i+1)
	}
	e.want(e.put(url, b.String()), http.StatusOK)
	lease, err := e.store.HoldLane(e.Context(), job.Lane{Provider: "openai", Group: "g", Model: "m"}, "test")
	if err != nil {
		e.Fatal(err)
	}
	if _, err := e.store.Claim(e.Context(), lease, id, e.now()); err != nil {
		e.Fatal(err)
	}
	return id
}

func TestDownload(t *testing.T) {
	e := newEnv(t)
	id := e.running(6)
	e.record(id, 1, 4)
	get := func(name string, full bool, header http.Header) answer {
		t.Helper()
		return e.do(http.MethodGet, e.handler.Signer.DownloadURL(client, id, name, full, start.Add(time.Hour)), header, nil)
	}
	const part = "results_part_001.jsonl"
	wantBody := func(a answer, status int, want string) {
		t.Helper()
		if a.status != status || a.body != want {
			t.Errorf("%d %q, want %d %q", a.status, a.body, status, want)
		}
	}
	results := "{\"prompt_id\":2,\"result\":\"r\"}\n{\"prompt_id\":4,\"result\":\"r\"}\n"
	first := get(part, false, nil)
	wantBody(first, http.StatusOK, results)
	wantBody(get(part, true, nil), http.StatusOK,
		"{\"prompt_id\":2,\"result\":\"r\",\"response\":{\"line\":2}}\n{\"prompt_id\":4,\"result\":\"r\",\"response\":{\"line\":4}}\n")
	wantBody(get("errors.jsonl", false, nil), http.StatusOK,
		"{\"prompt_id\":1,\"error\":\"timeout\"}\n{\"prompt_id\":3,\"error\":\"timeout\"}\n")
	if got := first.header.Get("Content-Disposition"); got != `attachment; filename="`+part+`"` {
		t.Errorf("Content-Disposition %s", got)
	}

	// A download that broke goes on where it was, unless the file has grown.
	tag := first.header.Get("ETag")
	rest := http.Header{"Range": {"bytes=40-"}, "If-Range": {tag}}
	wantBody(get(part, false, rest), http.StatusPartialContent, results[40:])
	wantBody(get(part, false, http.Header{"If-None-Match": {tag}}), http.StatusNotModified, "")
	e.record(id, 5, 6)
	results += "{\"prompt_id\":6,\"result\":\"r\"}\n"
	wantBody(get(part, false, rest), http.StatusOK, results)
	wantBody(get(part, false, http.Header{"If-None-Match": {tag}}), http.StatusOK, results)
	e.want(get(part, false, http.Header{"If-Match": {tag}}), http.StatusPreconditionFailed)
	if full := get(part, true, nil).header.Get("ETag"); full == get(part, false, nil).header.Get("ETag") {
		t.Error("both views have one tag")
	}
	e.want(get("results_part_002.jsonl", false, nil), http.StatusNotFound)
}

func TestDownloadWhenTheStoreIsAway(t *testing.T) {
	a := &away{}
	e := newEnv(t, func(c *Config) { a.Store = c.Store; c.Store = a })
	id, _ := e.newJob()
	made := e.handler.Signer.DownloadURL(client, id, "errors.jsonl", false, start.Add(time.Hour))
	e.want(e.do(http.MethodGet, made, nil, nil), http.StatusOK)
	a.job = storage.ErrClosed
	e.want(e.do(http.MethodGet, made, nil, nil), http.StatusServiceUnavailable)
	a.job, a.hasKey = nil, storage.ErrClosed
	e.want(e.do(http.MethodGet, made, nil, nil), http.StatusServiceUnavailable)
}
