package dispatcher

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/dispatcher/rate"
	"github.com/promptforge/promptforge/job"
)

// logEntry is one thing that happened to a lane. A log of them, played again,
// makes a lane do exactly the same: nothing else enters it.
type logEntry struct {
	At   time.Duration `json:"at"`
	What string        `json:"what"`

	Run   int     `json:"run,omitempty"`
	Line  int64   `json:"line,omitempty"`
	Lines []int64 `json:"lines,omitempty"`
	N     int     `json:"n,omitempty"`
	Bytes int     `json:"bytes,omitempty"`
	End   bool    `json:"end,omitempty"`

	Answer *loggedAnswer `json:"answer,omitempty"`
	Job    *loggedJob    `json:"job,omitempty"`
	Life   *loggedLife   `json:"life,omitempty"`

	// Did are the commands that a step gave, and Wake when the next is due.
	Did  []string      `json:"did,omitempty"`
	Wake time.Duration `json:"wake,omitempty"`
}

type loggedAnswer struct {
	Class      provider.Class `json:"class"`
	Code       string         `json:"code,omitempty"`
	Message    string         `json:"message,omitempty"`
	HTTPStatus int            `json:"status,omitempty"`
	RetryAfter time.Duration  `json:"retry_after,omitempty"`
	Latency    time.Duration  `json:"latency,omitempty"`
}

func logAnswer(a *provider.Answer) *loggedAnswer {
	return &loggedAnswer{a.Class, a.Code, a.Message, a.HTTPStatus, a.RetryAfter, a.Latency}
}

func (a *loggedAnswer) value() *provider.Answer {
	return &provider.Answer{
		Class: a.Class, Code: a.Code, Message: a.Message, HTTPStatus: a.HTTPStatus, RetryAfter: a.RetryAfter, Latency: a.Latency, Text: "yes",
	}
}

// loggedJob is what a lane knows of a job that it takes up.
type loggedJob struct {
	Client      string     `json:"client"`
	Status      job.Status `json:"status"`
	MaxRetries  int        `json:"max_retries"`
	RPM         int        `json:"rpm,omitempty"`
	SentThrough int64      `json:"sent_through,omitempty"`
	Completed   int64      `json:"completed,omitempty"`
}

// loggedLife is what a lane begins with.
type loggedLife struct {
	Seed        uint64        `json:"seed"`
	Concurrency int           `json:"concurrency"`
	Succeeded   bool          `json:"succeeded,omitempty"`
	Learned     *rate.Learned `json:"learned,omitempty"`
}

// player drives a lane by what is logged, be it for the first time or again.
type player struct {
	start time.Time
	lane  *lane
	runs  map[int]*run
	names map[*run]int
	items map[int64]*item
}

func newPlayer() *player { return &player{start: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)} }

// play does what is logged. A step's commands come back; they are good until
// the next.
func (p *player) play(e *logEntry) (commands []command, wake time.Duration) {
	now := p.start.Add(e.At)
	r := p.runs[e.Run]
	switch e.What {
	case "life":
		p.lane = newLane(laneConfig{
			RetryBase: time.Second, MaxHold: time.Hour, MaxOutage: 24 * time.Hour, Rate: rate.Config{Concurrency: e.Life.Concurrency},
		}, e.Life.Learned, e.Life.Succeeded, &slots{most: 4096}, e.Life.Seed, now)
		p.runs, p.names, p.items = map[int]*run{}, map[*run]int{}, map[int64]*item{}
	case "join":
		r = newRun(&job.Job{
			ID: job.ID(fmt.Sprint(e.Run)), Client: e.Job.Client, Status: e.Job.Status, MaxRetries: e.Job.MaxRetries, RPM: e.Job.RPM,
			SentThrough: e.Job.SentThrough, CompletedCount: e.Job.Completed,
		}, now)
		p.runs[e.Run], p.names[r] = r, e.Run
		p.lane.join(r)
	case "read":
		items := make([]*item, len(e.Lines))
		for i, line := range e.Lines {
			items[i] = &item{run: r, line: line, raw: make([]byte, 400)}
			p.items[line] = items[i]
		}
		p.lane.read(r, items, e.End)
	case "unread":
		p.lane.unread(r, now.Add(storeRetry))
	case "answered":
		it, a := p.items[e.Line], e.Answer.value()
		prompt := &job.Prompt{Line: e.Line, ID: job.IntID(e.Line)}
		var outcome *job.Outcome
		if a.Class == provider.Done {
			outcome = a.Result(prompt, it.attempts+1)
		}
		p.lane.answered(now, it, a, prompt, true, outcome)
	case "canaried":
		p.lane.canaried(now, e.Answer.value())
	case "recorded":
		p.lane.recorded(r, e.N, e.Bytes)
	case "reserved":
		r.reservedTo(e.Line)
	case "cancel":
		p.lane.cancel(r)
	case "leave":
		p.lane.leave(now, r)
	case "block":
		reason := ""
		if e.End {
			reason = "full"
		}
		p.lane.block(noRoom, reason, now)
	case "step":
		at := p.lane.step(now)
		if !at.IsZero() {
			wake = at.Sub(p.start)
		}
		return slices.Clone(p.lane.take()), wake
	default:
		panic("a log of another version: " + e.What)
	}
	return nil, 0
}

// tell describes a command so that two of them can be compared.
func (p *player) tell(c *command) string {
	switch c.verb {
	case doSend:
		return fmt.Sprintf("send %d", c.it.line)
	case doRecord:
		return fmt.Sprintf("record %s", c.outcome.Public)
	case doFail:
		return fmt.Sprintf("fail %d %s", p.names[c.run], c.reason)
	default:
		return fmt.Sprintf("verb %d of %d", c.verb, p.names[c.run])
	}
}

func (p *player) tellAll(commands []command) (did []string) {
	for i := range commands {
		did = append(did, p.tell(&commands[i]))
	}
	return did
}

// writeLog writes a log as lines of JSON.
func writeLog(w io.Writer, log []logEntry) error {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	for i := range log {
		if err := enc.Encode(&log[i]); err != nil {
			return err
		}
	}
	return b.Flush()
}

// replay plays a log again and returns the first difference; steps counts what
// was compared.
func replay(r io.Reader) (steps int, err error) {
	dec := json.NewDecoder(r)
	p := newPlayer()
	for n := 1; ; n++ {
		var e logEntry
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return steps, nil
		} else if err != nil {
			return steps, fmt.Errorf("line %d: %w", n, err)
		}
		commands, wake := p.play(&e)
		if e.What != "step" {
			continue
		}
		steps++
		if did := p.tellAll(commands); !slices.Equal(did, e.Did) || wake != e.Wake {
			return steps, fmt.Errorf("line %d, at %s: the lane did %q and looks again at %s; the log says %q and %s", n, e.At, did, wake, e.Did, e.Wake)
		}
	}
}
