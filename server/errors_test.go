package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/server/quota"
	"github.com/promptforge/promptforge/storage"
)

// errorCase is a way to a row of the contract's table of errors, over both
// transports, or the reason why one of them cannot have it.
type errorCase struct {
	name string
	kind problem.Kind
	// config changes the server that the case needs; nil: the shared one.
	config func(*Config)

	rest   func(e *env) reply
	noREST string
	grpc   func(e *env) error
	noGRPC string
}

const transfersAreHTTP = "signed transfer URLs are HTTP's; over gRPC the key is the permission"

func errorCases() []errorCase {
	unknown := string(job.NewID())
	return []errorCase{{
		name: "missing field", kind: problem.BadRequest,
		rest: func(e *env) reply { return e.rest("POST", "/v1/jobs/init", `{"model":"gpt-4o-mini"}`) },
		grpc: func(e *env) error { return e.initJob(&promptforgev1.InitJobRequest{Model: "gpt-4o-mini"}) },
	}, {
		name: "value out of range", kind: problem.BadRequest,
		rest: func(e *env) reply {
			return e.rest("POST", "/v1/jobs/init", `{"provider":"openai","model":"gpt-4o-mini","max_retries":21}`)
		},
		grpc: func(e *env) error {
			return e.initJob(&promptforgev1.InitJobRequest{Provider: "openai", Model: "gpt-4o-mini", MaxRetries: new(int32(21))})
		},
	}, {
		name: "malformed JSON", kind: problem.BadRequest,
		rest:   func(e *env) reply { return e.rest("POST", "/v1/jobs/init", `{"provider"`) },
		noGRPC: "gRPC carries no JSON",
	}, {
		name: "page_token of nobody", kind: problem.BadRequest,
		rest: func(e *env) reply { return e.rest("GET", "/v1/jobs?page_token=abc", "") },
		grpc: func(e *env) error {
			_, err := e.api.ListJobs(e.as(e.key), &promptforgev1.ListJobsRequest{PageToken: "abc"})
			return err
		},
	}, {
		name: "missing key", kind: problem.Unauthenticated,
		rest: func(e *env) reply { return e.rest("GET", "/v1/jobs", "", "X-API-Key", "") },
		grpc: func(e *env) error {
			_, err := e.api.ListJobs(e.as(""), &promptforgev1.ListJobsRequest{})
			return err
		},
	}, {
		name: "Bearer alone", kind: problem.Unauthenticated,
		rest: func(e *env) reply {
			return e.rest("GET", "/v1/jobs", "", "X-API-Key", "", "Authorization", "Bearer "+e.key)
		},
		grpc: func(e *env) error {
			_, err := e.api.ListJobs(e.as("", "authorization", "Bearer "+e.key), &promptforgev1.ListJobsRequest{})
			return err
		},
	}, {
		name: "unknown key", kind: problem.Unauthenticated,
		rest: func(e *env) reply { return e.rest("GET", "/v1/jobs", "", "X-API-Key", e.key+"x") },
		grpc: func(e *env) error {
			_, err := e.api.ListJobs(e.as(e.key+"x"), &promptforgev1.ListJobsRequest{})
			return err
		},
	}, {
		name: "revoked key", kind: problem.Unauthenticated,
		rest: func(e *env) reply { return e.rest("GET", "/v1/jobs", "", "X-API-Key", e.revoked()) },
		grpc: func(e *env) error {
			_, err := e.api.ListJobs(e.as(e.revoked()), &promptforgev1.ListJobsRequest{})
			return err
		},
	}, {
		name: "altered transfer URL", kind: problem.Forbidden,
		rest:   func(e *env) reply { return e.rest("PUT", e.init().GetUploadUrl()+"x", prompts(1)) },
		noGRPC: transfersAreHTTP,
	}, {
		name: "expired transfer URL", kind: problem.Forbidden,
		rest: func(e *env) reply {
			url := e.init().GetUploadUrl()
			e.clock.Advance(time.Hour)
			return e.rest("PUT", url, prompts(1))
		},
		noGRPC: transfersAreHTTP,
	}, {
		name: "unknown job", kind: problem.NotFound,
		rest: func(e *env) reply { return e.rest("GET", "/v1/jobs/"+unknown+"/status", "") },
		grpc: func(e *env) error { return e.status(e.key, unknown) },
	}, {
		name: "no UUID", kind: problem.NotFound,
		rest: func(e *env) reply { return e.rest("GET", "/v1/jobs/1/status", "") },
		grpc: func(e *env) error { return e.status(e.key, "1") },
	}, {
		name: "another client's job", kind: problem.NotFound,
		rest: func(e *env) reply {
			return e.rest("GET", "/v1/jobs/"+e.init().GetJobId()+"/status", "", "X-API-Key", e.issue("other"))
		},
		grpc: func(e *env) error { return e.status(e.issue("other"), e.init().GetJobId()) },
	}, {
		name: "continue_from of nobody", kind: problem.NotFound,
		rest: func(e *env) reply {
			return e.rest("POST", "/v1/jobs/init", `{"provider":"openai","model":"gpt-4o-mini","continue_from":"`+unknown+`"}`)
		},
		grpc: func(e *env) error {
			return e.initJob(&promptforgev1.InitJobRequest{Provider: "openai", Model: "gpt-4o-mini", ContinueFrom: &unknown})
		},
	}, {
		name: "no such route", kind: problem.NotFound,
		rest:   func(e *env) reply { return e.rest("GET", "/v1/nothing", "") },
		noGRPC: "gRPC calls a method that does not exist UNIMPLEMENTED, and its clients count on it",
	}, {
		name: "wrong method", kind: problem.MethodNotAllowed,
		rest: func(e *env) reply { return e.rest("PUT", "/v1/jobs/init", initBody) },
		grpc: func(e *env) error {
			return e.conn.Invoke(e.as(e.key), "/promptforge.v1.JobService/PutJob", &promptforgev1.InitJobRequest{}, &promptforgev1.InitJobResponse{})
		},
	}, {
		name: "deletion of a deleted job", kind: problem.NotFound,
		rest: func(e *env) reply {
			id := e.init().GetJobId()
			e.rest("DELETE", "/v1/jobs/"+id, "")
			return e.rest("DELETE", "/v1/jobs/"+id, "")
		},
		grpc: func(e *env) error {
			req := &promptforgev1.DeleteJobRequest{JobId: e.init().GetJobId()}
			if _, err := e.api.DeleteJob(e.as(e.key), req); err != nil {
				return err
			}
			_, err := e.api.DeleteJob(e.as(e.key), req)
			return err
		},
	}, {
		name: "cancel of a final job", kind: problem.JobState,
		rest: func(e *env) reply {
			id := e.init().GetJobId()
			e.rest("POST", "/v1/jobs/"+id+"/cancel", "")
			return e.rest("POST", "/v1/jobs/"+id+"/cancel", "")
		},
		grpc: func(e *env) error {
			req := &promptforgev1.CancelJobRequest{JobId: e.init().GetJobId()}
			_, err := e.api.CancelJob(e.as(e.key), req)
			must(e.t, err)
			_, err = e.api.CancelJob(e.as(e.key), req)
			return err
		},
	}, {
		name: "results of a job that is not COMPLETED", kind: problem.JobState,
		rest: func(e *env) reply { return e.rest("GET", "/v1/jobs/"+string(e.uploaded(1))+"/results", "") },
		grpc: func(e *env) error {
			_, err := e.api.GetJobResults(e.as(e.key), &promptforgev1.GetJobResultsRequest{JobId: string(e.uploaded(1))})
			return err
		},
	}, {
		name: "upload URL of a job that has its file", kind: problem.JobState,
		rest: func(e *env) reply { return e.rest("POST", "/v1/jobs/"+string(e.uploaded(1))+"/upload-url", "") },
		grpc: func(e *env) error {
			_, err := e.api.RenewUploadUrl(e.as(e.key), &promptforgev1.RenewUploadUrlRequest{JobId: string(e.uploaded(1))})
			return err
		},
	}, {
		name: "another file", kind: problem.JobState,
		rest: func(e *env) reply {
			url := e.init().GetUploadUrl()
			e.rest("PUT", url, prompts(1))
			return e.rest("PUT", url, prompts(2))
		},
		grpc: func(e *env) error { _, err := e.upload(e.uploaded(1), prompts(2)); return err },
	}, {
		name: "Idempotency-Key with another request", kind: problem.IdempotencyKeyReused,
		rest: func(e *env) reply {
			e.rest("POST", "/v1/jobs/init", initBody, "Idempotency-Key", "k1")
			return e.rest("POST", "/v1/jobs/init", `{"provider":"openai","model":"gpt-4o-mini","rpm":1}`, "Idempotency-Key", "k1")
		},
		grpc: func(e *env) error {
			req := &promptforgev1.InitJobRequest{Provider: "openai", Model: "gpt-4o-mini"}
			_, err := e.api.InitJob(e.as(e.key, "idempotency-key", "k2"), req)
			must(e.t, err)
			req.Rpm = new(int64(1))
			_, err = e.api.InitJob(e.as(e.key, "idempotency-key", "k2"), req)
			return err
		},
	}, {
		name: "upload too large", kind: problem.UploadTooLarge,
		config: func(c *Config) { c.MaxUploadBytes = 64 },
		rest:   func(e *env) reply { return e.rest("PUT", e.init().GetUploadUrl(), prompts(100)) },
		grpc:   func(e *env) error { _, err := e.upload(job.ID(e.init().GetJobId()), prompts(100)); return err },
	}, {
		name: "another version of a download", kind: problem.PreconditionFailed,
		config: func(*Config) {},
		rest: func(e *env) reply {
			list, err := e.api.GetJobResults(e.as(e.key), &promptforgev1.GetJobResultsRequest{JobId: string(e.completed(2))})
			must(e.t, err)
			return e.rest("GET", list.GetFiles()[0].GetUrl(), "", "If-Match", `"another"`)
		},
		noGRPC: transfersAreHTTP,
	}, {
		name: "range outside the file", kind: problem.RangeNotSatisfiable,
		config: func(*Config) {}, // where no other job takes the client's turn
		rest: func(e *env) reply {
			list, err := e.api.GetJobResults(e.as(e.key), &promptforgev1.GetJobResultsRequest{JobId: string(e.completed(2))})
			must(e.t, err)
			return e.rest("GET", list.GetFiles()[0].GetUrl(), "", "Range", "bytes=100000-")
		},
		noGRPC: transfersAreHTTP,
	}, {
		name: "provider not offered", kind: problem.ProviderNotOffered,
		rest: func(e *env) reply { return e.rest("POST", "/v1/jobs/init", `{"provider":"acme","model":"m"}`) },
		grpc: func(e *env) error { return e.initJob(&promptforgev1.InitJobRequest{Provider: "acme", Model: "m"}) },
	}, {
		name: "model not offered", kind: problem.ModelNotOffered,
		rest: func(e *env) reply { return e.rest("POST", "/v1/jobs/init", `{"provider":"openai","model":"m"}`) },
		grpc: func(e *env) error { return e.initJob(&promptforgev1.InitJobRequest{Provider: "openai", Model: "m"}) },
	}, {
		name: "quota", kind: problem.QuotaExceeded,
		config: func(c *Config) { c.Quotas = quota.Limits{OpenJobs: 1} },
		rest: func(e *env) reply {
			e.init()
			return e.rest("POST", "/v1/jobs/init", initBody)
		},
		grpc: func(e *env) error {
			return e.initJob(&promptforgev1.InitJobRequest{Provider: "openai", Model: "gpt-4o-mini"})
		},
	}, {
		name: "panic", kind: problem.Internal,
		rest: func(e *env) reply { return e.rest("POST", "/v1/jobs/init", `{"provider":"openai","model":"panic"}`) },
		grpc: func(e *env) error {
			return e.initJob(&promptforgev1.InitJobRequest{Provider: "openai", Model: "panic"})
		},
	}, {
		name: "store away", kind: problem.Unavailable,
		config: func(c *Config) { c.Store = fullDisk{c.Store} },
		rest:   func(e *env) reply { return e.rest("POST", "/v1/jobs/init", initBody) },
		grpc: func(e *env) error {
			return e.initJob(&promptforgev1.InitJobRequest{Provider: "openai", Model: "gpt-4o-mini"})
		},
	}}
}

const diskText = "write /var/lib/secret: no space left on device"

// fullDisk is a store that takes no new jobs.
type fullDisk struct{ storage.Store }

func (fullDisk) CreateJob(context.Context, *job.Job, *storage.Idempotency) (*job.Job, bool, error) {
	return nil, false, errors.New(diskText)
}

func (fullDisk) Ping(context.Context) error { return errors.New(diskText) }

// TestErrorTable holds each row of the table of errors over both transports.
func TestErrorTable(t *testing.T) {
	shared := start(t)
	seen := map[problem.Kind]bool{}
	for _, c := range errorCases() {
		seen[c.kind] = true
		t.Run(c.name, func(t *testing.T) {
			e := shared
			if c.config != nil {
				e = start(t, c.config)
			}
			e.t = t
			if c.noREST == "" {
				checkREST(t, c.kind, c.rest(e))
			}
			if c.noGRPC == "" {
				checkGRPC(t, c.kind, c.grpc(e))
			}
		})
		shared.t = t
	}
	for kind := problem.Internal; kind <= problem.Unavailable; kind++ {
		if !seen[kind] {
			t.Errorf("no case leads to %s", kind.Reason())
		}
	}
}

func checkREST(t testing.TB, kind problem.Kind, r reply) {
	t.Helper()
	if r.status != kind.HTTPStatus() {
		t.Errorf("REST: status %d, want %d: %s", r.status, kind.HTTPStatus(), r.body)
	}
	detail, ok := strings.CutPrefix(r.body, `{"detail":"`)
	if detail, ok2 := strings.CutSuffix(detail, `"}`); !ok || !ok2 || !isSentence(detail) {
		t.Errorf("REST: the body is not one sentence: %s", r.body)
	}
	if got := r.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("REST: Content-Type %q", got)
	}
	if wants := kind == problem.QuotaExceeded || kind == problem.Unavailable; wants != (r.header.Get("Retry-After") != "") {
		t.Errorf("REST: Retry-After %q", r.header.Get("Retry-After"))
	}
	if wants := kind == problem.MethodNotAllowed; wants != (r.header.Get("Allow") != "") {
		t.Errorf("REST: Allow %q", r.header.Get("Allow"))
	}
	for name := range r.header {
		if strings.HasPrefix(name, "Grpc-") {
			t.Errorf("REST: gRPC's header %s shows", name)
		}
	}
}

func checkGRPC(t testing.TB, kind problem.Kind, err error) {
	t.Helper()
	st := status.Convert(err)
	if st.Code() != kind.Code() || !isSentence(st.Message()) {
		t.Errorf("gRPC: %s: %s; want %s and a sentence", st.Code(), st.Message(), kind.Code())
	}
	reason, retry := "", false
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			reason = d.GetDomain() + "/" + d.GetReason()
		case *errdetails.RetryInfo:
			retry = true
		}
	}
	if want := problem.Domain + "/" + kind.Reason(); reason != want {
		t.Errorf("gRPC: ErrorInfo %q, want %q", reason, want)
	}
	if wants := kind == problem.QuotaExceeded || kind == problem.Unavailable; wants != retry {
		t.Errorf("gRPC: RetryInfo %v, want %v", retry, wants)
	}
}

func isSentence(s string) bool {
	return len(s) > 10 && strings.ContainsAny(s[len(s)-1:], ".?") && s[:1] == strings.ToUpper(s[:1]) &&
		!strings.Contains(s, "rpc error") && !strings.Contains(s, diskText) && !strings.Contains(s, panicText)
}

// What a client of another shape can be told.
func TestNotFoundIsOneBody(t *testing.T) {
	e := start(t)
	foreign := e.issue("other")
	id := e.init().GetJobId()
	want := e.rest("GET", "/v1/jobs/"+string(job.NewID())+"/status", "")
	for _, route := range []struct{ method, path string }{
		{"GET", "/status"}, {"GET", ""}, {"GET", "/results"}, {"GET", "/events"}, {"POST", "/cancel"}, {"POST", "/upload-url"}, {"DELETE", ""},
	} {
		for _, ask := range []struct{ key, id string }{
			{e.key, string(job.NewID())}, {e.key, "nothing"}, {e.key, ""}, {e.key, "{" + id + "}"}, {foreign, id},
		} {
			got := e.rest(route.method, "/v1/jobs/"+ask.id+route.path, "", "X-API-Key", ask.key)
			if got.status != http.StatusNotFound || got.body != want.body {
				t.Errorf("%s %s of %q: %d %s, want %s", route.method, route.path, ask.id, got.status, got.body, want.body)
			}
		}
	}
}

func (e *env) initJob(req *promptforgev1.InitJobRequest) error {
	_, err := e.api.InitJob(e.as(e.key), req)
	return err
}

func (e *env) status(key, id string) error {
	_, err := e.api.GetJobStatus(e.as(key), &promptforgev1.GetJobStatusRequest{JobId: id})
	return err
}

func (e *env) revoked() string {
	e.t.Helper()
	key := e.issue("gone")
	must(e.t, e.store.RevokeKey(e.ctx(), strings.Split(key, "_")[1], testNow))
	return key
}

// upload sends a file over gRPC in pieces of a few bytes.
func (e *env) upload(id job.ID, file string) (*promptforgev1.UploadPromptsResponse, error) {
	e.t.Helper()
	stream, err := e.api.UploadPrompts(e.as(e.key))
	must(e.t, err)
	send := func(req *promptforgev1.UploadPromptsRequest) bool { return stream.Send(req) == nil }
	more := send(&promptforgev1.UploadPromptsRequest{Payload: &promptforgev1.UploadPromptsRequest_JobId{JobId: string(id)}})
	for len(file) > 0 && more {
		n := min(7, len(file))
		more = send(&promptforgev1.UploadPromptsRequest{Payload: &promptforgev1.UploadPromptsRequest_Data{Data: []byte(file[:n])}})
		file = file[n:]
	}
	return stream.CloseAndRecv()
}

// A missing key is asked for where the caller can put it: HTTP has a header,
// gRPC metadata.
func TestMissingKeyIsAskedForInItsPlace(t *testing.T) {
	e := start(t)
	if got := e.rest("GET", "/v1/jobs", "", "X-API-Key", ""); !strings.Contains(got.body, "X-API-Key header") {
		t.Errorf("HTTP: %s", got.body)
	}
	for _, more := range [][]string{nil, {"authorization", "Bearer " + e.key}} {
		_, err := e.api.ListJobs(e.as("", more...), &promptforgev1.ListJobsRequest{})
		if text := status.Convert(err).Message(); status.Code(err) != codes.Unauthenticated || !strings.Contains(text, "metadata, under x-api-key") || strings.Contains(text, "header") {
			t.Errorf("gRPC: %s", text)
		}
	}
}
