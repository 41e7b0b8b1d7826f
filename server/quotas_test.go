package server

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/server/quota"
	"github.com/promptforge/promptforge/storage"
)

// quotaOf sets what the client acme may have, as the command line does, and
// lets the second pass after which a server must know.
func (e *env) quotaOf(q storage.Quota) {
	e.t.Helper()
	must(e.t, e.store.SetQuota(e.ctx(), "acme", q))
	e.clock.Advance(time.Second)
}

// refusedREST wants a 429 that names a quota, and whose sentence and
// Retry-After say the same.
func refusedREST(t *testing.T, r reply, name string) {
	t.Helper()
	checkREST(t, problem.QuotaExceeded, r)
	after, err := strconv.Atoi(r.header.Get("Retry-After"))
	if err != nil || after < 1 || !strings.Contains(r.body, fmt.Sprintf("try again in %d s", after)) || !strings.Contains(r.body, "quota of "+name) {
		t.Errorf("Retry-After is %q, the body %s", r.header.Get("Retry-After"), r.body)
	}
}

func refusedGRPC(t *testing.T, err error, name string) {
	t.Helper()
	checkGRPC(t, problem.QuotaExceeded, err)
	p := problem.From(err)
	if p.RetryAfter < time.Second || !strings.Contains(p.Detail, fmt.Sprintf("try again in %d s", p.RetryAfter/time.Second)) || !strings.Contains(p.Detail, "quota of "+name) {
		t.Errorf("RetryInfo is %v, the sentence %q", p.RetryAfter, p.Detail)
	}
}

func (e *env) passes(r reply) {
	e.t.Helper()
	if r.status/100 != 2 {
		e.t.Errorf("status %d: %s", r.status, r.body)
	}
}

func (e *env) listJobs() error {
	_, err := e.api.ListJobs(e.as(e.key), &promptforgev1.ListJobsRequest{})
	return err
}

func TestQuotaOfRequests(t *testing.T) {
	const name = "requests a second (3)"
	e := start(t)
	id := string(e.completed(2))
	list, err := e.api.GetJobResults(e.as(e.key), &promptforgev1.GetJobResultsRequest{JobId: id})
	must(t, err)
	download := list.GetFiles()[0].GetUrl()
	upload := e.init().GetUploadUrl()
	other := e.issue("other")
	e.quotaOf(storage.Quota{RequestsPerSecond: new(3.0)})
	// A request over REST becomes a call over gRPC, and counts once.
	e.passes(e.rest("GET", "/v1/jobs", ""))
	must(t, e.listJobs())
	e.passes(e.rest("GET", download, "", "X-API-Key", ""))
	refusedREST(t, e.rest("GET", "/v1/jobs", ""), name)
	refusedREST(t, e.rest("GET", download, "", "X-API-Key", ""), name)
	refusedREST(t, e.rest("PUT", upload, prompts(1), "X-API-Key", ""), name)
	refusedREST(t, e.rest("GET", "/v1/jobs/"+id+"/events", ""), name)
	refusedGRPC(t, e.listJobs(), name)
	_, err = e.upload(job.ID(id), prompts(1))
	refusedGRPC(t, err, name)
	e.passes(e.rest("GET", "/v1/jobs", "", "X-API-Key", other))
	e.passes(e.rest("GET", "/healthz", ""))
	e.clock.Advance(334 * time.Millisecond)
	must(t, e.listJobs())
	refusedGRPC(t, e.listJobs(), name)
	must(t, e.store.ClearQuota(e.ctx(), "acme"))
	e.clock.Advance(time.Second)
	for range 20 {
		must(t, e.listJobs())
	}
}

func continueBody(id job.ID) string {
	return `{"provider":"openai","model":"gpt-4o-mini","continue_from":"` + string(id) + `"}`
}

func (e *env) continueFrom(id job.ID) error {
	return e.initJob(&promptforgev1.InitJobRequest{Provider: "openai", Model: "gpt-4o-mini", ContinueFrom: new(string(id))})
}

func TestQuotaOfOpenJobs(t *testing.T) {
	const name = "open jobs (1)"
	e := start(t, func(c *Config) { c.Quotas = quota.Limits{OpenJobs: 1} })
	done := e.completed(3) // settled jobs do not count
	first := e.rest("POST", "/v1/jobs/init", initBody, "Idempotency-Key", "k")
	e.passes(first)
	refusedREST(t, e.rest("POST", "/v1/jobs/init", initBody), name)
	refusedREST(t, e.rest("POST", "/v1/jobs/init", initBody, "Idempotency-Key", "other"), name)
	refusedREST(t, e.rest("POST", "/v1/jobs/init", continueBody(done)), name)
	refusedGRPC(t, e.initJob(&promptforgev1.InitJobRequest{Provider: "openai", Model: "gpt-4o-mini"}), name)
	refusedGRPC(t, e.continueFrom(done), name)
	// A request that comes again is told what came of it.
	again := e.rest("POST", "/v1/jobs/init", initBody, "Idempotency-Key", "k")
	e.passes(again)
	id := again.body[len(`{"job_id":"`):][:36]
	if again.status != first.status || !strings.Contains(first.body, id) {
		t.Errorf("the first was %s, the second %s", first.body, again.body)
	}
	if r := e.rest("POST", "/v1/jobs/init", `{"provider":"openai","model":"gpt-4o-mini","rpm":1}`, "Idempotency-Key", "k"); r.status != 409 {
		t.Errorf("another request with the key: %d %s", r.status, r.body)
	}
	e.passes(e.rest("POST", "/v1/jobs/init", initBody, "X-API-Key", e.issue("other")))
	e.passes(e.rest("DELETE", "/v1/jobs/"+id, ""))
	must(t, e.continueFrom(done))
	refusedREST(t, e.rest("POST", "/v1/jobs/init", initBody), name)
}

// Of many that come at once exactly as many pass as there is room for.
func TestQuotaOfOpenJobsAtOnce(t *testing.T) {
	e := start(t, func(c *Config) { c.Quotas = quota.Limits{OpenJobs: 3} })
	got := make(chan error)
	for range 16 {
		go func() {
			_, err := e.api.InitJob(e.as(e.key), &promptforgev1.InitJobRequest{Provider: "openai", Model: "gpt-4o-mini"})
			got <- err
		}()
	}
	passed := 0
	for range 16 {
		if err := <-got; err == nil {
			passed++
		} else {
			refusedGRPC(t, err, "open jobs (3)")
		}
	}
	if passed != 3 {
		t.Errorf("%d passed", passed)
	}
}

// noise is a prompts file that does not compress.
func noise(lines int) string {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for i := range lines {
		fmt.Fprintf(&b, `{"prompt_id":%d,"prompt":"`, i)
		for range 64 {
			fmt.Fprintf(&b, "%016x", r.Uint64())
		}
		b.WriteString("\"}\n")
	}
	return b.String()
}

func TestQuotaOfBytes(t *testing.T) {
	e := start(t)
	done := e.completed(2)
	before, err := e.store.Usage(e.ctx(), "acme")
	must(t, err)
	most := before.Bytes + 100_000
	name := fmt.Sprintf("stored bytes (%d)", most)
	e.quotaOf(storage.Quota{Bytes: &most})
	small, large := e.init(), e.init()
	refusedREST(t, e.rest("PUT", large.GetUploadUrl(), noise(300), "X-API-Key", ""), name)
	_, err = e.upload(job.ID(large.GetJobId()), noise(300))
	refusedGRPC(t, err, name)
	e.passes(e.rest("PUT", small.GetUploadUrl(), prompts(3), "X-API-Key", ""))
	after, err := e.store.Usage(e.ctx(), "acme")
	must(t, err)
	named, err := e.store.FileNames(e.ctx())
	must(t, err)
	must(t, e.cfg.Files.List(e.ctx(), func(file string, _ int64, _ time.Time) error {
		if !named[file] {
			t.Errorf("a refused upload left %s", file)
		}
		return nil
	}))
	// Room for a new job, and not for the file of another.
	most = after.Bytes + 1
	name = fmt.Sprintf("stored bytes (%d)", most)
	e.quotaOf(storage.Quota{Bytes: &most})
	e.init()
	refusedREST(t, e.rest("POST", "/v1/jobs/init", continueBody(done)), name)
	refusedGRPC(t, e.continueFrom(done), name)
	refusedREST(t, e.rest("PUT", large.GetUploadUrl(), prompts(3), "X-API-Key", ""), name)
	_, err = e.upload(job.ID(large.GetJobId()), prompts(3))
	refusedGRPC(t, err, name)
	// What is there already needs no room.
	e.passes(e.rest("PUT", small.GetUploadUrl(), prompts(3), "X-API-Key", ""))
	name = fmt.Sprintf("stored bytes (%d)", after.Bytes)
	e.quotaOf(storage.Quota{Bytes: &after.Bytes})
	refusedREST(t, e.rest("POST", "/v1/jobs/init", initBody), name)
	refusedGRPC(t, e.initJob(&promptforgev1.InitJobRequest{Provider: "openai", Model: "gpt-4o-mini"}), name)
	e.passes(e.rest("DELETE", "/v1/jobs/"+small.GetJobId(), ""))
	e.passes(e.rest("POST", "/v1/jobs/init", initBody))
}

// heldFiles holds every new file until it is told to go on.
type heldFiles struct {
	storage.Files
	begun, goOn chan struct{}
}

func (f heldFiles) Create(ctx context.Context, name string) (storage.NewFile, error) {
	select {
	case f.begun <- struct{}{}:
		<-f.goOn
	case <-f.goOn:
	}
	return f.Files.Create(ctx, name)
}

func TestQuotaOfUploads(t *testing.T) {
	const name = "uploads at once (1)"
	for _, face := range []string{"REST", "gRPC"} {
		t.Run(face, func(t *testing.T) {
			held := heldFiles{begun: make(chan struct{}), goOn: make(chan struct{})}
			e := start(t, func(c *Config) {
				held.Files = c.Files
				c.Files, c.Quotas = held, quota.Limits{Uploads: 1}
			})
			first, second, third := e.init(), e.init(), e.init()
			ended := make(chan error, 1)
			go func() {
				if face == "gRPC" {
					_, err := e.upload(job.ID(first.GetJobId()), prompts(2))
					ended <- err
					return
				}
				if r := e.rest("PUT", first.GetUploadUrl(), prompts(2), "X-API-Key", ""); r.status != 200 {
					ended <- errors.New(r.body)
				}
				ended <- nil
			}()
			<-held.begun
			refusedREST(t, e.rest("PUT", second.GetUploadUrl(), prompts(1), "X-API-Key", ""), name)
			_, err := e.upload(job.ID(second.GetJobId()), prompts(1))
			refusedGRPC(t, err, name)
			close(held.goOn)
			must(t, <-ended)
			e.passes(e.rest("PUT", second.GetUploadUrl(), prompts(1), "X-API-Key", ""))
			_, err = e.upload(job.ID(third.GetJobId()), prompts(1))
			must(t, err)
		})
	}
}

func TestQuotaOfStreams(t *testing.T) {
	const name = "streams at once (1)"
	// Each opens a stream of a job that goes on until the job is settled.
	for face, open := range map[string]func(e *env, id string) (toTheEnd func() error){
		"WatchJob": func(e *env, id string) func() error {
			watch, err := e.api.WatchJob(e.as(e.key), &promptforgev1.WatchJobRequest{JobId: id})
			must(e.t, err)
			_, err = watch.Recv()
			must(e.t, err)
			return func() error {
				for {
					if _, err := watch.Recv(); err != nil {
						return err
					}
				}
			}
		},
		"StreamResults": func(e *env, id string) func() error {
			e.claim(job.ID(id))
			e.record(job.ID(id), 1, 1)
			stream, err := e.api.StreamResults(e.as(e.key), &promptforgev1.StreamResultsRequest{JobId: id})
			must(e.t, err)
			_, err = stream.Recv()
			must(e.t, err)
			return func() error { _, err := stream.Recv(); return err }
		},
		"events": func(e *env, id string) func() error {
			resp := e.send("GET", "/v1/jobs/"+id+"/events", nil, "X-API-Key", e.key)
			r := bufio.NewReader(resp.Body)
			_, err := r.ReadString('\n')
			must(e.t, err)
			return func() error {
				defer resp.Body.Close()
				if _, err := io.Copy(io.Discard, r); err != nil {
					return err
				}
				return io.EOF
			}
		},
	} {
		t.Run(face, func(t *testing.T) {
			e := start(t, func(c *Config) { c.Quotas = quota.Limits{Streams: 1} })
			id, other := string(e.uploaded(3)), e.init().GetJobId()
			toTheEnd := open(e, id)
			refusedREST(t, e.rest("GET", "/v1/jobs/"+other+"/events", ""), name)
			watch, err := e.api.WatchJob(e.as(e.key), &promptforgev1.WatchJobRequest{JobId: other})
			must(t, err)
			_, err = watch.Recv()
			refusedGRPC(t, err, name)
			stream, err := e.api.StreamResults(e.as(e.key), &promptforgev1.StreamResultsRequest{JobId: other})
			must(t, err)
			_, err = stream.Recv()
			refusedGRPC(t, err, name)
			_, err = e.store.Cancel(e.ctx(), "acme", job.ID(id), e.clock.Now())
			must(t, err)
			if lease, ok := e.leases[job.ID(id)]; ok {
				must(t, e.store.Acknowledge(e.ctx(), lease.Term, job.ID(id)))
				e.settle(job.ID(id))
			}
			if err := toTheEnd(); !errors.Is(err, io.EOF) {
				t.Errorf("the stream ended with %v", err)
			}
			e.passes(e.rest("GET", "/v1/jobs/"+id+"/events", ""))
			e.passes(e.rest("GET", "/v1/jobs/"+id+"/events", ""))
		})
	}
}

func TestQuotaOfFailedAuthentications(t *testing.T) {
	const name = "failed authentications a minute from one address (10)"
	e := start(t, func(c *Config) { c.FailedAuthentications = 10 })
	bad := func() reply { return e.rest("GET", "/v1/jobs", "", "X-API-Key", e.key+"x") }
	for range 10 {
		checkREST(t, problem.Unauthenticated, bad())
		checkGRPC(t, problem.Unauthenticated, e.status("", "x"))
	}
	refusedREST(t, bad(), name)
	refusedREST(t, e.rest("GET", "/v1/nothing", "", "X-API-Key", ""), name)
	refusedREST(t, e.rest("GET", "/v1/jobs", "", "X-API-Key", "", "X-Forwarded-For", "192.0.2.1", "X-Real-Ip", "192.0.2.1", "Forwarded", "for=192.0.2.1"), name)
	refusedGRPC(t, e.status(e.revoked(), "x"), name)
	_, err := e.api.ListJobs(e.as("", "x-forwarded-for", "192.0.2.1"), &promptforgev1.ListJobsRequest{})
	refusedGRPC(t, err, name)
	watch, err := e.api.WatchJob(e.as(""), &promptforgev1.WatchJobRequest{})
	must(t, err)
	_, err = watch.Recv()
	refusedGRPC(t, err, name)
	// Good keys are nobody's guesses, and other paths want none.
	for range 30 {
		e.passes(e.rest("GET", "/v1/jobs", ""))
		must(t, e.listJobs())
	}
	e.passes(e.rest("PUT", e.init().GetUploadUrl(), prompts(1), "X-API-Key", ""))
	e.clock.Advance(6 * time.Second)
	checkREST(t, problem.Unauthenticated, bad())
	refusedREST(t, bad(), name)
	e.clock.Advance(time.Hour)
	for range 20 {
		checkREST(t, problem.Unauthenticated, bad())
	}
	refusedREST(t, bad(), name)
}

// Two uploads that each would fit are measured again when they are whole, and
// the second is refused.
func TestQuotaOfBytesAtOnce(t *testing.T) {
	held := heldFiles{begun: make(chan struct{}), goOn: make(chan struct{})}
	most := int64(len(noise(30))) * 3 / 4 // kept, one takes about half
	e := start(t, func(c *Config) {
		held.Files = c.Files
		c.Files, c.Quotas = held, quota.Limits{Bytes: most}
	})
	jobs := []*promptforgev1.InitJobResponse{e.init(), e.init()}
	got := make(chan reply)
	for _, j := range jobs {
		go func() { got <- e.rest("PUT", j.GetUploadUrl(), noise(30), "X-API-Key", "") }()
	}
	<-held.begun
	<-held.begun
	close(held.goOn)
	one, two := <-got, <-got
	if one.status != 200 {
		one, two = two, one
	}
	e.passes(one)
	refusedREST(t, two, fmt.Sprintf("stored bytes (%d)", most))
	files := 0
	must(t, held.List(e.ctx(), func(string, int64, time.Time) error { files++; return nil }))
	if usage, err := e.store.Usage(e.ctx(), "acme"); err != nil || usage.Bytes > most || files != 1 {
		t.Errorf("%+v, %v is stored in %d files", usage, err, files)
	}
}
