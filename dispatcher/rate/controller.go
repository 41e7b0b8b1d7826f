package rate

import (
	"math/rand/v2"
	"time"
)

const (
	// resumeJitter is within how many seconds a lane begins again after a hold,
	// so that many lanes do not begin at the same moment.
	resumeJitter = 0.5
)

// Config is what bounds a lane from the start.
type Config struct {
	RPM, TPM    int // the operator's caps; 0: none
	Concurrency int // the most requests at once, at least 1
	// ConcurrencyCapped tells that Concurrency is the operator's cap for this
	// provider, not what the machine allows.
	ConcurrencyCapped bool
	Seed              uint64 // of the jitter after a hold
}

// Controller says when a lane may send. One goroutine uses it.
type Controller struct {
	cfg   Config
	start time.Time
	rng   *rand.Rand

	capRequests, capTokens pacer
	learner                learner
	window                 window

	places   places
	tokens   tokens
	units    units
	sent     counter
	number   int64
	inFlight int
	bound    Bound
}

// limiterConcurrency is the saved name of a limit of requests at once.
const limiterConcurrency = "concurrency"

// New makes a controller. learned may be nil; what it holds is begun at half,
// since much may have changed while nobody looked.
func New(cfg Config, learned *Learned, now time.Time) *Controller {
	c := &Controller{cfg: cfg, start: now, rng: rand.New(rand.NewPCG(cfg.Seed, 1)), window: newWindow(max(1, cfg.Concurrency)), tokens: newTokens(0), units: newUnits(), bound: BoundLearning}
	c.learner = newLearner(0, kindUnknown)
	if learned != nil {
		c.learner = newLearner(max(0, learned.RPM)/60/2, kindOf(learned))
		switch {
		case learned.Concurrency <= 0:
		case learned.Limiter == limiterConcurrency:
			c.places.remember(learned.Concurrency, 0)
		default:
			c.window.remember(learned.Concurrency, 0)
		}
		c.tokens = newTokens(learned.TokensPerByte)
	}
	c.capRequests.SetRate(0, float64(cfg.RPM))
	c.capTokens.SetRate(0, float64(cfg.TPM))
	return c
}

// since is now as time of the Controller's life, and the same in seconds.
func (c *Controller) since(now time.Time) (at time.Duration, t float64) {
	at = now.Sub(c.start)
	return at, at.Seconds()
}

// Estimate is how many tokens a request will be charged, its answer included. It
// is at least 1.
func (c *Controller) Estimate(s Size) int { return int(c.tokens.estimate(s)) }

// Permit tells whether a request may leave now. Where it may not, at is when to
// ask again; the zero time means after the next answer.
func (c *Controller) Permit(now time.Time, s Size) (ok bool, at time.Time) {
	since, t := c.since(now)
	if until, bound := c.heldBack(since, t, s); bound != "" {
		c.learner.heldBack(t)
		c.bound = bound
		if until == 0 {
			return false, time.Time{}
		}
		return false, c.start.Add(until)
	}
	if c.places.known && !c.learner.resuming() {
		return true, now
	}
	c.units.hurry(&c.learner)
	if ok, at := c.learner.permit(since, t); !ok {
		c.bound = c.units.bound()
		if c.learner.phase == ramp || c.learner.rate == 0 {
			c.bound = BoundLearning
		}
		return false, c.start.Add(moment(since, at))
	}
	return true, now
}

// heldBack tells what but the learned rate holds a request back, and until when;
// 0: until the next answer.
func (c *Controller) heldBack(now time.Duration, t float64, s Size) (until time.Duration, bound Bound) {
	if float64(c.inFlight) >= c.width(t) {
		c.window.full()
		return 0, c.windowBound()
	}
	if at := c.capRequests.Ready(now); at > now {
		return at, BoundCap
	}
	if at := c.capTokens.Ready(now); at > now {
		return at, BoundCap
	}
	if c.tokens.named() {
		if at := c.tokens.ready(now, t, s); at > t {
			return moment(now, at), BoundTPM
		}
	}
	return now, ""
}

// moment is the time of so many seconds of the Controller's life, or the next
// after now.
func moment(now time.Duration, t float64) time.Duration {
	return max(time.Duration(t*1e9), now) + 1
}

// Sent takes a permit for a request.
func (c *Controller) Sent(at time.Time, s Size) Ticket {
	now, t := c.since(at)
	k := Ticket{at: t, open: c.inFlight, estimate: float64(c.Estimate(s))}
	c.tokens.reckon(&k, s)
	c.units.take(&k, c.number, c.learner.phase == closed)
	c.number = k.number + 1
	c.inFlight++
	c.sent.add(now, 1)
	c.capRequests.Take(now, 1)
	c.capTokens.Take(now, k.estimate)
	c.tokens.sent(now, &k)
	c.window.sent(k)
	c.units.witness.minute.leaves(&k, &c.tokens.log, feedbackSpread*c.learner.feedback)
	c.learner.sent(now, &k)
	c.units.sent(&c.learner, now, &k)
	return k
}

// Answered hears about a request that Sent took a permit for.
func (c *Controller) Answered(at time.Time, f Feedback) {
	now, t := c.since(at)
	c.inFlight--
	if f.Limits.RequestsPerMinute > 0 {
		c.learner.hear(t, f.Ticket, f.Limits)
	}
	c.tokens.hear(now, &f)
	switch f.Verdict {
	case Accepted:
		c.window.accepted(t, f.Ticket, c.number)
		c.learner.accepted(now, t, &f.Ticket)
		c.places.accept(t, f.Ticket.open, t-f.Ticket.at)
		if f.Tokens > 0 {
			c.capTokens.Take(now, float64(f.Tokens)-f.Ticket.estimate)
		}
		c.units.witness.accepted(&f.Ticket, &c.tokens)
		c.units.answered(&c.learner, now, &f.Ticket, c.tokens.accepted(now, t, &f))
	case Refused:
		c.window.gone(f.Ticket)
		c.capTokens.Take(now, -f.Ticket.estimate)
		c.refused(now, t, &f)
	case Failed:
		c.window.gone(f.Ticket)
		c.capTokens.Take(now, -f.Ticket.estimate)
		c.tokens.unsent(now, t, &f.Ticket, c.number)
	case TooLarge:
		c.window.gone(f.Ticket)
		c.capTokens.Take(now, -f.Ticket.estimate)
		c.tokens.refuseBeyond(now, t, &f, c.number)
	}
}

func (c *Controller) refused(now time.Duration, t float64, f *Feedback) {
	beyond := c.tokens.beyond(f.Bytes, f.Ticket.cost) // that says nothing of the rate
	if beyond || c.tokens.refuses(f) {
		if beyond {
			c.tokens.refuseBeyond(now, t, f, c.number)
		} else {
			c.tokens.refuse(now, t, f, c.number)
		}
		c.learner.unsent(now, f.Ticket)
		c.units.unsent(&c.learner, now, &f.Ticket)
		return
	}
	fresh := c.learner.told.rate == 0 && f.Ticket.number >= c.learner.since && (c.learner.phase != closed || c.places.known)
	c.units.witness.minute.wasRefused(&f.Ticket, c.tokens.before(&f.Ticket))
	c.tokens.unsent(now, t, &f.Ticket, c.number)
	if c.learner.excuse(now, t, f.Ticket) {
		c.units.unsent(&c.learner, now, &f.Ticket)
		return
	}
	if c.units.measure == byRequest && c.learner.told.rate == 0 && (f.Ticket.number >= c.learner.since || c.places.known) {
		before := c.places.known
		if c.places.refuse(t, f.Ticket.open); c.places.known && !before && c.learner.belief.exact() {
			c.places = places{most: c.places.most, latency: c.places.latency}
		}
		if before && !c.places.known {
			c.learner.restart(c.sent.perMinute(now) / minuteSeconds / 2)
		}
	}
	c.learner.lengths = c.units.lengths(c.learner.spanTo(f.Ticket).count, float64(c.inFlight))
	c.learner.refused(t, f.Ticket, min(f.RetryAfter.Seconds(), longestPause))
	c.units.refused(&c.learner, &f.Ticket)
	if fresh && c.units.judge(&f.Ticket, &c.tokens, outOfTurn*float64(c.number-f.Ticket.number), c.learner.kind) {
		c.places = places{}
		c.units.adopt(&c.learner, &c.tokens.log, t, c.number)
	}
	if fresh {
		c.units.teach(&c.learner)
	}
}

// Resume begins again after a hold: with one request at first and half of what
// was known, so that no burst meets a provider that has just recovered.
func (c *Controller) Resume(now time.Time) {
	c.window.restart(c.number)
	_, t := c.since(now)
	c.places.restart()
	c.learner.resume(t, t+c.rng.Float64()*resumeJitter)
}

// Snapshot is what is known now.
func (c *Controller) Snapshot(now time.Time) Snapshot {
	since, _ := c.since(now)
	s := Snapshot{TPM: c.tpm(), CurrentRPM: c.sent.perMinute(since), Bound: c.bound}
	switch {
	case c.places.known:
		s.Concurrency = c.places.limit
	case c.learner.known():
		if c.units.measure == byRequest {
			s.RPM = 60 * c.learner.rate
		}
	case !c.window.learning:
		s.Concurrency = c.window.limit
	}
	return s
}

// tpm is the limit of tokens a minute that is named, or learned; 0: none is known.
func (c *Controller) tpm() float64 {
	if c.units.measure != byRequest && c.learner.known() && !c.places.known {
		return 60 * c.learner.rate * c.units.size
	}
	return c.tokens.limit()
}

// Learned is what is worth keeping.
func (c *Controller) Learned() Learned {
	l := Learned{RPM: 60 * c.learner.worth(), Limiter: limiters[c.learner.kind], TPM: c.tpm(), TokensPerByte: c.tokens.perByte}
	switch {
	case c.places.known:
		l.Limiter, l.Concurrency, l.RPM = limiterConcurrency, c.places.limit, 0
	case !c.window.learning:
		l.Concurrency = c.window.limit
	}
	return l
}

func (c *Controller) windowBound() Bound {
	switch {
	case c.window.limit >= c.window.most && c.cfg.ConcurrencyCapped:
		return BoundCap
	case c.places.known:
		return BoundConcurrency
	case c.window.limit >= c.window.most:
		return BoundMachine
	case c.window.learning:
		return BoundLearning
	default:
		return BoundConcurrency
	}
}

// Unsent takes back what Sent took, for a request that never left.
func (c *Controller) Unsent(at time.Time, k Ticket) {
	now, t := c.since(at)
	c.inFlight--
	c.window.gone(k)
	c.sent.add(now, -1)
	c.capRequests.Take(now, -1)
	c.capTokens.Take(now, -k.estimate)
	c.tokens.unsent(now, t, &k, c.number)
	c.learner.unsent(now, k)
	c.units.unsent(&c.learner, now, &k)
}

// Width is how many requests may be under way at once now.
func (c *Controller) Width() int { return int(c.width(0)) }

// width leaves concurrency alone where a limit of requests a minute is known:
// it is what binds then, however long answers take.
func (c *Controller) width(t float64) float64 {
	if c.places.known {
		return min(c.places.width(t), c.window.most)
	}
	if c.learner.told.rate > 0 || c.learner.heard && c.learner.rate > 0 {
		return c.window.most
	}
	return c.window.width()
}
