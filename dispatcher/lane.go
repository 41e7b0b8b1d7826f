package dispatcher

import (
	"math/rand/v2"
	"time"

	"github.com/promptforge/promptforge/dispatcher/rate"
)

// laneConfig is what a lane goes by.
type laneConfig struct {
	RetryBase time.Duration
	MaxHold   time.Duration
	MaxOutage time.Duration
	RPD       int // requests a day; 0: no cap
	Rate      rate.Config
	// Public makes of a sentence what a job's owner may read; nil: nothing is to
	// be left out.
	Public func(sentence string) string
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
	left   int64 // requests that left

	// Prompts with a broken answer wait for others to tell whether it is the
	// weather.
	anyHeldBack bool

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
	vouchLeft   int64 // requests that had left, it among them
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
	l.emit(command{verb: doFail, run: r, reason: l.public(reason)})
}

// public is a sentence as a job's owner may read it.
func (l *lane) public(sentence string) string {
	if l.cfg.Public == nil {
		return sentence
	}
	return l.cfg.Public(sentence)
}

// landed takes a request back that was in flight.
func (l *lane) landed(it *item) {
	l.inFlight--
	l.slot.free(&l.seat)
	it.run.inFlight--
	delete(l.flying, it)
}

// recorded hears that outcomes of a run are durable.
func (l *lane) recorded(r *run, outcomes, bytes int) {
	r.unrecorded -= outcomes
	r.unrecordedBytes -= bytes
	l.unrecorded -= outcomes
	l.unrecordedBytes -= bytes
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
		return wake
	}
	l.silentSince = time.Time{}
	return earliest(wake, l.send(now))
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
	// It stays open: a job that has nothing else left is given back, not
	// finished.
	it.run.retry.add(it)
}
