package dispatcher

import (
	"cmp"
	"container/heap"
	"fmt"
	"testing"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/dispatcher/rate"
	"github.com/promptforge/promptforge/job"
)

// sim drives a lane in virtual time, with no goroutine and no clock: it does
// what the lane commands and brings back events when they are due.
type sim struct {
	t       *testing.T
	lane    *lane
	now     time.Time
	start   time.Time
	due     dueEvents
	seq     int
	latency time.Duration
	// answer is the provider: it sees each request when it leaves. line 0 is
	// the canary.
	answer func(line int64, at time.Duration) provider.Answer

	// unsent tells that the dialect cannot say a prompt; nil: it can.
	unsent func(line int64, at time.Duration) bool

	requests map[int64]int
	sentAt   []time.Duration
	outcomes map[int64]*job.Outcome
	codes    map[int64]string
	ended    map[*run]string
	endedAt  map[*run]time.Duration
	prompts  map[*run]int
	canaries int
	canaryAt []time.Duration
	log      []string
	sending  *item         // that the provider is asked about
	saved    func(*memory) // sees what is kept of the lane; nil: nobody does
	inFlight int
	most     int
}

type dueEvent struct {
	at  time.Time
	seq int
	do  func()
}

type dueEvents []dueEvent

func (d dueEvents) Len() int { return len(d) }
func (d dueEvents) Less(i, j int) bool {
	return d[i].at.Before(d[j].at) || d[i].at.Equal(d[j].at) && d[i].seq < d[j].seq
}
func (d dueEvents) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d *dueEvents) Push(x any)   { *d = append(*d, x.(dueEvent)) }
func (d *dueEvents) Pop() any {
	old := *d
	e := old[len(old)-1]
	*d = old[:len(old)-1]
	return e
}

func newSim(t *testing.T, answer func(line int64, at time.Duration) provider.Answer) *sim {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := &sim{
		t: t, now: start, start: start, latency: time.Second, answer: answer,
		requests: map[int64]int{}, outcomes: map[int64]*job.Outcome{}, codes: map[int64]string{},
		ended: map[*run]string{}, endedAt: map[*run]time.Duration{}, prompts: map[*run]int{},
	}
	s.lane = newLane(laneConfig{
		RetryBase: time.Second, MaxHold: time.Hour, MaxOutage: 24 * time.Hour,
		Rate: rate.Config{Concurrency: 64},
	}, nil, false, &slots{most: 4096}, 1, start)
	return s
}

// job adds a job whose lines are first, first+1, … so that lines tell jobs apart.
func (s *sim) job(client string, first int64, prompts int, j job.Job) *run {
	j.ID, j.Client = job.NewID(), client
	if j.MaxRetries == 0 {
		j.MaxRetries = 3
	}
	r := newRun(&j, s.now)
	s.prompts[r] = prompts
	s.lane.join(r)
	left := prompts
	line := first
	s.feed(r, func() ([]*item, bool) {
		n := min(left, 500)
		items := make([]*item, n)
		for i := range items {
			items[i] = &item{run: r, line: line, raw: make([]byte, 400)}
			line++
		}
		left -= n
		return items, left == 0
	})
	return r
}

var feeds = map[*run]func() ([]*item, bool){}

func (s *sim) feed(r *run, f func() ([]*item, bool)) { feeds[r] = f }

func (s *sim) after(d time.Duration, do func()) {
	s.seq++
	heap.Push(&s.due, dueEvent{s.now.Add(d), s.seq, do})
}

func (s *sim) since() time.Duration { return s.now.Sub(s.start) }

// run goes on until nothing is due or the time is over.
func (s *sim) run(atMost time.Duration) {
	end := s.now.Add(atMost)
	for {
		wake := s.lane.step(s.now)
		cmds := append([]command(nil), s.lane.take()...)
		for _, c := range cmds {
			s.execute(c)
		}
		if len(cmds) > 0 {
			wake = earliest(wake, s.now)
		}
		if len(s.due) == 0 && wake.IsZero() {
			return
		}
		if len(s.due) > 0 && (wake.IsZero() || !s.due[0].at.After(wake)) {
			e := heap.Pop(&s.due).(dueEvent)
			if e.at.After(end) {
				heap.Push(&s.due, e)
				s.now = end
				return
			}
			s.now = e.at
			e.do()
			continue
		}
		if wake.After(end) {
			s.now = end
			return
		}
		if wake.After(s.now) {
			s.now = wake
		}
	}
}

func (s *sim) execute(c command) {
	switch c.verb {
	case doSend:
		s.send(c.it)
	case doCanary:
		s.canaries++
		s.canaryAt = append(s.canaryAt, s.since())
		a := s.answer(0, s.since())
		s.after(cmp.Or(a.Latency, s.latency), func() { s.lane.canaried(s.now, &a) })
	case doReserve:
		line := c.run.account.reserve.Load()
		s.after(10*time.Millisecond, func() { c.run.reservedTo(line) })
	case doSave:
		m := s.lane.memory()
		if s.saved != nil {
			s.saved(&m)
		}
		s.after(time.Millisecond, func() { s.lane.saved(&m) })
	case doLog:
		s.log = append(s.log, c.note.what)
	case doRead:
		items, eof := feeds[c.run]()
		s.after(time.Millisecond, func() { s.lane.read(c.run, items, eof) })
	case doRecord:
		o := c.outcome
		if s.outcomes[o.Line] != nil {
			s.t.Errorf("line %d has two outcomes", o.Line)
		}
		s.outcomes[o.Line] = o
		n := len(o.Public) + len(o.Response)
		s.after(10*time.Millisecond, func() { s.lane.recorded(c.run, 1, n) })
	case doFail:
		s.ended[c.run] = "FAILED: " + c.reason
	case doFinish:
		s.endedAt[c.run] = s.since()
		s.ended[c.run] = "COMPLETED"
		s.after(time.Millisecond, func() { s.lane.leave(s.now, c.run) })
	case doSettle:
		s.endedAt[c.run] = s.since()
		s.after(time.Millisecond, func() { s.lane.leave(s.now, c.run) })
	}
}

func (s *sim) send(it *item) {
	if s.unsent != nil && s.unsent(it.line, s.since()) {
		a := provider.Answer{Class: provider.Terminal, Code: job.CodeInvalidRequest, Message: "lacks it"}
		p := &job.Prompt{Line: it.line, ID: job.IntID(it.line)}
		s.after(0, func() { s.lane.answered(s.now, it, &a, p, false, nil) })
		return
	}
	s.requests[it.line]++
	s.sentAt = append(s.sentAt, s.since())
	s.inFlight++
	s.most = max(s.most, s.inFlight)
	s.sending = it
	a := s.answer(it.line, s.since())
	latency := cmp.Or(a.Latency, s.latency)
	p := &job.Prompt{Line: it.line, ID: job.IntID(it.line)}
	var outcome *job.Outcome
	if a.Class == provider.Done {
		outcome = a.Result(p, it.attempts+1)
	}
	s.after(latency, func() {
		s.inFlight--
		s.lane.answered(s.now, it, &a, p, true, outcome)
		if o := s.outcomes[it.line]; o != nil {
			s.t.Errorf("line %d was answered after its outcome", it.line)
		}
	})
}

// failures counts the error records.
func (s *sim) failures() int {
	n := 0
	for _, o := range s.outcomes {
		if o.Failed {
			n++
		}
	}
	return n
}

// sentBetween counts the prompts that left in a span.
func (s *sim) sentBetween(from, to time.Duration) int { return between(s.sentAt, from, to) }

// canariesBetween counts the canaries that left in a span.
func (s *sim) canariesBetween(from, to time.Duration) int { return between(s.canaryAt, from, to) }

func between(times []time.Duration, from, to time.Duration) (n int) {
	for _, at := range times {
		if at >= from && at < to {
			n++
		}
	}
	return n
}

func done() provider.Answer {
	return provider.Answer{Class: provider.Done, Text: "yes", HTTPStatus: 200}
}

func down() provider.Answer {
	return provider.Answer{Class: provider.Transient, Code: job.CodeServerError, Message: "503", HTTPStatus: 503}
}

func refusedKey() provider.Answer {
	return provider.Answer{Class: provider.Fatal, Message: "set OPENAI_API_KEY", HTTPStatus: 401}
}

func (s *sim) want(r *run, ended string) {
	s.t.Helper()
	if s.ended[r] != ended {
		s.t.Fatalf("the job ended as %q, want %q, after %s with %d outcomes of %d", s.ended[r], ended, s.since(), len(s.outcomes), s.prompts[r])
	}
}

func (s *sim) String() string {
	return fmt.Sprintf("%s: %d requests, %d outcomes", s.since(), len(s.sentAt), len(s.outcomes))
}
