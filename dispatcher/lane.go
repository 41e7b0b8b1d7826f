package dispatcher

import (
	"math/rand/v2"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/dispatcher/rate"
	"github.com/promptforge/promptforge/job"
)

const (
	// A lane stops sending while so much is sent and not yet durable: what a
	// crash would cost stays bounded when the disk is slow.
	maxUnrecorded      = 8192
	maxUnrecordedBytes = 32 << 20

	maxBackoff = 30 * time.Second
	// A job whose first prompts are all refused alike is FAILED.
	alikeToFail = 100
)

// laneConfig is what a lane goes by.
type laneConfig struct {
	RetryBase time.Duration
	MaxHold   time.Duration
	MaxOutage time.Duration
	RPD       int // requests a day; 0: no cap
	Rate      rate.Config
}

// lane decides what is sent when. It is a pure state machine: methods are
// events, commands gather in out, and step says when to look again. One
// goroutine uses it.
type lane struct {
	cfg  laneConfig
	ctl  *rate.Controller
	rng  *rand.Rand
	slot *slots // requests at once over all lanes
	seat seat   // what of them is this lane's

	runs   []*run
	shares shares
	out    []command
	seq    uint64

	passed int64 // requests that the provider took

	keys             keyring
	today            dayCount
	canaryKey        int
	canaryGeneration int

	// A prompt that is tried alone; when the last other one left; since when
	// the lane is quiet for such prompts; and until when it is not.
	trial                          *item
	leftAt, silentSince, openUntil time.Time
	aloneSince, aloneUntil         time.Time // all others wait for them; until is about when the next is tried

	resumedAt time.Time // when the last silence of the lane ended; zero: there was none

	// Prompts are refused for themselves, so it seems, until then; how many
	// requests had passed when one was last refused for the first time.
	doubtUntil     time.Time
	firstRefusedAt int64

	// A canary is out in place of others that could pass; when the next may
	// leave after one that did not.
	vouching    bool
	vouchTicket rate.Ticket
	vouchAt     time.Time
	vouchWait   time.Duration

	inFlight        int
	flying          map[*item]bool // the prompts of them
	unrecorded      int
	unrecordedBytes int

	hold      *hold
	weather   weather
	gloomy    bool // nothing was answered well lately
	succeeded bool // it had a success at some time, remembered over restarts
	stopping  bool
	blocked   string // why nothing may be sent now, whatever the provider says; empty: it may
	blockedAt time.Time
	blocks    [causes]block
	bound     rate.Bound
}

func newLane(cfg laneConfig, learned *rate.Learned, succeeded bool, all *slots, seed uint64, now time.Time) *lane {
	return &lane{
		cfg: cfg, ctl: rate.New(cfg.Rate, learned, now), slot: all, succeeded: succeeded,
		rng: rand.New(rand.NewPCG(seed, 0)), bound: rate.BoundLearning,
		keys: newKeyring(1), flying: map[*item]bool{},
	}
}

// take returns the commands since the last call. They are valid until the next
// event.
func (l *lane) take() []command {
	out := l.out
	l.out = l.out[:0]
	return out
}

func (l *lane) emit(c command) { l.out = append(l.out, c) }

// join adds a job that was claimed.
func (l *lane) join(r *run) {
	l.runs = append(l.runs, r)
	l.shares.join(r)
	r.freshFirst, r.passed = l.gloomy, &l.passed
}

// leave removes a job that is settled or gone. With the last one a hold that
// only probes could end is forgotten: its --max-hold would be over before the
// next job comes.
func (l *lane) leave(now time.Time, r *run) {
	for i, other := range l.runs {
		if other == r {
			l.runs = append(l.runs[:i], l.runs[i+1:]...)
			l.shares.leave(r)
			break
		}
	}
	if h := l.hold; len(l.runs) == 0 && h != nil && (h.kind == outage || h.kind == refusal) {
		l.unhold(now, "a lane has no jobs any more")
	}
}

// read hears of a block that was read.
func (l *lane) read(r *run, items []*item, eof bool) {
	r.reading, r.eof = false, eof
	if r.draining {
		return
	}
	r.fresh = append(r.fresh, items...)
}

// unread hears that a block could not be read now.
func (l *lane) unread(r *run, again time.Time) {
	r.reading, r.readAt = false, again
}

// cancel stops sending for a job that became final elsewhere.
func (l *lane) cancel(r *run) {
	r.draining = true
	r.drop()
}

// fail gives a job up.
func (l *lane) fail(r *run, reason string) {
	if r.draining {
		return
	}
	l.cancel(r)
	l.emit(command{verb: doFail, run: r, reason: reason})
}

// landed takes a request back that was in flight.
func (l *lane) landed(it *item) {
	l.inFlight--
	l.slot.free(&l.seat)
	it.run.inFlight--
	delete(l.flying, it)
}

// answered hears what became of a request. outcome is the result where the
// answer is Done.
func (l *lane) answered(now time.Time, it *item, a *provider.Answer, p *job.Prompt, sent bool, outcome *job.Outcome) {
	l.landed(it)
	alone := it == l.trial
	if alone {
		l.tried(now, a)
	}
	l.settleTokens(now, it, a)
	wasProbe := it.probe
	it.probe = false
	if !sent {
		l.unsent(now, it, a, p, wasProbe)
		return
	}
	onlyKey := l.credential(now, it.key, it.generation, a)
	v := verdict(a.Class)
	switch {
	case v == rate.Accepted:
		l.passed++
	case a.Class == provider.SlowDown && (l.ofItself(now, it) || alone):
		v = rate.Failed
	}
	l.ctl.Answered(now, rate.Feedback{
		Verdict: v, Ticket: it.ticket, Bytes: len(it.raw), Tokens: a.Tokens(),
		RetryAfter: a.RetryAfter, Limits: a.Limits,
	})
	// A prompt that is too large for the limit is refused for itself, not for
	// the rate: that request counts.
	if refusal := a.Class == provider.SlowDown || a.Class == provider.UsedUp; !refusal {
		it.attempts++
	}
	if onlyKey {
		// Nothing is wrong with the prompt, nor with the lane.
		if h := l.hold; wasProbe && h != nil {
			h.probing, h.next = false, now
		}
		l.again(it, now)
		return
	}
	if a.Class == provider.Fatal {
		it.fatals++
	}
	l.note(now, it, a, wasProbe)
	l.decide(now, it, a, p, outcome, alone)
}

// unsent ends a prompt that the dialect cannot say: nothing left.
func (l *lane) unsent(now time.Time, it *item, a *provider.Answer, p *job.Prompt, wasProbe bool) {
	l.ctl.Unsent(now, it.ticket)
	it.run.account.requests.Add(-1)
	l.today.sent = max(0, l.today.sent-1)
	l.keys.untold(now, it.key)
	if wasProbe && l.hold != nil {
		l.hold.probing = false // it told nothing
	}
	l.finish(it, a.Failure(p, a.Code, it.attempts))
}

// credential takes in what an answer says of the credential that the request
// was sent with. It is true where the refusal is of that one alone: another
// works, or there are others by now.
func (l *lane) credential(now time.Time, key, generation int, a *provider.Answer) (only bool) {
	switch {
	case generation != l.keys.generation:
		return a.Class == provider.Fatal
	case a.Class == provider.Fatal:
		others, anew := l.keys.refused(now, key)
		if others && anew {
			l.emit(command{verb: doLog, note: note{what: "a credential is refused and put aside", key: key, hasKey: true}})
		}
		return others
	case verdict(a.Class) == rate.Accepted || a.Class == provider.TooLarge:
		if l.keys.works(key) && len(l.keys.keys) > 1 {
			l.emit(command{verb: doLog, note: note{what: "a credential works again", key: key, hasKey: true, good: true}})
		}
	default:
		l.keys.untold(now, key)
	}
	return false
}

// renewKeys goes on with other credentials: where the lane is held they are
// tried at once.
func (l *lane) renewKeys(now time.Time, n int) {
	l.keys.renew(n)
	l.probeNow(now)
}

// settleTokens corrects what was reckoned with when the item was sent: nothing
// for what was not billed, the real number where it is known. A refusal for the
// rate took its client's turn all the same: else one whose prompts are always
// refused would go first for ever.
func (l *lane) settleTokens(now time.Time, it *item, a *provider.Answer) {
	real := it.estimate
	switch {
	case a.Tokens() > 0:
		real = a.Tokens()
	case verdict(a.Class) != rate.Accepted:
		real = 0
	}
	if a.Class != provider.SlowDown {
		l.shares.take(it.run, real-it.estimate)
	}
	it.run.tokens.Take(now, float64(real-it.estimate))
}

func verdict(c provider.Class) rate.Verdict {
	switch c {
	case provider.SlowDown:
		return rate.Refused
	case provider.TooLarge, provider.Transient, provider.Fatal, provider.UsedUp:
		return rate.Failed
	default:
		return rate.Accepted
	}
}

// decide gives an answered prompt its outcome or another try.
func (l *lane) decide(now time.Time, it *item, a *provider.Answer, p *job.Prompt, outcome *job.Outcome, alone bool) {
	switch a.Class {
	case provider.Done:
		if !l.succeeded {
			l.succeeded = true
			l.emit(command{verb: doSave})
		}
		l.finish(it, outcome)
	case provider.TooLarge:
		l.finish(it, a.Failure(p, a.Code, it.attempts))
	case provider.Terminal:
		l.finish(it, a.Failure(p, a.Code, it.attempts))
		if withheld := a.Code == job.CodeContentFiltered && a.HTTPStatus/100 == 2; !withheld {
			l.alike(it.run, a)
		}
	case provider.Broken:
		if it.broken++; it.broken > 1 {
			l.finish(it, a.Failure(p, job.CodeBadResponse, it.attempts))
			return
		}
		l.again(it, now)
	case provider.SlowDown:
		l.slowDown(now, it, a, p, alone)
	case provider.Fatal:
		if l.ownFatal(it) {
			l.finish(it, a.Failure(p, job.CodeInvalidRequest, it.attempts))
			return
		}
		it.fatalAt = l.passed
		l.again(it, now)
	case provider.UsedUp:
		l.again(it, now)
	case provider.Transient:
		switch {
		case l.hold != nil && !it.atFault:
			it.excuse(a, p)
			l.again(it, now)
		case it.spent >= it.run.maxRetries:
			l.finish(it, a.Failure(p, a.Code, it.attempts))
		default:
			l.again(it, now.Add(l.backoff(it.spent)))
			it.spent++
		}
	}
}

// A prompt that was refused like a bad credential so often, and last while
// others passed, is itself the cause.
const fatalsOfItsOwn = 3

// ownFatal tells whether a fatal answer is the prompt's own fault: a moderation
// in front of the provider answers 403 for one prompt and lets others pass.
func (l *lane) ownFatal(it *item) bool {
	return it.fatals >= fatalsOfItsOwn && l.passed > it.fatalAt
}

// backoff is the wait before a retry: doubled each time, full jitter.
func (l *lane) backoff(spent int) time.Duration {
	most := l.cfg.RetryBase
	for range min(spent, 20) {
		most = min(maxBackoff, 2*most)
	}
	return time.Duration(l.rng.Int64N(int64(most) + 1))
}

// again puts an item back, to leave at the given time.
func (l *lane) again(it *item, at time.Time) {
	if it.run.draining {
		return
	}
	l.seq++
	it.notBefore, it.seq = at, l.seq
	it.run.retry.add(it)
}

// finish hands an outcome over to be recorded.
func (l *lane) finish(it *item, o *job.Outcome) {
	n := len(o.Public) + len(o.Response)
	it.run.outcomes++
	it.run.unrecorded++
	it.run.unrecordedBytes += n
	l.unrecorded++
	l.unrecordedBytes += n
	l.emit(command{verb: doRecord, run: it.run, outcome: o})
}

// alike fails a job whose first prompts were all refused in the same words.
func (l *lane) alike(r *run, a *provider.Answer) {
	refusal := a.Code + "\x00" + a.Message
	if r.refusedAlike == 0 {
		r.refusal = refusal
	}
	if refusal != r.refusal || r.refusedAlike+1 != r.outcomes {
		return
	}
	if r.refusedAlike++; r.refusedAlike == alikeToFail {
		l.fail(r, "The first 100 prompts were all refused alike: "+a.Message)
	}
}

// recorded hears that outcomes of a run are durable.
func (l *lane) recorded(r *run, outcomes, bytes int) {
	r.unrecorded -= outcomes
	r.unrecordedBytes -= bytes
	l.unrecorded -= outcomes
	l.unrecordedBytes -= bytes
}

// reserve asks for the lines that the runs send next.
func (l *lane) reserve() {
	for _, r := range l.runs {
		if line, ask := r.reserve(); ask {
			r.account.reserve.Store(line)
			l.emit(command{verb: doReserve, run: r})
		}
	}
}

// step gives all commands that can be given now and returns when to look
// again; the zero time means after the next event.
func (l *lane) step(now time.Time) (wake time.Time) {
	again := l.readAhead(now)
	defer func() { wake = earliest(wake, again) }()
	switch {
	case l.stopping:
	case l.blocked != "":
		l.bound = rate.BoundHold
	case l.hold != nil:
		l.bound = rate.BoundHold
		wake = l.probe(now)
	default:
		wake = l.goOn(now)
	}
	if !l.stopping {
		l.reserve()
	}
	l.end()
	return wake
}

// goOn sends what may leave now: a prompt alone, or all others.
func (l *lane) goOn(now time.Time) time.Time {
	wake, aside := l.vouch(now)
	if !aside {
		wake, aside = l.tryAlone(now)
	}
	l.setAside(now, aside)
	if aside {
		l.bound = rate.BoundHold
		return wake
	}
	l.silentSince = time.Time{}
	return earliest(wake, l.send(now))
}

// send lets prompts leave as long as everything permits it.
func (l *lane) send(now time.Time) time.Time {
	for {
		it, from, waiting, at := l.shares.next(now)
		if it == nil {
			l.slot.leave(&l.seat)
			return at
		}
		if l.unrecorded >= maxUnrecorded || l.unrecordedBytes >= maxUnrecordedBytes {
			l.bound = rate.BoundMachine
			return time.Time{}
		}
		if ok, at := l.ctl.Permit(now); !ok {
			l.bound = l.ctl.Snapshot(now).Bound
			if waiting > 1 {
				l.bound = rate.BoundShare
			}
			return at
		}
		if !l.dayPermits(now) {
			l.bound = rate.BoundCap
			if l.hold != nil {
				return now
			}
			return time.Time{} // after the next save
		}
		if !l.slot.take(&l.seat) {
			l.bound = rate.BoundMachine
			return now.Add(slotPoll)
		}
		from.turn++
		l.leaves(now, it)
	}
}

// leaves sends an item that has its permits.
func (l *lane) leaves(now time.Time, it *item) {
	r := it.run
	r.pop(it)
	it.estimate = l.ctl.Estimate(len(it.raw), maxTokens(it.raw))
	it.key, it.generation = l.keys.pick(now), l.keys.generation
	l.today.sent++
	if it != l.trial || !it.drained {
		l.leftAt = now
	}
	it.ticket = l.ctl.Sent(now, it.estimate)
	r.requests.Take(now, 1)
	r.tokens.Take(now, float64(it.estimate))
	l.shares.take(r, it.estimate)
	r.inFlight++
	l.inFlight++
	l.flying[it] = true
	r.account.requests.Add(1)
	l.emit(command{verb: doSend, it: it})
}

// readAhead has the next block of each run read before its last prompt leaves.
// It returns when one that could not be read is tried again.
func (l *lane) readAhead(now time.Time) (again time.Time) {
	low := min(2048, max(64, 2*l.ctl.Width()))
	for _, r := range l.runs {
		if r.reading || r.eof || r.draining || l.stopping || len(r.fresh) >= low {
			continue
		}
		if r.readAt.After(now) {
			again = earliest(again, r.readAt)
			continue
		}
		r.reading = true
		l.emit(command{verb: doRead, run: r})
	}
	return again
}

// end gives the last command for each run that has nothing left to do.
func (l *lane) end() {
	for _, r := range l.runs {
		switch {
		case r.ending:
		case r.draining && r.idle():
			r.ending = true
			l.emit(command{verb: doSettle, run: r})
		case !r.draining && r.done():
			r.ending = true
			l.emit(command{verb: doFinish, run: r})
		}
	}
}

// abandoned hears that a request was given up in flight at the end.
func (l *lane) abandoned(it *item) {
	l.landed(it)
	it.run.account.givenUp.Add(1)
}
