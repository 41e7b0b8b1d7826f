package server

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/promptforge/promptforge/job"
)

// substitutions are what differs from run to run, and by what the goldens
// stand for it. Everything else in them is the answer's bytes.
var substitutions = []struct {
	what *regexp.Regexp
	by   string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "JOB"},
	{regexp.MustCompile(`kid=[^&"]+`), "kid=KEY"},
	{regexp.MustCompile(`sig=[^&"]+`), "sig=SIGNATURE"},
}

func golden(t *testing.T, what string, r reply, status int, want string) {
	t.Helper()
	got := r.body
	for _, s := range substitutions {
		got = s.what.ReplaceAllString(got, s.by)
	}
	if r.status != status || got != want {
		t.Errorf("%s: %d\n%s\nwant %d\n%s", what, r.status, got, status, want)
	}
	if ct := r.header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("%s: Content-Type %q", what, ct)
	}
}

func fixedURL(c *Config) { c.PublicURL = "https://forge.example.com/base/" }

// TestGoldenInit is the raw body of init and of a fresh upload URL.
func TestGoldenInit(t *testing.T) {
	e := start(t, fixedURL)
	const want = `{"job_id":"JOB","upload_url":"https://forge.example.com/base/v1/transfers/uploads/JOB/prompts.jsonl?v=1&kid=KEY&client=acme&expires=1705314600&sig=SIGNATURE","expires_at":"2024-01-15T10:30:00Z"}`
	golden(t, "init", e.rest("POST", "/v1/jobs/init", initBody), http.StatusAccepted, want)
	golden(t, "upload-url", e.rest("POST", "/v1/jobs/"+e.init().GetJobId()+"/upload-url", ""), http.StatusOK, want)
	id := e.completed(3)
	golden(t, "continue_from", e.rest("POST", "/v1/jobs/init", `{"provider":"openai","model":"gpt-4o-mini","continue_from":"`+string(id)+`"}`),
		http.StatusAccepted, `{"job_id":"JOB","upload_url":null,"expires_at":null}`)
}

// TestGoldenStatus is the raw body of status in every one of the seven states.
func TestGoldenStatus(t *testing.T) {
	for _, c := range []struct {
		state job.Status
		job   func(e *env) job.ID
		want  string
	}{
		{
			job.AwaitingUpload, func(e *env) job.ID { return job.ID(e.init().GetJobId()) },
			`{"job_id":"JOB","status":"AWAITING_UPLOAD","provider":"openai","model":"gpt-4o-mini","prompt_count":null,"completed_count":null,"failed_count":null,"created_at":"2024-01-15T10:15:00Z","started_processing_at":null,"completed_at":null}`,
		},
		{
			job.Queued, func(e *env) job.ID { return e.uploaded(2) },
			`{"job_id":"JOB","status":"QUEUED","provider":"openai","model":"gpt-4o-mini","prompt_count":2,"completed_count":0,"failed_count":0,"created_at":"2024-01-15T10:15:00Z","started_processing_at":null,"completed_at":null}`,
		},
		{
			job.Pending, func(e *env) job.ID { e.uploaded(1); return e.uploaded(2) },
			`{"job_id":"JOB","status":"PENDING","provider":"openai","model":"gpt-4o-mini","prompt_count":2,"completed_count":0,"failed_count":0,"created_at":"2024-01-15T10:15:00Z","started_processing_at":null,"completed_at":null}`,
		},
		{
			job.Processing, func(e *env) job.ID { id := e.claimed(4); e.record(id, 1, 3); return id },
			`{"job_id":"JOB","status":"PROCESSING","provider":"openai","model":"gpt-4o-mini","prompt_count":4,"completed_count":2,"failed_count":1,"created_at":"2024-01-15T10:15:00Z","started_processing_at":"2024-01-15T10:15:01Z","completed_at":null}`,
		},
		{
			job.Completed, func(e *env) job.ID { return e.completed(3) },
			`{"job_id":"JOB","status":"COMPLETED","provider":"openai","model":"gpt-4o-mini","prompt_count":3,"completed_count":2,"failed_count":1,"created_at":"2024-01-15T10:15:00Z","started_processing_at":"2024-01-15T10:15:01Z","completed_at":"2024-01-15T10:15:02Z"}`,
		},
		{
			job.Failed, func(e *env) job.ID {
				id := e.claimed(2)
				e.finish(id, job.Failed, "The key was refused.")
				return id
			},
			`{"job_id":"JOB","status":"FAILED","provider":"openai","model":"gpt-4o-mini","prompt_count":2,"completed_count":0,"failed_count":0,"created_at":"2024-01-15T10:15:00Z","started_processing_at":"2024-01-15T10:15:01Z","completed_at":"2024-01-15T10:15:02Z"}`,
		},
		{
			job.Cancelled, func(e *env) job.ID {
				id := e.uploaded(2)
				e.rest("POST", "/v1/jobs/"+string(id)+"/cancel", "")
				return id
			},
			`{"job_id":"JOB","status":"CANCELLED","provider":"openai","model":"gpt-4o-mini","prompt_count":2,"completed_count":0,"failed_count":0,"created_at":"2024-01-15T10:15:00Z","started_processing_at":null,"completed_at":"2024-01-15T10:15:00Z"}`,
		},
	} {
		t.Run(c.state.String(), func(t *testing.T) {
			e := start(t)
			golden(t, "status", e.rest("GET", "/v1/jobs/"+string(c.job(e))+"/status", ""), http.StatusOK, c.want)
		})
	}
}

// TestGoldenJob is the raw body of the whole job, and of a list with it.
func TestGoldenJob(t *testing.T) {
	e := start(t)
	id := e.completed(3)
	const want = `{"job_id":"JOB","status":"COMPLETED","provider":"openai","model":"gpt-4o-mini","prompt_count":3,"completed_count":2,"failed_count":1,"created_at":"2024-01-15T10:15:00Z","started_processing_at":"2024-01-15T10:15:01Z","completed_at":"2024-01-15T10:15:02Z",` +
		`"failure_reason":null,"hold_reason":null,"held_since":null,"held_until":null,"settled_at":"2024-01-15T10:15:02Z","max_retries":3,"rpm":null,"tpm":null,"prompt_tokens":6,"completion_tokens":8,"tokens_used":14,"requests_sent":3,"possibly_repaid":0,"current_rpm":null,"learned_rpm":null,"learned_tpm":null,"learned_concurrency":null,"bound_by":null,"estimated_completion_at":null,"estimated_completion_earliest":null,"estimated_completion_latest":null,"continue_from":null,"metadata":{},"webhook_url":null,"webhook_state":null,"webhook_attempts":0,"webhook_error":null}`
	golden(t, "job", e.rest("GET", "/v1/jobs/"+string(id), ""), http.StatusOK, want)
	golden(t, "list", e.rest("GET", "/v1/jobs", ""), http.StatusOK, `{"jobs":[`+want+`],"next_page_token":""}`)
	golden(t, "empty list", e.rest("GET", "/v1/jobs?status=FAILED", ""), http.StatusOK, `{"jobs":[],"next_page_token":""}`)
}

// TestGoldenResults is the raw body of results.
func TestGoldenResults(t *testing.T) {
	e := start(t, fixedURL)
	id := e.completed(3)
	const file = `{"filename":"NAME","url":"https://forge.example.com/base/v1/transfers/downloads/JOB/NAME?v=1&kid=KEY&client=acme&expires=1705317302VIEW&sig=SIGNATURE","expires_at":"2024-01-15T11:15:02Z"}`
	list := func(view string) string {
		named := func(name string) string {
			return regexp.MustCompile("VIEW").ReplaceAllString(regexp.MustCompile("NAME").ReplaceAllString(file, name), view)
		}
		return `{"job_id":"JOB","status":"COMPLETED","files":[` + named("results_part_001.jsonl") + "," + named("errors.jsonl") + `]}`
	}
	golden(t, "results", e.rest("GET", "/v1/jobs/"+string(id)+"/results", ""), http.StatusOK, list(""))
	golden(t, "full results", e.rest("GET", "/v1/jobs/"+string(id)+"/results?view=full", ""), http.StatusOK, list("&view=full"))
}

// TestGoldenCancel is the raw body of cancel.
func TestGoldenCancel(t *testing.T) {
	e := start(t)
	golden(t, "cancel", e.rest("POST", "/v1/jobs/"+e.init().GetJobId()+"/cancel", ""), http.StatusOK, `{"job_id":"JOB","status":"CANCELLED"}`)
}
