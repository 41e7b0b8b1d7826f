package storagetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// env is a store under test with the steps that tests share. A step that fails
// ends the test.
type env struct {
	testing.TB
	ctx     context.Context
	open    Open
	opts    Options
	store   storage.Store
	reopens bool
	now     time.Time
	clients map[string]bool
	names   atomic.Int64
}

func newEnv(t testing.TB, open Open, reopens bool) *env {
	e := &env{
		TB: t, ctx: context.Background(), open: open, reopens: reopens,
		opts:    Options{Place: t.TempDir(), MaxActivePerClient: 1},
		now:     time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC),
		clients: map[string]bool{},
	}
	e.store = open(t, e.opts)
	t.Cleanup(func() {
		if t.Failed() {
			_ = e.store.Close() // the test has its error already
			return
		}
		clients := make([]string, 0, len(e.clients))
		for c := range e.clients {
			clients = append(clients, c)
		}
		Check(t, e.store, e.opts.MaxActivePerClient, clients...)
		e.ok(e.store.Close())
	})
	return e
}

// s is the store, opened anew where the test asks for it.
func (e *env) s() storage.Store {
	if e.reopens {
		e.reopen()
	}
	return e.store
}

func (e *env) reopen() {
	e.Helper()
	e.ok(e.store.Close())
	e.store = e.open(e.TB, e.opts)
}

func (e *env) maxActive(n int) {
	e.opts.MaxActivePerClient = n
	e.reopen()
}

func (e *env) later(d time.Duration) time.Time {
	e.now = e.now.Add(d)
	return e.now
}

func (e *env) ok(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

func (e *env) is(err, want error) {
	e.Helper()
	if !errors.Is(err, want) {
		e.Fatalf("got error %v, want %v", err, want)
	}
}

// state wants a *storage.StateError that shows the job as it is kept.
func (e *env) state(err error, want job.Status) {
	e.Helper()
	var s *storage.StateError
	if !errors.As(err, &s) {
		e.Fatalf("got error %v, want a *StateError", err)
	}
	if s.Job.Status != want {
		e.Fatalf("the refused job is %s, want %s", s.Job.Status, want)
	}
	e.same(s.Job, e.get(s.Job.ID))
}

func (e *env) same(got, want any) {
	e.Helper()
	if reflect.DeepEqual(got, want) {
		return // most often, and much faster
	}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		e.Fatalf("differs (-want +got):\n%s", d)
	}
}

// ask is a new job as the server hands it over.
func (e *env) ask(client string) *job.Job {
	e.clients[client] = true
	return &job.Job{
		ID: job.NewID(), Client: client, Provider: "openai", Model: "gpt-x", MaxRetries: 3, RPM: 600, TPM: 90_000,
		Metadata: map[string]string{"team": "a"}, WebhookURL: "https://example.com/hook",
		CreatedAt: e.now, UploadExpiresAt: e.now.Add(15 * time.Minute),
	}
}

func (e *env) create(client string) *job.Job {
	e.Helper()
	j, created, err := e.s().CreateJob(e.ctx, e.ask(client), nil)
	e.ok(err)
	if !created {
		e.Fatal("the job is not new")
	}
	return j
}

// file is an upload of usable lines alone.
func (e *env) file(prompts int64) storage.Upload {
	return storage.Upload{
		Prompts: job.PromptsFile{
			Name: e.name("prompts"), Bytes: 100 * prompts, SHA256: sha256.Sum256([]byte{byte(prompts)}), Usable: prompts,
		},
		PromptCount: prompts,
	}
}

// unusable adds error records of the given lines to an upload, as one part.
func (e *env) unusable(u storage.Upload, lines ...int64) storage.Upload {
	next := int64(1)
	for _, p := range u.Unusable {
		next += p.Outcomes
	}
	outcomes := make([]job.Outcome, len(lines))
	for i, line := range lines {
		outcomes[i] = *failure(line)
	}
	u.Unusable = append(u.Unusable, e.part(storage.Range{FirstOffset: next}, outcomes))
	u.PromptCount += int64(len(lines))
	return u
}

// part is what a dispatcher makes of outcomes that begin where at begins.
func (e *env) part(at storage.Range, outcomes []job.Outcome) storage.NewPart {
	p := storage.NewPart{
		Part: storage.Part{
			Name: e.name("part"), Bytes: 4711, SHA256: sha256.Sum256([]byte(e.Name())),
			Range: storage.Range{FirstOffset: at.FirstOffset, ResultsBefore: at.ResultsBefore},
		},
		Done: roaring.New(), Failed: roaring.New(),
	}
	for i := range outcomes {
		p.Add(&outcomes[i])
		p.Done.Add(uint32(outcomes[i].Line))
		if outcomes[i].Failed {
			p.Failed.Add(uint32(outcomes[i].Line))
		}
	}
	return p
}

func (e *env) name(kind string) string {
	return fmt.Sprintf("%s/%d", kind, e.names.Add(1))
}

func (e *env) complete(id job.ID, u storage.Upload) *job.Job {
	e.Helper()
	j, err := e.s().CompleteUpload(e.ctx, id, u, e.now)
	e.ok(err)
	return j
}

// uploaded is a new job with so many prompts, lines 1 to n.
func (e *env) uploaded(client string, prompts int64) *job.Job {
	e.Helper()
	return e.complete(e.create(client).ID, e.file(prompts))
}

// processing is a new job under a new lease.
func (e *env) processing(client string, prompts int64) (*job.Job, storage.Lease) {
	e.Helper()
	lease := e.hold()
	return e.claim(lease, e.uploaded(client, prompts).ID).Job, lease
}

var lane = job.Lane{Provider: "openai", Group: "default", Model: "gpt-x"}

func (e *env) hold() storage.Lease {
	e.Helper()
	lease, err := e.s().HoldLane(e.ctx, lane, "test")
	e.ok(err)
	return lease
}

func (e *env) claim(lease storage.Lease, id job.ID) *storage.Claim {
	e.Helper()
	c, err := e.s().Claim(e.ctx, lease, id, e.now)
	e.ok(err)
	return c
}

func (e *env) get(id job.ID) *job.Job {
	e.Helper()
	j, err := e.s().Job(e.ctx, "", id)
	e.ok(err)
	return j
}

func (e *env) status(id job.ID, want job.Status) {
	e.Helper()
	if got := e.get(id).Status; got != want {
		e.Fatalf("the job is %s, want %s", got, want)
	}
}

// answer records outcomes and wants so many of them to be accepted.
func (e *env) answer(id job.ID, accepted int, outcomes ...*job.Outcome) storage.Recorded {
	e.Helper()
	r, err := e.s().Record(e.ctx, []storage.Record{{ID: id, Outcomes: outcomes}})
	e.ok(err)
	e.ok(r[0].Err)
	if r[0].Accepted != accepted {
		e.Fatalf("accepted %d outcomes, want %d", r[0].Accepted, accepted)
	}
	return r[0]
}

func (e *env) settle(lease storage.Lease, id job.ID) *job.Job {
	e.Helper()
	j, err := e.s().Settle(e.ctx, lease.Term, id, e.now)
	e.ok(err)
	return j
}

func (e *env) cancel(id job.ID) *job.Job {
	e.Helper()
	j, err := e.s().Cancel(e.ctx, "", id, e.now)
	e.ok(err)
	return j
}

func (e *env) finish(lease storage.Lease, id job.ID, to job.Status) *job.Job {
	e.Helper()
	j, err := e.s().Finish(e.ctx, lease.Term, id, to, "The credential was refused.", e.now)
	e.ok(err)
	return j
}

// seal freezes the oldest segment and seals it with what it holds.
func (e *env) seal(lease storage.Lease, id job.ID) storage.NewPart {
	e.Helper()
	segment, err := e.s().Freeze(e.ctx, lease.Term, id)
	e.ok(err)
	part := e.part(segment.Range, e.read(id, segment))
	e.ok(e.s().Seal(e.ctx, lease.Term, id, segment.N, part))
	return part
}

// read reads a whole segment in small pieces.
func (e *env) read(id job.ID, segment storage.Segment) []job.Outcome {
	e.Helper()
	var all []job.Outcome
	for after := segment.FirstOffset - 1; ; {
		some, err := e.s().ReadSegment(e.ctx, id, segment.N, after, 64<<10)
		e.ok(err)
		if len(some) == 0 {
			return all
		}
		all = append(all, some...)
		after += int64(len(some))
	}
}

func result(line int64) *job.Outcome {
	return &job.Outcome{
		Line: line, Public: fmt.Appendf(nil, `{"prompt_id":%d,"result":"answer %d"}`, line, line),
		Response: fmt.Appendf(nil, `{"choices":[%d]}`, line), HTTPStatus: 200, RequestID: fmt.Sprint("req-", line),
		PromptTokens: 10, CompletionTokens: 20,
	}
}

func failure(line int64) *job.Outcome {
	return &job.Outcome{Line: line, Failed: true, Public: fmt.Appendf(nil, `{"prompt_id":%d,"error":"server_error"}`, line), HTTPStatus: 500}
}

// results are the results of lines first to last.
func results(first, last int64) []*job.Outcome {
	var out []*job.Outcome
	for line := first; line <= last; line++ {
		out = append(out, result(line))
	}
	return out
}

// large is a result of about so many bytes.
func large(line int64, bytes int) *job.Outcome {
	o := result(line)
	o.Response = []byte(`"` + strings.Repeat("x", bytes) + `"`)
	return o
}
