package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/promptforge/promptforge/job"
)

// The model of one client's jobs that TestStatusIsLinearizable checks histories
// against. A job moves by itself between two calls, so what the model holds of
// it is how far it has come at least: a read is right if the job can have come
// to what it shows, by moves that package job allows.

type callKind string

const (
	callInit   callKind = "init"
	callUpload callKind = "upload"
	callCancel callKind = "cancel"
	callRead   callKind = "read" // the status, or the whole job
)

// request is a call of one client; number says which of its jobs.
type request struct {
	kind    callKind
	number  int
	prompts int64 // in the file that is uploaded
}

// response is what came of a request.
type response struct {
	unknown bool // the connection broke, or 503: it may have been applied, or not
	refused bool // 409
	id      string
	url     bool // init: the job awaits its upload
	seen    seen
}

// seen is what an answer shows of a job. null is -1 for a count and "" for a
// time.
type seen struct {
	status                       job.Status
	counts                       bool // everything of the status is shown, not only the word
	whole                        bool // settled_at is shown too
	prompts, completed, failed   int64
	started, finished, settledAt string
}

// known is how far a job has come at least.
type known struct {
	id                string
	status            job.Status
	place             int // its upload was the client's n-th; 0: it has none
	prompts           int64
	completed, failed int64
	started, finished string // "": not seen yet; never: seen final without one
	settledAt         string
	ended             bool // it is settled by now, and so final, even if status is not
	exact             bool // ended, and its last state was seen
}

const never = "never"

// jobsOf is the state of the model: a client's jobs by number; nil for one that
// is not there. It is never changed, only copied.
type jobsOf struct {
	jobs    []*known
	uploads int
}

func (s jobsOf) with(number int, k known) jobsOf {
	jobs := make([]*known, max(len(s.jobs), number+1))
	copy(jobs, s.jobs)
	jobs[number] = &k
	return jobsOf{jobs: jobs, uploads: s.uploads}
}

func (s jobsOf) at(number int) *known {
	if number >= len(s.jobs) {
		return nil
	}
	return s.jobs[number]
}

func (s jobsOf) equal(o jobsOf) bool {
	return s.uploads == o.uploads && slices.EqualFunc(s.jobs, o.jobs, func(a, b *known) bool {
		return a == b || a != nil && b != nil && *a == *b
	})
}

// step returns the states that a call with this response may lead to; none if
// it cannot have been answered so.
func (s jobsOf) step(in request, out response) []jobsOf {
	var after jobsOf
	var ok bool
	switch in.kind {
	case callInit:
		after, ok = s.init(in, out)
	case callUpload:
		after, ok = s.upload(in, out)
	case callCancel:
		after, ok = s.cancel(in, out)
	case callRead:
		after, ok = s.observe(in.number, out.seen)
	}
	switch {
	case out.unknown && ok && !s.equal(after):
		return []jobsOf{s, after}
	case out.unknown:
		return []jobsOf{s}
	case ok:
		return []jobsOf{after}
	}
	return nil
}

// init makes the job, or finds the one that the same Idempotency-Key made.
func (s jobsOf) init(in request, out response) (jobsOf, bool) {
	k := s.at(in.number)
	if k == nil {
		return s.with(in.number, known{id: out.id, status: job.AwaitingUpload}), out.url || out.unknown
	}
	if out.unknown {
		return s, true
	}
	found := *k
	if found.id == "" { // it was made by a call whose answer was lost
		found.id = out.id
	}
	return s.with(in.number, found), found.id == out.id && out.url == (k.status == job.AwaitingUpload)
}

func (s jobsOf) upload(in request, out response) (jobsOf, bool) {
	k := s.at(in.number)
	if k == nil {
		return s, false
	}
	if out.refused { // cancelled, and has no file that this could be the same as
		return s, k.status == job.Cancelled && k.place == 0
	}
	if k.status == job.AwaitingUpload {
		moved := *k
		moved.status, moved.place, moved.prompts = job.Pending, s.uploads+1, in.prompts
		s = s.with(in.number, moved)
		s.uploads++
	}
	if out.unknown {
		return s, true
	}
	if s.at(in.number).place == 0 || out.seen.prompts != in.prompts {
		return s, false
	}
	return s.observe(in.number, out.seen)
}

func (s jobsOf) cancel(in request, out response) (jobsOf, bool) {
	k := s.at(in.number)
	if k == nil {
		return s, false
	}
	if out.refused {
		if !out.seen.status.Final() {
			return s, false
		}
		return s.observe(in.number, out.seen)
	}
	if k.status.Final() || k.ended {
		return s, false
	}
	cancelled := *k
	cancelled.status = job.Cancelled
	cancelled.ended = k.place == 0 // nothing of it can be in flight
	return s.with(in.number, cancelled), true
}

// observe is the state after a job was seen.
func (s jobsOf) observe(number int, now seen) (jobsOf, bool) {
	k := s.at(number)
	if k == nil || !comesTo(k.status, now.status) || k.ended && !now.status.Final() {
		return s, false
	}
	after := *k
	after.status = now.status
	turn := now.status.Active() || now.status == job.Completed || now.status == job.Failed
	s, waits := s.before(k.place, turn)
	if now.status == job.Pending && !waits {
		return s, false
	}
	if now.status == job.Completed {
		after.ended = true // it is settled in the same moment
	}
	if now.whole && !after.settled(now) {
		return s, false
	}
	if now.counts && !(after.counted(now) && after.timed(now)) {
		return s, false
	}
	return s.with(number, after), true
}

// before looks at the jobs whose uploads came before a place. If the job there
// has or had its turn, all of them are over. waits tells whether one may not be.
func (s jobsOf) before(place int, turn bool) (after jobsOf, waits bool) {
	after = s
	for number, k := range s.jobs {
		if k == nil || k.place == 0 || k.place >= place || k.ended {
			continue
		}
		waits = true
		if turn {
			over := *k
			over.ended = true
			after = after.with(number, over)
		}
	}
	return after, waits
}

// comesTo tells whether a job can come from one state to the other by itself.
// Only calls lead to CANCELLED and away from AWAITING_UPLOAD.
func comesTo(from, to job.Status) bool {
	if from == to {
		return true
	}
	if from == job.AwaitingUpload {
		return false
	}
	for _, next := range job.Statuses() {
		if next != job.Cancelled && from.CanMove(next) && comesTo(next, to) {
			return true
		}
	}
	return false
}

func (k *known) settled(now seen) bool {
	if now.settledAt == "" {
		return !k.ended
	}
	if k.settledAt != "" && k.settledAt != now.settledAt {
		return false
	}
	k.settledAt, k.ended = now.settledAt, true
	return now.status.Final()
}

func (k *known) counted(now seen) bool {
	if k.place == 0 {
		return now.prompts == -1 && now.completed == -1 && now.failed == -1
	}
	sum := now.completed + now.failed
	moved := now.completed != k.completed || now.failed != k.failed
	switch {
	case now.prompts != k.prompts, sum > now.prompts, now.completed < k.completed, now.failed < k.failed,
		k.exact && moved,
		now.status == job.Completed && sum != now.prompts,
		(now.status == job.Pending || now.status == job.Queued) && sum != 0:
		return false
	}
	k.completed, k.failed, k.exact = now.completed, now.failed, k.ended
	return true
}

func (k *known) timed(now seen) bool {
	final := now.status.Final()
	started := now.started
	switch now.status {
	case job.Processing, job.Completed, job.Failed:
		if started == "" {
			return false
		}
	case job.Cancelled:
		if started == "" {
			started = never
		}
	default:
		if started != "" {
			return false
		}
	}
	if k.started != "" && k.started != started || k.finished != "" && k.finished != now.finished || final != (now.finished != "") {
		return false
	}
	k.started, k.finished = started, now.finished
	return true
}

// jobsModel is the model for porcupine.
func jobsModel() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{jobsOf{}} },
		Step: func(state, input, output any) (next []any) {
			for _, s := range state.(jobsOf).step(input.(request), output.(response)) {
				next = append(next, s)
			}
			return next
		},
		Equal:             func(a, b any) bool { return a.(jobsOf).equal(b.(jobsOf)) },
		DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v: %+v", in, out) },
		DescribeState: func(state any) string {
			var b strings.Builder
			for number, k := range state.(jobsOf).jobs {
				if k != nil && !k.exact {
					fmt.Fprintf(&b, "%d:%+v ", number, *k)
				}
			}
			return b.String()
		},
	}
	return m.ToModel()
}

// TestModelRefusesBadHistories shows that the check can fail: each history but
// the first few has one thing wrong.
func TestModelRefusesBadHistories(t *testing.T) {
	status := func(s job.Status, counts ...int64) response {
		v := seen{status: s, counts: true, prompts: -1, completed: -1, failed: -1}
		if len(counts) == 2 {
			v.prompts, v.completed, v.failed = 10, counts[0], counts[1]
		}
		if s == job.Processing || s == job.Completed {
			v.started = "9:00"
		}
		if s.Final() {
			v.finished = "9:01"
		}
		return response{seen: v}
	}
	whole := func(settledAt string, r response) response {
		r.seen.whole, r.seen.settledAt = true, settledAt
		return r
	}
	type op = porcupine.Operation
	// begun is job n created and uploaded, with the answer of the upload.
	begun := func(n int, answer job.Status) []op {
		return []op{
			{Input: request{kind: callInit, number: n}, Output: response{id: fmt.Sprint("job ", n), url: true}},
			{Input: request{kind: callUpload, number: n, prompts: 10}, Output: response{seen: seen{status: answer, prompts: 10}}},
		}
	}
	read := func(n int, r response) op { return op{Input: request{kind: callRead, number: n}, Output: r} }
	cancel := func(n int, r response) op { return op{Input: request{kind: callCancel, number: n}, Output: r} }
	lost := response{unknown: true}
	refused := func(s job.Status) response { return response{refused: true, seen: seen{status: s}} }
	ofStarted := func(s job.Status, counts ...int64) response {
		r := status(s, counts...)
		r.seen.started = "9:00"
		return r
	}
	for _, c := range []struct {
		name string
		ok   bool
		ops  []op // one after the other, unless together says so
		// together is how many ops at the end are called at once
		together int
	}{
		{name: "a job's life", ok: true, ops: append(begun(0, job.Queued),
			read(0, status(job.Queued, 0, 0)), read(0, status(job.Processing, 3, 1)), read(0, whole("9:02", status(job.Completed, 9, 1))))},
		{name: "two jobs take turns", ok: true, ops: append(append(begun(0, job.Queued), begun(1, job.Pending)...),
			read(0, status(job.Processing, 3, 0)), read(1, status(job.Processing, 1, 0)), read(0, status(job.Completed, 10, 0)))},
		{name: "a lost cancel was applied", ok: true, ops: append(begun(0, job.Queued), cancel(0, lost), read(0, status(job.Cancelled, 0, 0)))},
		{name: "a lost cancel was not applied", ok: true, ops: append(begun(0, job.Queued), cancel(0, lost), read(0, status(job.Processing, 2, 0)))},
		{name: "in flight at a cancel", ok: true, ops: append(begun(0, job.Queued), read(0, status(job.Processing, 2, 0)),
			cancel(0, response{}), read(0, ofStarted(job.Cancelled, 4, 0)), read(0, ofStarted(job.Cancelled, 5, 0)))},
		{name: "reads at once, in any order", ok: true, together: 2, ops: append(begun(0, job.Queued),
			read(0, status(job.Processing, 3, 0)), read(0, status(job.Queued, 0, 0)))},

		{name: "a state goes back", ops: append(begun(0, job.Queued), read(0, status(job.Processing, 0, 0)), read(0, status(job.Queued, 0, 0)))},
		{name: "a final state is left", ops: append(begun(0, job.Queued), read(0, status(job.Completed, 10, 0)), read(0, status(job.Processing, 9, 0)))},
		{name: "one final state after another", ops: append(begun(0, job.Queued), cancel(0, response{}), read(0, status(job.Completed, 10, 0)))},
		{name: "cancelled by nobody", ops: append(begun(0, job.Queued), read(0, status(job.Cancelled, 0, 0)))},
		{name: "cancelled twice", ops: append(begun(0, job.Queued), cancel(0, response{}), cancel(0, response{}))},
		{name: "cancelled twice at once", together: 2, ops: append(begun(0, job.Queued), cancel(0, response{}), cancel(0, response{}))},
		{name: "a cancel refused while it runs", ops: append(begun(0, job.Queued), cancel(0, refused(job.Completed)), read(0, status(job.Processing, 9, 0)))},
		{name: "an acknowledged cancel is lost", ops: append(begun(0, job.Queued), cancel(0, response{}), read(0, status(job.Processing, 1, 0)))},
		{name: "a lost cancel is applied late", ops: append(begun(0, job.Queued), cancel(0, lost), read(0, status(job.Processing, 2, 0)), read(0, ofStarted(job.Cancelled, 2, 0)))},
		{name: "an acknowledged upload is lost", ops: append(begun(0, job.Queued), read(0, status(job.AwaitingUpload)))},
		{name: "an upload nobody made", ops: append(begun(0, job.Queued)[:1], read(0, status(job.Queued, 0, 0)))},
		{name: "an acknowledged job is lost", ops: append(begun(0, job.Queued)[:1], op{Input: request{kind: callInit}, Output: response{id: "another", url: true}})},
		{name: "a count falls", ops: append(begun(0, job.Queued), read(0, status(job.Processing, 3, 1)), read(0, status(job.Processing, 4, 0)))},
		{name: "more counted than there is", ops: append(begun(0, job.Queued), read(0, status(job.Processing, 10, 1)))},
		{name: "completed with a prompt open", ops: append(begun(0, job.Queued), read(0, status(job.Completed, 8, 1)))},
		{name: "a count rises after the settlement", ops: append(begun(0, job.Queued), read(0, status(job.Processing, 2, 0)), cancel(0, response{}),
			read(0, whole("9:02", ofStarted(job.Cancelled, 4, 0))), read(0, ofStarted(job.Cancelled, 5, 0)))},
		{name: "settled and not settled", ops: append(begun(0, job.Queued), read(0, status(job.Completed, 10, 0)), read(0, whole("", status(job.Completed, 10, 0))))},
		{name: "two active jobs", ops: append(append(begun(0, job.Queued), begun(1, job.Pending)...),
			read(1, status(job.Queued, 0, 0)), read(0, status(job.Processing, 3, 0)))},
		{name: "two answers QUEUED", ops: append(append(begun(0, job.Queued), begun(1, job.Queued)...), read(0, status(job.Queued, 0, 0)))},
		{name: "out of turn", ops: append(append(append(begun(0, job.Queued), begun(1, job.Pending)...), begun(2, job.Pending)...),
			read(2, status(job.Processing, 0, 0)), read(1, status(job.Pending, 0, 0)))},
		{name: "waits for nothing", ops: append(append(begun(0, job.Queued), begun(1, job.Pending)...),
			read(0, status(job.Completed, 10, 0)), read(1, status(job.Pending, 0, 0)))},
		{name: "another start", ops: append(begun(0, job.Queued), read(0, status(job.Processing, 1, 0)), read(0, func() response {
			r := status(job.Processing, 2, 0)
			r.seen.started = "9:05"
			return r
		}()))},
	} {
		for i := range c.ops {
			c.ops[i].Call, c.ops[i].Return = int64(10*i), int64(10*i+5)
			if i >= len(c.ops)-c.together {
				c.ops[i].Call = int64(10 * (len(c.ops) - c.together))
			}
		}
		want := porcupine.Illegal
		if c.ok {
			want = porcupine.Ok
		}
		if got := porcupine.CheckOperationsTimeout(jobsModel(), c.ops, 10*time.Second); got != want {
			t.Errorf("%s: %s, want %s", c.name, got, want)
		}
	}
}
