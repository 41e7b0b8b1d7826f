package storagetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// model drives a store with random calls and compares it after each with a
// simple model that keeps everything in plain Go values.
func model(t *testing.T, open Open) {
	rapid.Check(t, func(rt *rapid.T) {
		e := &env{
			TB: t, open: open, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), clients: map[string]bool{}, ctx: t.Context(),
			opts: Options{Place: t.TempDir(), MaxActivePerClient: rapid.IntRange(1, 2).Draw(rt, "maxActive")},
		}
		e.store = open(t, e.opts)
		defer func() { e.ok(e.store.Close()) }()
		m := &machine{env: e, leases: []storage.Lease{e.hold()}}
		rt.Repeat(map[string]func(*rapid.T){
			"create":      m.create,
			"continue":    m.resume,
			"upload":      m.upload,
			"expire":      m.expire,
			"cancel":      m.cancel,
			"hold":        m.hold,
			"claim":       m.claim,
			"record":      m.record,
			"recordAgain": m.record,
			"seal":        m.seal,
			"finish":      m.finish,
			"settle":      m.settle,
			"acknowledge": m.acknowledge,
			"release":     m.release,
			"reopen":      func(*rapid.T) { e.reopen() },
			"":            m.compare,
		})
		Check(t, e.store, e.opts.MaxActivePerClient, "a", "b")
	})
}

// modelJob is what the store should know about a job.
type modelJob struct {
	job.Job
	upload   int             // the n-th of all uploads
	outcomes []*job.Outcome  // in the order of their offsets
	done     map[int64]bool  // by line: did it fail?
	parts    []storage.Range // sealed
	segments [][2]int        // frozen ones, as [from, to) in outcomes
	open     int             // where in outcomes the open segment begins
}

type machine struct {
	*env
	jobs    []*modelJob
	uploads int
	leases  []storage.Lease // the last one is good
}

// pick draws a job, nil if there is none.
func (m *machine) pick(t *rapid.T) *modelJob {
	if len(m.jobs) == 0 {
		return nil
	}
	return m.jobs[rapid.IntRange(0, len(m.jobs)-1).Draw(t, "job")]
}

// term draws a term that is mostly the good one.
func (m *machine) lease(t *rapid.T) storage.Lease {
	if rapid.IntRange(0, 9).Draw(t, "old") > 0 {
		return m.leases[len(m.leases)-1]
	}
	return m.leases[rapid.IntRange(0, len(m.leases)-1).Draw(t, "lease")]
}

// expect compares an error with what the model says. nil wants none; a status
// wants a *StateError with it.
func expect(t *rapid.T, err error, want any) bool {
	switch want := want.(type) {
	case nil:
		if err != nil {
			t.Fatalf("unexpected error %v", err)
		}
		return true
	case error:
		if !errors.Is(err, want) {
			t.Fatalf("got error %v, want %v", err, want)
		}
	case job.Status:
		var s *storage.StateError
		if !errors.As(err, &s) || s.Job.Status != want {
			t.Fatalf("got error %v, want a *StateError of a job that is %s", err, want)
		}
	}
	return false
}

func (m *machine) find(id job.ID) *modelJob {
	return m.jobs[slices.IndexFunc(m.jobs, func(j *modelJob) bool { return j.ID == id })]
}

func (m *machine) promote(client string) {
	for {
		turns := 0
		var next *modelJob
		for _, j := range m.jobs {
			if j.Client != client {
				continue
			}
			if j.TakesTurn() {
				turns++
			}
			if j.Status == job.Pending && (next == nil || j.QueueSeq < next.QueueSeq) {
				next = j
			}
		}
		if turns >= m.opts.MaxActivePerClient || next == nil {
			return
		}
		next.Status = job.Queued
	}
}

func (m *machine) enqueue(j *modelJob, to job.Status) {
	for _, other := range m.jobs {
		if other.Client == j.Client {
			j.QueueSeq = max(j.QueueSeq, other.QueueSeq)
		}
	}
	j.QueueSeq++
	m.uploads++
	j.upload = m.uploads
	j.Status = to
}

func (m *machine) end(j *modelJob, to job.Status, reason string, settled bool) {
	j.Status, j.FailureReason, j.CompletedAt = to, reason, m.now
	if settled {
		j.Settle(m.now)
		m.promote(j.Client)
	}
}

func (m *machine) add(asked *job.Job) *modelJob {
	j := &modelJob{Job: *asked, done: map[int64]bool{}}
	j.Status, j.Seq = job.AwaitingUpload, 1
	for _, other := range m.jobs {
		if other.Client == j.Client {
			j.Seq++
		}
	}
	m.jobs = append(m.jobs, j)
	return j
}

func (m *machine) create(t *rapid.T) {
	asked := m.ask(rapid.SampledFrom([]string{"a", "b"}).Draw(t, "client"))
	_, _, err := m.store.CreateJob(m.ctx, asked, nil)
	expect(t, err, nil)
	m.add(asked)
}

func (m *machine) resume(t *rapid.T) {
	from := m.pick(t)
	if from == nil {
		return
	}
	asked := m.ask(from.Client)
	asked.ContinueFrom = from.ID
	_, _, err := m.store.CreateJob(m.ctx, asked, nil)
	if !from.Settled() || from.Prompts.Name == "" {
		expect(t, err, from.Status)
		return
	}
	expect(t, err, nil)
	j := m.add(asked)
	j.Parsed, j.PromptCount, j.Prompts = true, from.PromptCount, from.Prompts
	at := 0
	for _, p := range from.parts {
		if int64(at) < from.PromptCount-from.Prompts.Usable {
			// The lines that cannot be used.
			for _, o := range from.outcomes[at : at+int(p.Outcomes)] {
				j.take(o)
			}
			j.parts = append(j.parts, p)
			at += int(p.Outcomes)
			continue
		}
		results := int64(0)
		for _, o := range from.outcomes[at : at+int(p.Outcomes)] {
			if !o.Failed {
				j.take(o)
				results++
			}
		}
		at += int(p.Outcomes)
		if results > 0 {
			j.parts = append(j.parts, storage.Range{FirstOffset: int64(len(j.outcomes)) - results + 1, Outcomes: results})
		}
	}
	j.open = len(j.outcomes)
	for _, o := range from.outcomes[at:] {
		if !o.Failed {
			j.take(o)
		}
	}
	j.PromptTokens, j.CompletionTokens = 0, 0
	m.enqueue(j, job.Pending)
	m.promote(j.Client)
}

// take records an outcome.
func (j *modelJob) take(o *job.Outcome) {
	j.outcomes = append(j.outcomes, o)
	j.done[o.Line] = o.Failed
	j.Record(o)
}

func (m *machine) upload(t *rapid.T) {
	j := m.pick(t)
	if j == nil {
		return
	}
	u := m.file(int64(rapid.IntRange(0, 6).Draw(t, "usable")))
	usable := u.Prompts.Usable
	for range rapid.IntRange(0, 2).Draw(t, "unusable parts") {
		u = m.unusable(u, u.PromptCount+1, u.PromptCount+2)
	}
	_, err := m.store.CompleteUpload(m.ctx, j.ID, u, m.now)
	if j.Status != job.AwaitingUpload {
		expect(t, err, j.Status)
		return
	}
	expect(t, err, nil)
	j.Parsed, j.Prompts, j.PromptCount = true, u.Prompts, u.PromptCount
	for _, p := range u.Unusable {
		j.parts = append(j.parts, p.Range)
		for _, line := range p.Done.ToArray() {
			j.take(failure(int64(line)))
		}
	}
	j.open = len(j.outcomes)
	if usable > 0 {
		m.enqueue(j, job.Pending)
		m.promote(j.Client)
		return
	}
	m.enqueue(j, job.AwaitingUpload)
	reason := "The file has no usable line; errors.jsonl says why for each."
	if u.PromptCount == 0 {
		reason = "The file has no line at all."
	}
	m.end(j, job.Failed, reason, true)
}

func (m *machine) expire(t *rapid.T) {
	m.later(time.Duration(rapid.IntRange(1, 10).Draw(t, "minutes")) * time.Minute)
	n, err := m.store.ExpireUploads(m.ctx, m.now, func(job.ID) bool { return false })
	expect(t, err, nil)
	want := 0
	for _, j := range m.jobs {
		if j.Status == job.AwaitingUpload && j.UploadExpiresAt.Before(m.now) {
			m.end(j, job.Cancelled, "No file was uploaded before the upload URL expired.", true)
			want++
		}
	}
	if n != want {
		t.Fatalf("%d expired, want %d", n, want)
	}
}

func (m *machine) cancel(t *rapid.T) {
	j := m.pick(t)
	if j == nil {
		return
	}
	_, err := m.store.Cancel(m.ctx, j.Client, j.ID, m.now)
	if j.Status.Final() {
		expect(t, err, j.Status)
		return
	}
	expect(t, err, nil)
	m.end(j, job.Cancelled, "", j.Status != job.Processing)
}

func (m *machine) hold(*rapid.T) { m.leases = append(m.leases, m.env.hold()) }

func (m *machine) good(lease storage.Lease) bool { return lease.Term == m.leases[len(m.leases)-1].Term }

func (m *machine) claim(t *rapid.T) {
	j, lease := m.pick(t), m.lease(t)
	if j == nil {
		return
	}
	c, err := m.store.Claim(m.ctx, lease, j.ID, m.now)
	switch {
	case !m.good(lease):
		expect(t, err, storage.ErrTerm)
		return
	case !j.TakesTurn():
		expect(t, err, storage.ErrNotFound)
		return
	}
	expect(t, err, nil)
	if c.Job.Released != j.Released {
		t.Fatalf("the claim says released: %t, want %t", c.Job.Released, j.Released)
	}
	if int(c.Done.GetCardinality()) != len(j.done) {
		t.Fatalf("done are %v, want %v", c.Done.ToArray(), j.done)
	}
	for line := range j.done {
		if !c.Done.Contains(uint32(line)) {
			t.Fatalf("line %d is not done", line)
		}
	}
	j.Lane, j.Term, j.Released = lane, lease.Term, false
	if j.Status == job.Queued {
		j.Status = job.Processing
		if j.StartedAt.IsZero() {
			j.StartedAt = m.now
		}
	}
}

func (m *machine) record(t *rapid.T) {
	if len(m.jobs) == 0 {
		return
	}
	var records []storage.Record
	for range rapid.IntRange(1, 3).Draw(t, "records") {
		r := storage.Record{ID: m.pick(t).ID, SentThrough: rapid.Int64Range(0, 8).Draw(t, "sent"), Requests: 1}
		for range rapid.IntRange(0, 4).Draw(t, "outcomes") {
			line := rapid.Int64Range(1, 8).Draw(t, "line")
			o := result(line)
			if rapid.Bool().Draw(t, "failed") {
				o = failure(line)
			}
			r.Outcomes = append(r.Outcomes, o)
		}
		records = append(records, r)
	}
	got, err := m.store.Record(m.ctx, records)
	expect(t, err, nil)
	for i, r := range records {
		j, accepted := m.find(r.ID), 0
		if j.Parsed && !j.Settled() {
			j.RequestsSent += r.Requests
			j.SentThrough = max(j.SentThrough, r.SentThrough)
			for _, o := range r.Outcomes {
				if _, done := j.done[o.Line]; !done && j.Open() > 0 {
					j.take(o)
					accepted++
				}
			}
		}
		if got[i].Accepted != accepted || got[i].Err != nil {
			t.Fatalf("record %d came to %+v, want %d accepted", i, got[i], accepted)
		}
	}
}

// decided says what a decision about a job should come to before its state is
// looked at.
func (m *machine) decided(j *modelJob, lease storage.Lease) any {
	if j.Term != lease.Term || !m.good(lease) {
		return storage.ErrTerm
	}
	return nil
}

func (m *machine) seal(t *rapid.T) {
	j, lease := m.pick(t), m.lease(t)
	if j == nil {
		return
	}
	segment, err := m.store.Freeze(m.ctx, lease.Term, j.ID)
	if !expect(t, err, m.unsealed(j, lease)) {
		return
	}
	if len(j.segments) == 0 {
		j.segments = append(j.segments, [2]int{j.open, len(j.outcomes)})
		j.open = len(j.outcomes)
	}
	oldest := j.segments[0]
	if segment.FirstOffset != int64(oldest[0])+1 || segment.LastOffset() != int64(oldest[1]) {
		t.Fatalf("froze %+v, want outcomes %v", segment, oldest)
	}
	if rapid.Bool().Draw(t, "only freeze") {
		return
	}
	part := m.part(segment.Range, m.read(j.ID, segment))
	expect(t, m.store.Seal(m.ctx, lease.Term, j.ID, segment.N, part), nil)
	j.parts = append(j.parts, segment.Range)
	j.segments = j.segments[1:]
}

func (m *machine) unsealed(j *modelJob, lease storage.Lease) any {
	if refused := m.decided(j, lease); refused != nil {
		return refused
	}
	if len(j.segments) == 0 && j.open == len(j.outcomes) {
		return storage.ErrNotFound
	}
	return nil
}

func (m *machine) finish(t *rapid.T) {
	j, lease := m.pick(t), m.lease(t)
	if j == nil {
		return
	}
	to := rapid.SampledFrom([]job.Status{job.Completed, job.Failed}).Draw(t, "to")
	want := m.decided(j, lease)
	if want == nil && (j.Status != job.Processing || (to == job.Completed && j.Open() > 0)) {
		want = j.Status
	}
	_, err := m.store.Finish(m.ctx, lease.Term, j.ID, to, "Why.", m.now)
	if !expect(t, err, want) {
		return
	}
	if to == job.Failed {
		m.end(j, to, "Why.", false)
		return
	}
	j.Acknowledged = true
	m.end(j, to, "", true)
}

func (m *machine) settle(t *rapid.T) {
	j, lease := m.pick(t), m.lease(t)
	if j == nil {
		return
	}
	_, err := m.store.Settle(m.ctx, lease.Term, j.ID, m.now)
	if expect(t, err, m.final(j, lease)) && !j.Settled() {
		j.Acknowledged = true
		j.Settle(m.now)
		m.promote(j.Client)
	}
}

func (m *machine) final(j *modelJob, lease storage.Lease) any {
	if refused := m.decided(j, lease); refused != nil {
		return refused
	}
	if !j.Status.Final() {
		return j.Status
	}
	return nil
}

func (m *machine) acknowledge(t *rapid.T) {
	j, lease := m.pick(t), m.lease(t)
	if j == nil {
		return
	}
	if expect(t, m.store.Acknowledge(m.ctx, lease.Term, j.ID), m.final(j, lease)) {
		j.Acknowledged = true
	}
}

func (m *machine) release(t *rapid.T) {
	j, lease := m.pick(t), m.lease(t)
	if j == nil {
		return
	}
	if expect(t, m.store.Release(m.ctx, lease.Term, j.ID), m.decided(j, lease)) && !j.Settled() {
		j.Released = true
	}
}

// compare wants the store to hold what the model does.
func (m *machine) compare(t *rapid.T) {
	var work []*modelJob
	for _, j := range m.jobs {
		got, err := m.store.Job(m.ctx, j.Client, j.ID)
		expect(t, err, nil)
		same(t, got, &j.Job)
		m.compareOutcomes(t, j)
		if j.TakesTurn() {
			work = append(work, j)
		}
	}
	slices.SortFunc(work, func(a, b *modelJob) int { return a.upload - b.upload })
	got, err := m.store.Work(m.ctx)
	expect(t, err, nil)
	ids := func(n int, id func(int) job.ID) (out []job.ID) {
		for i := range n {
			out = append(out, id(i))
		}
		return out
	}
	same(t, ids(len(got), func(i int) job.ID { return got[i].ID }), ids(len(work), func(i int) job.ID { return work[i].ID }))
}

func (m *machine) compareOutcomes(t *rapid.T, j *modelJob) {
	parts, err := m.store.Parts(m.ctx, j.ID)
	expect(t, err, nil)
	at := 0
	if len(parts) != len(j.parts) {
		t.Fatalf("%d parts, want %d", len(parts), len(j.parts))
	}
	for i, p := range parts {
		if p.FirstOffset != j.parts[i].FirstOffset || p.Outcomes != j.parts[i].Outcomes {
			t.Fatalf("part %d is %+v, want %+v", i, p.Range, j.parts[i])
		}
		at += int(p.Outcomes)
	}
	segments, err := m.store.Segments(m.ctx, j.ID)
	expect(t, err, nil)
	for _, s := range segments {
		for _, o := range m.read(j.ID, s) {
			if at >= len(j.outcomes) {
				t.Fatalf("more outcomes than %d", len(j.outcomes))
			}
			same(t, &o, j.outcomes[at])
			at++
		}
	}
	if at != len(j.outcomes) {
		t.Fatalf("%d outcomes, want %d", at, len(j.outcomes))
	}
}

func same(t *rapid.T, got, want any) {
	if reflect.DeepEqual(got, want) {
		return // most often, and much faster
	}
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Fatal(fmt.Sprintf("differs (-want +got):\n%s", d))
	}
}
