package apicheck

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// report is a test that may fail without failing.
type report struct {
	testing.TB
	said []string
}

func (r *report) Errorf(format string, args ...any) {
	r.said = append(r.said, fmt.Sprintf(format, args...))
}

type always struct {
	status     int
	kind, body string
}

func (a always) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.status, Header: http.Header{"Content-Type": {a.kind}}, Body: io.NopCloser(strings.NewReader(a.body))}, nil
}

// TestTransport: each way of differing from the document is found.
func TestTransport(t *testing.T) {
	const (
		id     = "/v1/jobs/3f7a1c2e-4b5d-4e7f-8a9b-0c1d2e3f4a5b"
		json   = "application/json"
		status = `{"job_id":"3f7a1c2e-4b5d-4e7f-8a9b-0c1d2e3f4a5b","status":"QUEUED","provider":"p","model":"m","prompt_count":7,"completed_count":0,` +
			`"failed_count":null,"created_at":"2024-01-15T10:15:00Z","started_processing_at":null,"completed_at":null}`
	)
	for _, c := range []struct {
		name, method, path string
		always
		bad string // what is said; empty: nothing
	}{
		{"as documented", "GET", id + "/status", always{200, json, status}, ""},
		{"a field too many", "GET", id + "/status", always{200, json, strings.Replace(status, "{", `{"more":1,`, 1)}, "more"},
		{"a field is missing", "GET", id + "/status", always{200, json, strings.Replace(status, `"provider":"p",`, "", 1)}, "provider"},
		{"a number as text", "GET", id + "/status", always{200, json, strings.Replace(status, `:7,`, `:"7",`, 1)}, "prompt_count"},
		{"null where none may be", "GET", id + "/status", always{200, json, strings.Replace(status, `"2024-01-15T10:15:00Z"`, "null", 1)}, "created_at"},
		{"a status that is none", "GET", id + "/status", always{200, json, strings.Replace(status, "QUEUED", "WAITING", 1)}, "status"},
		{"another code", "POST", "/v1/jobs/init", always{200, json, `{}`}, "status is not supported"},
		{"another media type", "GET", id + "/events", always{200, "text/html", ""}, "no such answer"},
		{"an error", "GET", id + "/status", always{401, json, `{"detail":"No."}`}, ""},
		{"an error of another shape", "GET", id + "/status", always{401, json, `{"message":"No."}`}, "detail"},
		{"not found of another shape", "GET", "/v1/nothing", always{404, json, `{"message":"No."}`}, "detail"},
		{"not found in text", "GET", "/v1/nothing", always{404, "text/plain", "404 page not found"}, "text/plain"},
		{"an unknown route that answers", "GET", "/v1/secret", always{200, json, `{}`}, "does not know this route"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &report{TB: t}
			req, err := http.NewRequest(c.method, "http://host"+c.path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := Transport(r, c.always).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || string(body) != c.body {
				t.Errorf("the body is %q (%v)", body, err)
			}
			if c.bad == "" && r.said != nil || c.bad != "" && (len(r.said) != 1 || !strings.Contains(r.said[0], c.bad)) {
				t.Errorf("it says %q, want %q", r.said, c.bad)
			}
		})
	}
}
