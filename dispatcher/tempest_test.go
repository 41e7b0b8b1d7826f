package dispatcher

import (
	"container/heap"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/job"
)

// tempest is ten virtual minutes of a lane's life, drawn from a seed: jobs, a
// provider with weather, a store that takes its time, a disk that fills up,
// crashes at random instants, and what is taken over after them. It knows what
// was durable at each instant, and holds the lane to it.
type tempest struct {
	*player
	rng    *rand.Rand
	now    time.Duration
	due    dueEvents
	seq    int
	log    []logEntry
	faults []string

	life    int  // counts them; events of an earlier one are dropped
	up      bool // a process is there
	width   int
	answer  func(line int64, at time.Duration) provider.Answer
	jobs    []*stormJob
	byLine  map[int64]*stormLine
	pending []stormCommit // handed to the committer
	waits   bool          // a commit is under way
	crashes int
	sent    int
	// learned is what the store has of the lane.
	succeeded bool
}

type stormJob struct {
	n           int
	client      string
	first, last int64
	maxRetries  int
	rpm         int

	arrived     bool
	status      job.Status
	settled     bool
	sentThrough int64 // durable
	completed   int64

	// Of this life.
	next          int64
	ending, final bool // it was told that the job is final
	left          bool
}

type stormLine struct {
	of      *stormJob
	sends   int
	excused int // answers that asked for another try, and crashes that lost one
	// asked is how many of the answers of this life asked for another try. One of
	// them may be the outcome after all, when what others got tells that it was the
	// prompt's fault.
	asked   int
	flying  bool
	handed  bool // to the committer
	durable bool
	spent   int // transient answers in this life
	broken  int // and broken ones
}

// stormCommit is one thing that a commit makes durable.
type stormCommit struct {
	job     *stormJob
	outcome *job.Outcome
	reserve int64
}

func newTempest(seed uint64) *tempest {
	rng := rand.New(rand.NewPCG(seed, 3))
	s := &tempest{player: newPlayer(), rng: rng, answer: skyOf(rng), byLine: map[int64]*stormLine{}, width: 1 + rng.IntN(64)}
	for n := range 1 + rng.IntN(4) {
		j := &stormJob{
			n: n + 1, client: string(rune('a' + n%3)), first: int64(n)*100_000 + 1, maxRetries: 1 + rng.IntN(5), status: job.Processing,
		}
		j.last = j.first + int64(rng.IntN(250))
		if rng.IntN(4) == 0 {
			j.rpm = 30 + rng.IntN(600)
		}
		for line := j.first; line <= j.last; line++ {
			s.byLine[line] = &stormLine{of: j}
		}
		s.jobs = append(s.jobs, j)
		s.ever(s.within(4*time.Minute), func() { j.arrived = true; s.join(j) })
		if rng.IntN(4) == 0 {
			s.ever(s.within(8*time.Minute), func() { s.cancelJob(j) })
		}
	}
	for range rng.IntN(4) {
		s.ever(s.within(stormLength), s.crash)
	}
	if rng.IntN(3) == 0 {
		at := s.within(8 * time.Minute)
		s.ever(at, func() { s.block(true) })
		s.ever(at+s.within(2*time.Minute), func() { s.block(false) })
	}
	s.begin(seed)
	return s
}

const stormLength = 10 * time.Minute

func (s *tempest) within(most time.Duration) time.Duration {
	return time.Duration(s.rng.Int64N(int64(most)))
}

func (s *tempest) fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Sprintf("at %s: ", s.now)+fmt.Sprintf(format, args...))
}

// ever has something happen at a time, whatever dies before.
func (s *tempest) ever(at time.Duration, do func()) {
	s.seq++
	heap.Push(&s.due, dueEvent{s.start.Add(at), s.seq, do})
}

// soon has something happen after a while, if the process lives so long.
func (s *tempest) soon(d time.Duration, do func()) {
	life := s.life
	s.ever(s.now+d, func() {
		if s.up && s.life == life {
			do()
		}
	})
}

// tell plays an event and keeps it in the log.
func (s *tempest) event(e logEntry) []command {
	e.At = s.now
	commands, wake := s.play(&e)
	e.Did, e.Wake = s.tellAll(commands), wake
	s.log = append(s.log, e)
	return commands
}

// begin starts a process.
func (s *tempest) begin(seed uint64) {
	s.life++
	s.up = true
	life := &loggedLife{Seed: seed + uint64(s.life), Concurrency: s.width, Succeeded: s.succeeded}
	if s.lane != nil && s.rng.IntN(2) == 0 { // what is saved may be old, or not there
		learned := s.lane.ctl.Learned()
		life.Learned = &learned
	}
	s.event(logEntry{What: "life", Life: life})
	for _, j := range s.jobs {
		j.next, j.ending, j.final, j.left = j.first, false, false, true
		if j.arrived {
			s.join(j)
		}
	}
}

// join has the lane take a job up, or over.
func (s *tempest) join(j *stormJob) {
	if !s.up || j.settled {
		return
	}
	j.left, j.final = false, j.status.Final()
	s.event(logEntry{What: "join", Run: j.n, Job: &loggedJob{
		Client: j.client, Status: j.status, MaxRetries: j.maxRetries, RPM: j.rpm, SentThrough: j.sentThrough, Completed: j.completed,
	}})
}

func (s *tempest) cancelJob(j *stormJob) {
	if j.status.Final() {
		return
	}
	j.status = job.Cancelled
	if !j.arrived {
		j.settled = true
		return
	}
	if s.up && !j.left {
		j.final = true
		s.event(logEntry{What: "cancel", Run: j.n})
	}
}

func (s *tempest) block(full bool) {
	if s.up {
		s.event(logEntry{What: "block", End: full})
	}
}

// crash ends the process where it stands. What was sent and is not durable may
// be sent once more; the store must have known of it.
func (s *tempest) crash() {
	if !s.up {
		return
	}
	s.up = false
	s.crashes++
	s.succeeded = s.succeeded || s.lane.succeeded && s.rng.IntN(2) == 0
	for line, l := range s.byLine {
		if (l.flying || l.handed) && !l.durable {
			l.excused++
			if line > l.of.sentThrough {
				s.fault("line %d was sent, and the store knew only of lines up to %d", line, l.of.sentThrough)
			}
		}
		l.flying, l.handed, l.spent, l.broken, l.asked = false, false, 0, 0, 0
	}
	s.pending, s.waits = nil, false
	s.ever(s.now+s.within(5*time.Second), func() { s.begin(s.rng.Uint64()) })
}

// run goes on for a while of virtual time.
func (s *tempest) run(until time.Duration) {
	for len(s.faults) == 0 {
		var wake time.Duration
		if s.up {
			commands := s.event(logEntry{What: "step"})
			for i := range commands {
				s.do(&commands[i])
			}
			wake = s.log[len(s.log)-1].Wake
			if len(commands) > 0 {
				wake = s.now
			}
		}
		next := until + 1
		if len(s.due) > 0 {
			next = s.due[0].at.Sub(s.start)
		}
		if s.up && wake != 0 && wake < next {
			if wake > until {
				break
			}
			s.now = max(s.now, wake)
			continue
		}
		if next > until {
			break
		}
		e := heap.Pop(&s.due).(dueEvent)
		s.now = max(s.now, next)
		e.do()
	}
	s.now = until
}

// do carries a command out.
func (s *tempest) do(c *command) {
	var j *stormJob
	if c.run != nil {
		j = s.jobs[s.names[c.run]-1]
		if j.ending && c.verb != doFail {
			s.fault("job %d is ending and gets the command %s", j.n, s.tell(c))
		}
	}
	switch c.verb {
	case doSend:
		s.send(c.it.line)
	case doCanary:
		a := s.answer(0, s.now)
		s.soon(a.Latency, func() { s.event(logEntry{What: "canaried", Answer: logAnswer(&a)}) })
	case doReserve:
		s.commit(stormCommit{job: j, reserve: c.run.account.reserve.Load()})
	case doRead:
		s.soon(time.Millisecond, func() { s.read(j) })
	case doRecord:
		s.record(j, c.outcome)
	case doFail:
		if c.reason == "" {
			s.fault("job %d fails for no reason", j.n)
		}
		j.final = true
		s.soon(5*time.Millisecond, func() {
			if !j.status.Final() {
				j.status = job.Failed
			}
		})
	case doFinish, doSettle:
		s.end(j, c.verb)
	}
}

func (s *tempest) send(line int64) {
	l := s.byLine[line]
	switch {
	case l.durable || l.handed:
		s.fault("line %d is sent, and has an outcome", line)
	case l.flying:
		s.fault("line %d is sent while it is in flight", line)
	case l.of.final:
		s.fault("line %d is sent, and its job is final", line)
	case line > l.of.sentThrough:
		s.fault("line %d is sent, and the store knows only of lines up to %d", line, l.of.sentThrough)
	case s.lane.blocked != "":
		s.fault("line %d is sent while the disk is full", line)
	}
	l.flying = true
	l.sends++
	s.sent++
	a := s.answer(line, s.now)
	s.soon(a.Latency, func() {
		l.flying = false
		switch a.Class {
		case provider.Transient:
			l.spent++
		case provider.Broken:
			l.broken++
		}
		s.event(logEntry{What: "answered", Line: line, Answer: logAnswer(&a)})
		// The outcome, if it is one, is among the commands of the next step.
		for i := range s.lane.out {
			if c := &s.lane.out[i]; c.verb == doRecord && c.outcome.Line == line {
				return
			}
		}
		l.excused++
		l.asked++
	})
}

func (s *tempest) read(j *stormJob) {
	if s.rng.IntN(50) == 0 {
		s.event(logEntry{What: "unread", Run: j.n})
		return
	}
	var lines []int64
	for ; j.next <= j.last && len(lines) < 100; j.next++ {
		if !s.byLine[j.next].durable {
			lines = append(lines, j.next)
		}
	}
	s.event(logEntry{What: "read", Run: j.n, Lines: lines, End: j.next > j.last})
}

func (s *tempest) record(j *stormJob, o *job.Outcome) {
	l := s.byLine[o.Line]
	if l.durable || l.handed {
		s.fault("line %d gets a second outcome", o.Line)
	}
	if l.sends == l.excused && l.asked > 0 {
		l.excused--
		l.asked--
	}
	l.handed = true
	s.commit(stormCommit{job: j, outcome: o})
}

// commit hands something to the store, which gathers and takes its time.
func (s *tempest) commit(c stormCommit) {
	s.pending = append(s.pending, c)
	if s.waits {
		return
	}
	s.waits = true
	wait := 10*time.Millisecond + s.within(20*time.Millisecond)
	if s.rng.IntN(200) == 0 {
		wait += s.within(10 * time.Second)
	}
	s.soon(wait, func() {
		all := s.pending
		s.pending, s.waits = nil, false
		for _, c := range all {
			if c.outcome == nil {
				c.job.sentThrough = max(c.job.sentThrough, c.reserve)
				s.event(logEntry{What: "reserved", Run: c.job.n, Line: c.reserve})
				continue
			}
			l, o := s.byLine[c.outcome.Line], c.outcome
			l.handed, l.durable = false, true
			c.job.completed++
			s.checkCode(l, o)
			s.event(logEntry{What: "recorded", Run: c.job.n, N: 1, Bytes: len(o.Public) + len(o.Response)})
		}
	})
}

// checkCode: a prompt fails for its provider's sake only once its retries are
// spent, or its second answer is broken, too.
func (s *tempest) checkCode(l *stormLine, o *job.Outcome) {
	if !o.Failed {
		return
	}
	var f struct {
		Error string `json:"error"`
	}
	if err := jsonUnmarshal(o.Public, &f); err != nil {
		s.fault("line %d: %v", o.Line, err)
	}
	if f.Error == job.CodeServerError && l.spent <= l.of.maxRetries {
		s.fault("line %d is given up after %d transient answers, with %d retries", o.Line, l.spent, l.of.maxRetries)
	}
	if f.Error == job.CodeBadResponse && l.broken <= maxBroken {
		s.fault("line %d is given up after %d broken answers", o.Line, l.broken)
	}
}

func (s *tempest) end(j *stormJob, v verb) {
	j.ending = true
	for line := j.first; line <= j.last; line++ {
		l := s.byLine[line]
		if l.flying || l.handed {
			s.fault("job %d ends, and line %d is under way", j.n, line)
		}
		if v == doFinish && !l.durable {
			s.fault("job %d is complete, and line %d has no outcome", j.n, line)
		}
	}
	if v == doSettle && !j.final {
		s.fault("job %d is settled, and not final", j.n)
	}
	s.soon(5*time.Millisecond, func() {
		if !j.status.Final() && v == doFinish {
			j.status = job.Completed
		}
		j.settled, j.left = true, true
		s.event(logEntry{What: "leave", Run: j.n})
	})
}

// check compares, at any instant, each line's requests with what they were for.
func (s *tempest) check() {
	for line, l := range s.byLine {
		due := l.excused
		if l.flying || l.handed || l.durable {
			due++
		}
		if l.sends != due {
			s.fault("line %d was sent %d times: %d answers or crashes asked for another, in flight %t, handed over %t, recorded %t",
				line, l.sends, l.excused, l.flying, l.handed, l.durable)
		}
	}
}

// calm ends the weather and waits for every job's end.
func (s *tempest) calm() {
	s.answer = func(int64, time.Duration) provider.Answer {
		a := done()
		a.Latency = time.Second
		return a
	}
	s.run(s.now + 72*time.Hour)
	for _, j := range s.jobs {
		if !j.settled {
			s.fault("job %d (%s) never ends", j.n, j.status)
		}
		for line := j.first; j.status == job.Completed && line <= j.last; line++ {
			if !s.byLine[line].durable {
				s.fault("job %d is COMPLETED, and line %d has no outcome", j.n, line)
			}
		}
	}
	s.check()
}

// skyOf makes the provider of a tempest: how often it fails in which way, when
// it is down, and how long its answers take.
func skyOf(rng *rand.Rand) func(line int64, at time.Duration) provider.Answer {
	share := func(most float64) float64 { return rng.Float64() * most * float64(rng.IntN(2)) }
	transient, broken, slow, refused := share(0.2), share(0.05), share(0.1), share(0.05)
	flap := time.Duration(rng.IntN(120)*rng.IntN(2)) * time.Second
	badKeyAt := time.Duration(rng.IntN(300)+20) * time.Second
	badKeyFor := time.Duration(rng.IntN(600)*rng.IntN(2)) * time.Second
	sigma := rng.Float64() * 1.2
	pageAt := time.Duration(rng.IntN(300)) * time.Second
	pageFor := time.Duration(rng.IntN(300)*rng.IntN(2)) * time.Second
	return func(_ int64, at time.Duration) (a provider.Answer) {
		x := rng.Float64()
		switch {
		case at >= badKeyAt && at < badKeyAt+badKeyFor:
			a = refusedKey()
		case at >= pageAt && at < pageAt+pageFor:
			a = aPage()
		case flap > 0 && (at/flap)%2 == 1:
			a = down()
		case x < transient:
			a = down()
		case x < transient+broken:
			a = provider.Answer{Class: provider.Broken, Code: job.CodeBadResponse}
		case x < transient+broken+slow:
			a = slowDown(time.Duration(rng.IntN(20)) * time.Second)
		case x < transient+broken+slow+refused:
			a = provider.Answer{Class: provider.Terminal, Code: job.CodeInvalidRequest, Message: "no"}
		default:
			a = done()
		}
		a.Latency = time.Duration(float64(time.Second) * math.Exp(sigma*rng.NormFloat64()))
		return a
	}
}
