package server

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/health/grpc_health_v1"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

// TestKeyBeforeEverything: without a key nothing below /v1/ tells anything.
func TestKeyBeforeEverything(t *testing.T) {
	e := start(t)
	id := e.init().GetJobId()
	for _, target := range []struct{ method, path, body string }{
		{"GET", "/v1", ""},
		{"GET", "/v1/", ""},
		{"GET", "/v1/nothing", ""},
		{"GET", "/v1/jobs/no-uuid/status", ""},
		{"GET", "/v1/jobs/" + id + "/status", ""},
		{"GET", "/v1/jobs/" + id + "/events", ""},
		{"PATCH", "/v1/jobs/" + id, ""},
		{"GET", "/v1/jobs?nonsense=1", ""},
		{"POST", "/v1/jobs/init", "{"},
		{"POST", "/v1/jobs/init", strings.Repeat(" ", maxJSONBody+1)},
		{"GET", "/v1/%6aobs?a=%zz", ""},
	} {
		for _, header := range [][]string{{"X-API-Key", ""}, {"X-API-Key", "pf_wrong"}, {"X-API-Key", "", "Authorization", "Bearer " + e.key}} {
			r := e.rest(target.method, target.path, target.body, header...)
			if r.status != http.StatusUnauthorized || !strings.HasPrefix(r.body, `{"detail":"`) {
				t.Errorf("%s %s with %v: %d %s", target.method, target.path, header, r.status, r.body)
			}
		}
	}
	for _, method := range []string{"/promptforge.v1.JobService/NoSuchMethod", "/no.such.Service/Method"} {
		err := e.conn.Invoke(e.as("pf_wrong"), method, &promptforgev1.InitJobRequest{}, &promptforgev1.InitJobResponse{})
		checkGRPC(t, problem.Unauthenticated, err)
	}
}

func TestWithoutKey(t *testing.T) {
	e := start(t)
	for _, path := range []string{"/healthz", "/readyz"} {
		r := e.rest("GET", path, "", "X-API-Key", "")
		if r.status != http.StatusOK || r.body != `{"status":"ok"}` {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
		if r := e.rest("HEAD", path, "", "X-API-Key", ""); r.status != http.StatusOK || r.body != "" {
			t.Errorf("HEAD %s: %d %s", path, r.status, r.body)
		}
		if r := e.rest("POST", path, "", "X-API-Key", ""); r.status != http.StatusMethodNotAllowed || r.header.Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: %d %v", path, r.status, r.header)
		}
	}
	for _, path := range []string{"/openapi.yaml", "/docs", "/docs/", "/docs/init.js"} {
		if r := e.rest("GET", path, "", "X-API-Key", ""); r.status != http.StatusOK || r.header.Get("Content-Security-Policy") == "" {
			t.Errorf("%s: %d %v", path, r.status, r.header)
		}
		if r := e.rest("POST", path, "", "X-API-Key", ""); r.status != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %d", path, r.status)
		}
	}
	if r := e.rest("GET", "/elsewhere", "", "X-API-Key", ""); r.status != http.StatusNotFound || !strings.HasPrefix(r.body, `{"detail":"`) {
		t.Errorf("elsewhere: %d %s", r.status, r.body)
	}
	for _, service := range []string{"", "promptforge.v1.JobService"} {
		resp, err := grpc_health_v1.NewHealthClient(e.conn).Check(e.ctx(), &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil || resp.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
			t.Errorf("health of %q: %v %v", service, resp, err)
		}
	}
}

func TestReadyAsksTheStore(t *testing.T) {
	e := start(t, func(c *Config) { c.Store = fullDisk{c.Store} })
	if r := e.rest("GET", "/readyz", ""); r.status != http.StatusServiceUnavailable || strings.Contains(r.body, diskText) {
		t.Errorf("readyz: %d %s", r.status, r.body)
	}
	if !strings.Contains(e.log.String(), diskText) {
		t.Error("the log does not say why the store is not ready")
	}
}

type tight struct{ storage.EndlessRoom }

func (tight) Short() (string, time.Time) { return "The disk is nearly full.", testNow }

func TestReadyAsksTheDisk(t *testing.T) {
	e := start(t, func(c *Config) { c.Room = tight{} })
	if r := e.rest("GET", "/readyz", ""); r.status != http.StatusServiceUnavailable || r.body != `{"detail":"The disk is nearly full."}` {
		t.Errorf("readyz: %d %s", r.status, r.body)
	}
	if r := e.rest("GET", "/healthz", ""); r.status != http.StatusOK {
		t.Errorf("healthz: %d %s", r.status, r.body)
	}
}

func TestAllow(t *testing.T) {
	e := start(t)
	for _, c := range []struct{ method, path, want string }{
		{"PUT", "/v1/jobs/init", "POST"},
		{"GET", "/v1/jobs/init", "POST"}, // it is no job
		{"DELETE", "/v1/jobs/init", "POST"},
		{"PATCH", "/v1/jobs/x", "DELETE, GET"},
		{"POST", "/v1/jobs", "GET"},
		{"DELETE", "/v1/jobs/x/status", "GET"},
		{"HEAD", "/v1/jobs/x/status", "GET"},
		{"GET", "/v1/jobs/x/cancel", "POST"},
		{"POST", "/v1/jobs/x/events", "GET"},
		{"PUT", "/v1/jobs/x/results", "GET"},
	} {
		r := e.rest(c.method, c.path, "")
		if r.status != http.StatusMethodNotAllowed || r.header.Get("Allow") != c.want {
			t.Errorf("%s %s: %d, Allow %q, want %q", c.method, c.path, r.status, r.header.Get("Allow"), c.want)
		}
	}
}

// TestStrictJSON: what a lenient parser would let pass.
func TestStrictJSON(t *testing.T) {
	e := start(t)
	field := func(text string) string { return `{"provider":"openai","model":"gpt-4o-mini",` + text + `}` }
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"string for a number", field(`"rpm":"5"`), 400},
		{"fraction", field(`"rpm":5.0`), 400},
		{"number for a string", `{"provider":"openai","model":4}`, 400},
		{"camelCase", field(`"maxRetries":1`), 400},
		{"unknown field", field(`"tmp":1`), 400},
		{"given twice", field(`"rpm":1,"rpm":2`), 400},
		{"trailing text", initBody + `x`, 400},
		{"two objects", initBody + initBody, 400},
		{"an array", `[` + initBody + `]`, 400},
		{"no body", ``, 400},
		{"null alone", `null`, 400},
		{"too large", field(`"webhook_url":"` + strings.Repeat("a", maxJSONBody) + `"`), 400},
		{"rpm 0", field(`"rpm":0`), 400},
		{"rpm huge", field(`"rpm":9000000000000000000`), 400},
		{"max_retries -1", field(`"max_retries":-1`), 400},
		{"17 entries", field(`"metadata":{"` + strings.Join(strings.Split("abcdefghijklmnopq", ""), `":"","`) + `":""}`), 400},
		{"metadata of numbers", field(`"metadata":{"a":1}`), 400},
		{"http webhook", field(`"webhook_url":"http://example.com"`), 400},
		{"null is left out", field(`"rpm":null,"tpm":null,"max_retries":null,"continue_from":null,"metadata":null,"webhook_url":null`), 202},
		{"white space around", " \r\n" + initBody + "\n", 202},
		{"all fields", field(`"max_retries":0,"rpm":1,"tpm":1,"metadata":{"a":"b"},"webhook_url":"https://example.com/hook"`), 202},
	} {
		r := e.rest("POST", "/v1/jobs/init", c.body)
		if r.status != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, r.status, r.body, c.status)
		}
		if c.status == 400 {
			checkREST(t, problem.BadRequest, r)
		}
	}
	for query, status := range map[string]int{
		"?status=QUEUED&page_size=1": 200, "": 200, "?page_size=0": 400, "?page_size=1001": 400, "?pageSize=1": 400,
		"?status=1": 400, "?status=queued": 400, "?a=%zz": 400, "?a;b": 400, "?page_size=1&page_size=2": 400,
	} {
		if r := e.rest("GET", "/v1/jobs"+query, ""); r.status != status {
			t.Errorf("list%s: %d %s, want %d", query, r.status, r.body, status)
		}
	}
}

// TestNoFields: the body of a route that takes no fields is empty, or an empty
// object.
func TestNoFields(t *testing.T) {
	e := start(t)
	id := e.init().GetJobId()
	for _, route := range []struct{ method, path string }{
		{"POST", "/v1/jobs/" + id + "/upload-url"}, {"POST", "/v1/jobs/" + id + "/cancel"}, {"DELETE", "/v1/jobs/" + id},
	} {
		for _, body := range []string{`[]`, `"x"`, `null`, `{"job_id":"` + id + `"}`, `{"jobId":1}`, `{"reason":null}`, `{}x`, `{} {}`, `{`, strings.Repeat(" ", maxJSONBody+1)} {
			r := e.rest(route.method, route.path, body)
			checkREST(t, problem.BadRequest, r)
			if t.Failed() {
				t.Fatalf("%s %s with %.40q: %s", route.method, route.path, body, r.body)
			}
		}
	}
	for _, body := range []string{``, ` `, `{}`, "\n{ }\n"} {
		if r := e.rest("POST", "/v1/jobs/"+id+"/upload-url", body); r.status != 200 {
			t.Errorf("upload-url with %q: %d %s", body, r.status, r.body)
		}
	}
	if r := e.rest("POST", "/v1/jobs/"+id+"/cancel", "{}"); r.status != 200 {
		t.Errorf("cancel: %d %s", r.status, r.body)
	}
	if r := e.rest("GET", "/v1/jobs/"+id+"/status", "whatever"); r.status != 200 {
		t.Errorf("a GET with a body: %d %s", r.status, r.body)
	}
}

// TestContentType: JSON is read whatever a request calls itself.
func TestContentType(t *testing.T) {
	e := start(t)
	for _, kind := range []string{"", "application/json", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", "nonsense"} {
		r := e.rest("POST", "/v1/jobs/init", initBody, "Content-Type", kind, "Accept", "text/html", "X-HTTP-Method-Override", "GET")
		if r.status != 202 || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("%q: %d %s %s", kind, r.status, r.header.Get("Content-Type"), r.body)
		}
		if r := e.rest("POST", "/v1/jobs/init", "provider=openai&model=gpt-4o-mini", "Content-Type", kind); r.status != 400 {
			t.Errorf("a form as %q: %d %s", kind, r.status, r.body)
		}
	}
}

// TestBeginDrain: who asks is told, and whoever does not is served.
func TestBeginDrain(t *testing.T) {
	e := start(t)
	e.BeginDrain()
	health := grpc_health_v1.NewHealthClient(e.conn)
	for _, service := range []string{"", "promptforge.v1.JobService"} {
		resp, err := health.Check(e.ctx(), &grpc_health_v1.HealthCheckRequest{Service: service})
		if err != nil || resp.GetStatus() != grpc_health_v1.HealthCheckResponse_NOT_SERVING {
			t.Errorf("health of %q: %v %v", service, resp, err)
		}
	}
	r := e.rest("GET", "/readyz", "")
	checkREST(t, problem.Unavailable, r)
	if r := e.rest("GET", "/healthz", ""); r.status != 200 {
		t.Errorf("healthz: %d", r.status)
	}
	if r := e.rest("POST", "/v1/jobs/init", initBody); r.status != 202 {
		t.Errorf("init: %d %s", r.status, r.body)
	}
}

// TestPanic: the caller gets a sentence, the log what Go knows, and the server
// lives.
func TestPanic(t *testing.T) {
	e := start(t)
	r := e.rest("POST", "/v1/jobs/init", `{"provider":"openai","model":"panic"}`)
	if r.status != http.StatusInternalServerError {
		t.Errorf("status %d: %s", r.status, r.body)
	}
	log := e.log.String()
	if strings.Contains(log, panicText) || !strings.Contains(log, "offersOnly.Offered") {
		t.Errorf("the log must have the stack, and not the panic's text:\n%s", log)
	}
	if r := e.rest("POST", "/v1/jobs/init", initBody); r.status != http.StatusAccepted {
		t.Errorf("after a panic: %d %s", r.status, r.body)
	}
}

// TestLogIsDiscreet: no key, prompt or signature reaches the log.
func TestLogIsDiscreet(t *testing.T) {
	e := start(t)
	id := e.completed(2)
	r := e.rest("GET", "/v1/jobs/"+string(id)+"/results", "")
	e.rest("GET", strings.Split(strings.Split(r.body, `"url":"`)[1], `"`)[0], "")
	log := e.log.String()
	for what, text := range map[string]string{"the key": e.key, "a prompt": "say 1", "an answer": "said 1", "a signature": "sig="} {
		if strings.Contains(log, text) {
			t.Errorf("the log has %s", what)
		}
	}
	if !strings.Contains(log, `"client":"acme"`) {
		t.Error("the log has no client")
	}
}

func TestIdempotencyKey(t *testing.T) {
	e := start(t)
	ask := func(body, key string) reply { return e.rest("POST", "/v1/jobs/init", body, "Idempotency-Key", key) }
	const spelled = "{ \"model\": \"gpt-4o-mini\", \"max_retries\": 3,\n \"provider\": \"open\\u0061i\", \"rpm\": null }"
	first := ask(initBody, "a key")
	e.clock.Advance(5 * time.Minute)
	again := ask(spelled, "a key")
	if first.status != 202 || again.status != 202 || jobID(first) != jobID(again) {
		t.Fatalf("%s\n%s", first.body, again.body)
	}
	if !strings.Contains(again.body, `"expires_at":"2024-01-15T10:35:00Z"`) {
		t.Errorf("the upload URL was not signed anew: %s", again.body)
	}
	if r := e.rest("PUT", uploadURL(again), prompts(1)); r.status != 200 {
		t.Fatalf("upload: %d %s", r.status, r.body)
	}
	if r := ask(initBody, "a key"); r.body != `{"job_id":"`+jobID(first)+`","upload_url":null,"expires_at":null}` {
		t.Errorf("after the upload: %s", r.body)
	}
	for _, key := range []string{strings.Repeat("k", 256), "ключ"} {
		if r := ask(initBody, key); r.status != 400 {
			t.Errorf("key %q: %d %s", key, r.status, r.body)
		}
	}
	if r := ask(initBody, strings.Repeat("k", 255)); r.status != 202 {
		t.Errorf("255 characters: %d %s", r.status, r.body)
	}
}

func jobID(r reply) string { return strings.Split(strings.Split(r.body, `"job_id":"`)[1], `"`)[0] }
func uploadURL(r reply) string {
	return strings.Split(strings.Split(r.body, `"upload_url":"`)[1], `"`)[0]
}

func TestListJobs(t *testing.T) {
	e := start(t)
	var want []string
	for range 5 {
		want = append([]string{e.init().GetJobId()}, want...)
	}
	must(t, e.initJobAs(e.issue("other")))
	var got []string
	token := ""
	for page := 0; page == 0 || token != ""; page++ {
		resp, err := e.api.ListJobs(e.as(e.key), &promptforgev1.ListJobsRequest{PageSize: new(int32(2)), PageToken: token})
		must(t, err)
		for _, j := range resp.GetJobs() {
			got = append(got, j.GetJobId())
		}
		token = resp.GetNextPageToken()
		if page == 0 {
			_, err := e.api.ListJobs(e.as(e.key), &promptforgev1.ListJobsRequest{Status: promptforgev1.Job_QUEUED, PageToken: token})
			checkGRPC(t, problem.BadRequest, err)
			_, err = e.api.ListJobs(e.as(e.issue("third")), &promptforgev1.ListJobsRequest{PageToken: token})
			checkGRPC(t, problem.BadRequest, err)
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got %v, want %v", got, want)
	}
}

func (e *env) initJobAs(key string) error {
	_, err := e.api.InitJob(e.as(key), &promptforgev1.InitJobRequest{Provider: "openai", Model: "gpt-4o-mini"})
	return err
}

// TestPageBytes: a page ends before it is too large for a gRPC client.
func TestPageBytes(t *testing.T) {
	var page []*job.Job
	for i := range 10 {
		page = append(page, &job.Job{ID: job.NewID(), Seq: uint64(10 - i), Status: job.Queued, Model: strings.Repeat("m", 1<<20)})
	}
	resp, last, cut := listOf(page)
	if len(resp.GetJobs()) != 2 || last != 9 || !cut {
		t.Errorf("%d jobs, last %d, cut %v", len(resp.GetJobs()), last, cut)
	}
}

func TestBusyPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	store := openStore(t)
	defer store.Close()
	for _, c := range []struct{ flag, http, grpc string }{
		{"--http-addr", l.Addr().String(), "127.0.0.1:0"}, {"--grpc-addr", "127.0.0.1:0", l.Addr().String()},
	} {
		_, err := New(Config{Store: store, Files: noFiles{}, Offers: offersOnly{}, HTTPAddr: c.http, GRPCAddr: c.grpc})
		if err == nil || !strings.Contains(err.Error(), c.flag+" "+l.Addr().String()) {
			t.Errorf("%s: %v", c.flag, err)
		}
	}
}

// noFiles is Files that no test reaches.
type noFiles struct{ storage.Files }
