package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

// TestTwoKeys: a key is given once, or it is none.
func TestTwoKeys(t *testing.T) {
	e := start(t)
	req, err := http.NewRequestWithContext(e.ctx(), http.MethodGet, e.url("/v1/jobs"), http.NoBody)
	must(t, err)
	req.Header["X-Api-Key"] = []string{e.key, e.key}
	resp, err := e.http.Do(req)
	must(t, err)
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	must(t, resp.Body.Close())
	checkREST(t, problem.Unauthenticated, reply{resp.StatusCode, resp.Header, string(body)})
	_, err = e.api.ListJobs(e.as(e.key, "x-api-key", e.key), &promptforgev1.ListJobsRequest{})
	checkGRPC(t, problem.Unauthenticated, err)
}

// TestReflection: without a key every method of the service is found, with the
// messages that it takes and answers.
func TestReflection(t *testing.T) {
	e := start(t)
	stream, err := grpc_reflection_v1.NewServerReflectionClient(e.conn).ServerReflectionInfo(e.ctx())
	must(t, err)
	must(t, stream.Send(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "promptforge.v1.JobService"},
	}))
	resp, err := stream.Recv()
	must(t, err)
	messages, methods := map[string]bool{}, 0
	for _, encoded := range resp.GetFileDescriptorResponse().GetFileDescriptorProto() {
		file := &descriptorpb.FileDescriptorProto{}
		must(t, proto.Unmarshal(encoded, file))
		for _, m := range file.GetMessageType() {
			messages["."+file.GetPackage()+"."+m.GetName()] = true
		}
		for _, service := range file.GetService() {
			methods += len(service.GetMethod())
			for _, m := range service.GetMethod() {
				if !messages[m.GetInputType()] || !messages[m.GetOutputType()] {
					t.Errorf("%s: its messages are not told", m.GetName())
				}
			}
		}
	}
	if want := len(promptforgev1.JobService_ServiceDesc.Methods) + len(promptforgev1.JobService_ServiceDesc.Streams); methods != want {
		t.Errorf("%d methods, want %d", methods, want)
	}
	must(t, stream.CloseSend())
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// TestURLsIgnoreTheRequest: what a caller says of the host is not believed.
func TestURLsIgnoreTheRequest(t *testing.T) {
	e := start(t)
	req, err := http.NewRequestWithContext(e.ctx(), http.MethodPost, e.url("/v1/jobs/init"), strings.NewReader(initBody))
	must(t, err)
	req.Host = "evil.example.com"
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-For", "Forwarded", "X-Original-Host"} {
		req.Header.Set(name, "evil.example.com")
	}
	req.Header.Set("X-Api-Key", e.key)
	resp, err := e.http.Do(req)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	if !strings.HasPrefix(uploadURL(reply{body: string(body)}), "http://"+e.HTTPAddr()+"/v1/") {
		t.Errorf("%s", body)
	}
}

// TestInitBounds: each field of init, at its bound and over it.
func TestInitBounds(t *testing.T) {
	e := start(t, func(c *Config) { c.Offers = everything{} })
	entries := func(n int) string {
		var b []string
		for i := range n {
			b = append(b, fmt.Sprintf(`"k%d":"v"`, i))
		}
		return `"metadata":{` + strings.Join(b, ",") + `}`
	}
	named := func(provider, model string) string {
		return fmt.Sprintf(`{"provider":%q,"model":%q}`, provider, model)
	}
	with := func(field string) string { return `{"provider":"openai","model":"m",` + field + `}` }
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"longest provider", named(strings.Repeat("é", 64), "m"), 202},
		{"provider too long", named(strings.Repeat("é", 65), "m"), 400},
		{"empty provider", named("", "m"), 400},
		{"longest model", named("openai", strings.Repeat("é", 256)), 202},
		{"model too long", named("openai", strings.Repeat("é", 257)), 400},
		{"empty model", named("openai", ""), 400},
		{"blank model", named("openai", " \t"), 400},
		{"most retries", with(`"max_retries":20`), 202},
		{"too many retries", with(`"max_retries":21`), 400},
		{"highest rpm", with(`"rpm":100000000`), 202},
		{"rpm too high", with(`"rpm":100000001`), 400},
		{"highest tpm", with(`"tpm":1000000000000`), 202},
		{"tpm too high", with(`"tpm":1000000000001`), 400},
		{"tpm 0", with(`"tpm":0`), 400},
		{"16 entries", with(entries(16)), 202},
		{"17 entries", with(entries(17)), 400},
		{"longest metadata key", with(`"metadata":{"` + strings.Repeat("é", 64) + `":""}`), 202},
		{"metadata key too long", with(`"metadata":{"` + strings.Repeat("é", 65) + `":""}`), 400},
		{"empty metadata key", with(`"metadata":{"":"v"}`), 400},
		{"longest metadata value", with(`"metadata":{"k":"` + strings.Repeat("é", 512) + `"}`), 202},
		{"metadata value too long", with(`"metadata":{"k":"` + strings.Repeat("é", 513) + `"}`), 400},
		{"webhook_url too long", with(`"webhook_url":"https://example.com/` + strings.Repeat("a", 2029) + `"`), 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			if r := e.rest("POST", "/v1/jobs/init", c.body); r.status != c.status {
				t.Errorf("%d %s, want %d", r.status, r.body, c.status)
			}
		})
	}
	r := e.rest("POST", "/v1/jobs/init", with(`"metadata":{"team":"a","b":""}`))
	if got := e.rest("GET", "/v1/jobs/"+jobID(r), ""); !strings.Contains(got.body, `"metadata":{"b":"","team":"a"}`) {
		t.Errorf("the metadata came back in %s", got.body)
	}
	_, err := e.api.InitJob(e.as(e.key, "idempotency-key", "a", "idempotency-key", "b"), &promptforgev1.InitJobRequest{Provider: "openai", Model: "m"})
	checkGRPC(t, problem.BadRequest, err)
}

// everything is offered.
type everything struct{}

func (everything) Offered(string, string) error { return nil }

// TestContinueFrom: a job that continues another has its file and results,
// needs no upload, and may name another model, but no other provider.
func TestContinueFrom(t *testing.T) {
	e := start(t, func(c *Config) { c.Offers = everything{} })
	ask := func(from job.ID, provider, model string) reply {
		return e.rest("POST", "/v1/jobs/init", fmt.Sprintf(`{"provider":%q,"model":%q,"continue_from":%q}`, provider, model, from))
	}
	fileless := job.ID(e.init().GetJobId())
	checkREST(t, problem.JobState, ask(fileless, "openai", "m")) // not settled
	e.rest("POST", "/v1/jobs/"+string(fileless)+"/cancel", "")
	checkREST(t, problem.JobState, ask(fileless, "openai", "m")) // never had a file
	source := e.completed(6)                                     // lines 3 and 6 failed
	checkREST(t, problem.BadRequest, ask(source, "mistral", "m"))
	checkREST(t, problem.NotFound, ask(job.NewID(), "openai", "m"))
	checkREST(t, problem.NotFound, e.rest("POST", "/v1/jobs/init", continueBody(source), "X-API-Key", e.issue("other")))

	r := ask(source, "openai", "another-model")
	if r.status != 202 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	id := job.ID(jobID(r))
	got := e.rest("GET", "/v1/jobs/"+string(id), "")
	for _, want := range []string{
		`"status":"QUEUED","provider":"openai","model":"another-model","prompt_count":6,"completed_count":4,"failed_count":0`,
		`"prompt_tokens":0,"completion_tokens":0,"tokens_used":0,"requests_sent":0`, `"continue_from":"` + string(source) + `"`,
	} {
		if !strings.Contains(got.body, want) {
			t.Errorf("the job is %s, want in it %s", got.body, want)
		}
	}
	lease, err := e.store.HoldLane(e.ctx(), job.Lane{Provider: "openai", Group: "a", Model: "another-model"}, "test")
	must(t, err)
	claim, err := e.store.Claim(e.ctx(), lease, id, e.clock.Now())
	must(t, err)
	if done := claim.Done.ToArray(); fmt.Sprint(done) != "[1 2 4 5]" {
		t.Errorf("lines that need no request: %v", done)
	}
	// Deleting one takes nothing from the other.
	if r := e.rest("DELETE", "/v1/jobs/"+string(source), ""); r.status != 200 {
		t.Fatal(r.body)
	}
	forgotten(t, e, source)
	list := e.rest("GET", "/v1/jobs/"+string(id)+"/results?partial=true", "")
	if r := e.rest("GET", firstURL(t, list.body), ""); r.status != 200 || strings.Count(r.body, "\n") != 4 {
		t.Errorf("the results that it took over: %d %s", r.status, r.body)
	}
}

// TestEarlierUploadURLs: a fresh one takes nothing from those before.
func TestEarlierUploadURLs(t *testing.T) {
	e := start(t)
	first := e.init()
	e.clock.Advance(10 * time.Minute)
	renewed := e.rest("POST", "/v1/jobs/"+first.GetJobId()+"/upload-url", "")
	if renewed.status != 200 || uploadURL(renewed) == first.GetUploadUrl() {
		t.Fatalf("%d %s", renewed.status, renewed.body)
	}
	if r := e.rest("PUT", first.GetUploadUrl(), "", "Content-Encoding", "br"); r.status != 400 {
		t.Errorf("the first, before its expiry: %d %s", r.status, r.body)
	}
	e.clock.Advance(6 * time.Minute)
	if r := e.rest("PUT", first.GetUploadUrl(), prompts(1)); r.status != 403 || !strings.Contains(r.body, "/upload-url") {
		t.Errorf("the first, after its expiry: %d %s", r.status, r.body)
	}
	if r := e.rest("PUT", uploadURL(renewed), prompts(1), "X-API-Key", ""); r.status != 200 {
		t.Errorf("the second: %d %s", r.status, r.body)
	}
}

// TestResultsURLExpires after an hour, and not before.
func TestResultsURLExpires(t *testing.T) {
	e := start(t)
	id := string(e.completed(2))
	url := firstURL(t, e.rest("GET", "/v1/jobs/"+id+"/results", "").body)
	e.clock.Advance(time.Hour - time.Second)
	if r := e.rest("GET", url, "", "X-API-Key", ""); r.status != 200 {
		t.Errorf("a second before: %d %s", r.status, r.body)
	}
	e.clock.Advance(time.Second)
	if r := e.rest("GET", url, "", "X-API-Key", ""); r.status != 403 || !strings.Contains(r.body, "/results") {
		t.Errorf("after an hour: %d %s", r.status, r.body)
	}
}

// TestStreamsTellToComeAgain: what a stop ends has a RetryInfo.
func TestStreamsTellToComeAgain(t *testing.T) {
	e := start(t)
	id := string(e.claimed(3))
	watch, err := e.api.WatchJob(e.as(e.key), &promptforgev1.WatchJobRequest{JobId: id})
	must(t, err)
	_, err = watch.Recv()
	must(t, err)
	e.record(job.ID(id), 1, 1)
	results, err := e.api.StreamResults(e.as(e.key), &promptforgev1.StreamResultsRequest{JobId: id})
	must(t, err)
	_, err = results.Recv()
	must(t, err)
	e.stop()
	for err == nil {
		_, err = watch.Recv()
	}
	checkGRPC(t, problem.Unavailable, err)
	_, err = results.Recv()
	checkGRPC(t, problem.Unavailable, err)
}

// TestWatchLastEventID: a watch of what is settled, by who has seen it, ends
// without a message.
func TestWatchLastEventID(t *testing.T) {
	e := start(t)
	id := string(e.completed(2))
	seen := ""
	for _, want := range []error{nil, io.EOF} {
		watch, err := e.api.WatchJob(e.as(e.key), &promptforgev1.WatchJobRequest{JobId: id, LastEventId: seen})
		must(t, err)
		m, err := watch.Recv()
		if !errors.Is(err, want) {
			t.Errorf("after %q: %v, %v", seen, m, err)
		}
		seen = m.GetEventId()
	}
}

// TestStatusOverGRPC: what is null in REST is unset.
func TestStatusOverGRPC(t *testing.T) {
	e := start(t)
	got, err := e.api.GetJobStatus(metadata.NewOutgoingContext(e.ctx(), metadata.Pairs("X-API-Key", e.key)), &promptforgev1.GetJobStatusRequest{JobId: e.init().GetJobId()})
	must(t, err)
	if got.PromptCount != nil || got.CompletedCount != nil || got.FailedCount != nil || got.GetStartedProcessingAt() != nil || got.GetCompletedAt() != nil {
		t.Errorf("%v", got)
	}
	if at := got.GetCreatedAt(); at.GetSeconds() != testNow.Unix() || at.GetNanos() != 0 {
		t.Errorf("created_at is %v, want whole seconds", at)
	}
}

// asked is a store that keeps the last page that it was asked for.
type asked struct {
	storage.Store
	limits chan int
}

func (a asked) ListJobs(ctx context.Context, q storage.ListQuery) ([]*job.Job, bool, error) {
	a.limits <- q.Limit
	return a.Store.ListJobs(ctx, q)
}

func TestDefaultPageSize(t *testing.T) {
	limits := make(chan int, 1)
	e := start(t, func(c *Config) { c.Store = asked{c.Store, limits} })
	for query, want := range map[string]int{"": 100, "?page_size=": 100, "?page_size=1": 1, "?page_size=1000": 1000} {
		e.passes(e.rest("GET", "/v1/jobs"+query, ""))
		if got := <-limits; got != want {
			t.Errorf("%q asks for %d jobs", query, got)
		}
	}
}
