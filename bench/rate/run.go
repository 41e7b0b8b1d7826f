package rate

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"

	"github.com/promptforge/promptforge/dispatcher/rate"
)

const (
	latencySigma = 0.4
	// A refusal takes 50 ms, there and back.
	refusalLatency = 50 * time.Millisecond
	refusalSigma   = 0.1
	wayThere       = refusalLatency / 2
	// The way there takes up to mostJitter longer, but no more than a share of
	// the space between two requests where a limiter wants them evenly spaced:
	// no rule can be even beyond that.
	mostJitter        = 5 * time.Millisecond
	jitterPerEvenness = 200
)

// Record is one request of ours, from its beginning to its end.
type Record struct {
	Sent, Arrived time.Duration
	Answered      time.Duration // 0: not by the end
	Accepted      bool
	Charged       float64 // tokens
}

// Run is what happened when a rule met a scenario.
type Run struct {
	Scenario  *Scenario
	Seed      uint64
	ChangedAt time.Duration // 0: no change
	// WindowEdge is when a window is over that was open at the change.
	WindowEdge time.Duration
	Records    []Record // in the order in which they were sent
	Bounds     []rate.Bound
	Stalled    bool // the rule waited for an answer with none to come

	tallies []tally // what was counted already
}

// Lab runs scenarios. It keeps its memory from run to run; use one in each
// goroutine.
type Lab struct {
	events  events
	slots   []slot
	free    []int
	retries []int // prompts that were refused and may be sent again, oldest first
	prompts []length

	sc       *Scenario
	rule     Rule
	server   *server
	shared   *sharing
	now      time.Duration
	clock    time.Time     // now as the rule sees it
	wake     time.Duration // when the rule wants to be asked again; 0: not
	inFlight int
	pending  int // refused prompts that may not be sent yet
	jitter   time.Duration
	mu       float64 // of an accepted request's lognormal latency
	run      *Run

	latencies, lengths, tenant *rand.Rand
	next                       length
	hasNext                    bool
	planned                    time.Duration // when the shared server is looked at next; 0: not
	records                    []Record
}

// slot is a request under way.
type slot struct {
	record int
	sent   time.Duration
	clock  time.Time // sent as the rule sees it
	length length
	ruling ruling
}

// Run lets the rule meet the scenario. The Run's records are good until the
// next.
func (lab *Lab) Run(sc *Scenario, rule Rule, seed uint64) *Run {
	lab.begin(sc, rule, seed)
	for {
		lab.send()
		until := sc.Length - 1
		if lab.wake > 0 {
			until = min(until, lab.wake)
		}
		if e, ok := lab.events.pop(until); ok {
			lab.set(e.at)
			lab.happen(e)
		} else if lab.wake > 0 && lab.wake == until {
			lab.set(lab.wake)
		} else {
			break
		}
	}
	lab.records = lab.run.Records
	lab.run.Stalled = lab.inFlight == 0 && lab.wake == 0 && lab.pending == 0
	return lab.run
}

func (lab *Lab) set(now time.Duration) { lab.now, lab.clock = now, epoch.Add(now) }

func (lab *Lab) begin(sc *Scenario, rule Rule, seed uint64) {
	lab.events.reset()
	lab.slots, lab.free, lab.retries, lab.prompts = lab.slots[:0], lab.free[:0], lab.retries[:0], lab.prompts[:0]
	lab.set(0)
	lab.inFlight, lab.pending, lab.planned, lab.hasNext, lab.shared = 0, 0, 0, false, nil
	lab.sc, lab.rule = sc, rule
	stream := func(n uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, n)) }
	lab.latencies, lab.lengths, lab.tenant = stream(1), stream(2), stream(3)
	setup := stream(4 ^ nameHash(sc))
	lab.server = newServer(sc, setup)
	lab.run = &Run{Scenario: sc, Seed: seed, Records: lab.records[:0]}
	if sc.Kind == Shared {
		lab.shared = &sharing{places: sc.Places, slope: sc.Slope}
	}
	lab.mu = math.Log(sc.Latency.Seconds()) - latencySigma*latencySigma/2
	lab.jitter = sc.jitter()
	if sc.Change.Factor > 0 {
		at := sc.Change.At + time.Duration(setup.Int64N(int64(minute)))
		lab.run.ChangedAt, lab.run.WindowEdge = at, at+minute
		if f, ok := lab.server.requests.(*fixed); ok {
			lab.run.WindowEdge = f.edge + minute*(1+(at-f.edge)/minute)
		}
		lab.events.add(at, changed, 0)
	}
	if sc.Tenant {
		lab.events.add(lab.untilTenant(), tenantSent, 0)
	}
	if _, ok := rule.(Bounder); ok {
		lab.events.add(time.Second, sample, 0)
	}
}

func nameHash(sc *Scenario) uint64 {
	h := fnv.New64a()
	// Headers are left out, so that headers and silence meet the same provider.
	plain := *sc
	plain.Headers = Silent
	h.Write([]byte(plain.Name()))
	return h.Sum64()
}

func (sc *Scenario) jitter() time.Duration {
	if sc.RPM > 0 && (sc.Kind == Plain || sc.Kind == Bucket && sc.Depth == 0) {
		fastest := sc.RPM * max(1, sc.Change.Factor)
		return min(mostJitter, time.Duration(float64(minute)/fastest/jitterPerEvenness))
	}
	return mostJitter
}

// untilTenant is the space before the second tenant's next request.
func (lab *Lab) untilTenant() time.Duration {
	perMinute := lab.sc.RPM / 2
	if lab.sc.RPM == 0 {
		perMinute = lab.sc.tokenRPM() / 2
	}
	return time.Duration(lab.tenant.ExpFloat64() / perMinute * float64(minute))
}

// send lets requests leave as long as the rule permits it.
func (lab *Lab) send() {
	now := lab.clock
	for {
		lab.wake = 0
		prompt := lab.peek()
		r := Request{Slot: lab.slot(), Bytes: prompt.bytes, MaxTokens: prompt.maxTokens}
		ok, at := lab.rule.Permit(now, r)
		if !ok {
			if at.IsZero() {
				return
			}
			lab.wake = at.Sub(epoch)
			if lab.wake <= lab.now {
				panic(fmt.Sprintf("%s, seed %d, %v: the rule permits nothing and says to ask again at %v", lab.sc.Name(), lab.run.Seed, lab.now, lab.wake))
			}
			return
		}
		lab.hasNext = false
		lab.free = lab.free[:len(lab.free)-1]
		lab.rule.Sent(now, r)
		lab.inFlight++
		s := &lab.slots[r.Slot]
		s.record, s.sent, s.clock, s.length = len(lab.run.Records), lab.now, now, *prompt
		lab.run.Records = append(lab.run.Records, Record{Sent: lab.now})
		lab.events.add(lab.now+wayThere+lab.late(), atServer, r.Slot)
	}
}

func (lab *Lab) late() time.Duration {
	return time.Duration(lab.latencies.Int64N(int64(lab.jitter) + 1))
}

// slot is a free one; it stays free.
func (lab *Lab) slot() int {
	if len(lab.free) == 0 {
		lab.free = append(lab.free, len(lab.slots))
		lab.slots = append(lab.slots, slot{})
	}
	return lab.free[len(lab.free)-1]
}

// peek is the prompt that goes next: one that was refused before, or a new one.
func (lab *Lab) peek() *length {
	if !lab.hasNext {
		lab.hasNext = true
		if len(lab.retries) > 0 {
			lab.next = lab.prompts[lab.retries[0]]
			lab.retries = lab.retries[1:]
		} else {
			lab.next = lab.sc.Lengths.draw(lab.lengths)
		}
	}
	return &lab.next
}

func (lab *Lab) happen(e event) {
	switch e.kind {
	case atServer:
		lab.arrive(int(e.slot))
	case atClient:
		lab.answer(int(e.slot))
	case finished:
		if lab.now != lab.planned {
			return // an earlier look was planned since
		}
		lab.planned = 0
		for {
			slot, ok := lab.shared.finish(lab.now)
			if !ok {
				break
			}
			lab.events.add(lab.now, atClient, slot)
		}
		lab.watchShared()
	case tenantSent:
		lab.tenantEnters()
	case changed:
		lab.server.change(lab.now, lab.sc.Change.Factor)
	case ripe:
		lab.pending--
		lab.retries = append(lab.retries, int(e.slot))
	case sample:
		lab.run.Bounds = append(lab.run.Bounds, lab.rule.(Bounder).Bound(lab.clock))
		lab.events.add(lab.now+time.Second, sample, 0)
	}
}

func (lab *Lab) arrive(n int) {
	s := &lab.slots[n]
	lab.server.enter(lab.now, &s.length, &s.ruling)
	record := &lab.run.Records[s.record]
	record.Arrived, record.Accepted, record.Charged = lab.now, s.ruling.accepted, s.ruling.charged
	if !s.ruling.accepted {
		back := time.Duration(float64(refusalLatency) * math.Exp(refusalSigma*lab.latencies.NormFloat64()))
		lab.events.add(max(lab.now+time.Millisecond, s.sent+back), atClient, n)
		return
	}
	work := math.Exp(lab.mu + latencySigma*lab.latencies.NormFloat64())
	if lab.shared != nil {
		lab.shared.add(lab.now, work, n)
		lab.watchShared()
		return
	}
	lab.events.add(max(lab.now+time.Millisecond, s.sent+seconds(work)), atClient, n)
}

// watchShared looks again when the shared server finishes its next request.
// What was planned before may be too early, and then finishes nothing.
func (lab *Lab) watchShared() {
	at, ok := lab.shared.next()
	if at = max(at, lab.now+1); ok && (lab.planned == 0 || at < lab.planned) {
		lab.planned = at
		lab.events.add(at, finished, 0)
	}
}

func (lab *Lab) answer(n int) {
	s := &lab.slots[n]
	record := &lab.run.Records[s.record]
	record.Answered = lab.now
	a := Answer{
		Request: Request{Slot: n, Bytes: s.length.bytes, MaxTokens: s.length.maxTokens},
		SentAt:  s.clock, Status: 429, RetryAfter: s.ruling.retryAfter,
		RequestLimit: s.ruling.requests, TokenLimit: s.ruling.tokens,
	}
	if s.ruling.accepted {
		record.Charged += lab.server.leave(lab.now, &s.length)
		a.Status, a.Tokens, a.PromptTokens = 200, s.length.prompt+s.length.answer, s.length.prompt
	} else if lab.sc.Lengths != Alike {
		lab.pending++
		lab.prompts = append(lab.prompts, s.length)
		lab.events.add(lab.now+s.ruling.retryAfter, ripe, len(lab.prompts)-1)
	}
	lab.inFlight--
	lab.free = append(lab.free, n)
	lab.rule.Answered(lab.clock, a)
}

func (lab *Lab) tenantEnters() {
	lab.events.add(lab.now+lab.untilTenant(), tenantSent, 0)
	l := lab.sc.Lengths.draw(lab.tenant)
	var r ruling
	if lab.server.enter(lab.now, &l, &r); r.accepted {
		lab.server.leave(lab.now, &l)
	}
}
