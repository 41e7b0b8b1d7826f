package rate

import "time"

const (
	// headerShare of a limit that the provider names is what is sent: a clock
	// that runs a little fast on one side must not turn into refusals.
	headerShare = 0.995
	// afterRefusal of the rate that was accepted is what a silent provider
	// gets after it refused.
	afterRefusal = 0.95
	// raise is how much of its rate a silent provider is sent more, each
	// second without a refusal.
	raise = 0.005
	// An episode is how long refusals count as one: they come in bursts, and
	// only the first tells something new.
	episode = 5 * time.Second
	// Where nothing at all passed between two episodes the lane pauses, twice
	// as long each time: a window of a minute opens by itself.
	firstPause = time.Second
	lastPause  = 15 * time.Second
	// mostRaise bounds how much idle or unused time raises the rate at once.
	mostRaise = 2 * time.Second
	// maxPause bounds how long a lane stands still for one retry-after; the
	// refused prompt itself waits as long as it was told.
	maxPause = 60 * time.Second
	// defaultTokensPerByte is what a prompt is taken to cost before an answer
	// told: a token is about 4 bytes, and answers are about as long as prompts.
	defaultTokensPerByte = 0.5
)

// Config is what bounds a lane from the start.
type Config struct {
	RPM, TPM    int // the operator's caps; 0: none
	Concurrency int // the most requests at once, at least 1
	// ConcurrencyCapped tells that Concurrency is the operator's cap for this
	// provider, not what the machine allows.
	ConcurrencyCapped bool
}

// Controller says when a lane may send. One goroutine uses it.
type Controller struct {
	cfg      Config
	requests Pacer
	tokens   Pacer
	window   window

	said       Limits    // the limits that the provider named last
	rpm        float64   // learned from refusals; 0: none yet
	pausedTill time.Time // no request leaves before

	// The span since the last refusal that changed the rate.
	spanStart    time.Time
	spanAccepted int
	raisedAt     time.Time
	cutAt        time.Time     // when refusals were last acted on
	pause        time.Duration // the last pause because nothing passed

	tokensPerByte float64
	sent          counter
	inFlight      int
	bound         Bound
}

// New makes a controller. learned may be nil; what it holds is begun at half,
// since much may have changed while nobody looked.
func New(cfg Config, learned *Learned, now time.Time) *Controller {
	c := &Controller{cfg: cfg, window: newWindow(max(1, cfg.Concurrency), now), tokensPerByte: defaultTokensPerByte, bound: BoundLearning}
	c.spanStart, c.raisedAt = now, now
	if learned != nil {
		c.rpm = learned.RPM / 2
		if learned.Concurrency > 0 {
			c.window.limit = min(max(minConcurrency, learned.Concurrency/2), c.window.most)
		}
		if learned.TokensPerByte > 0 {
			c.tokensPerByte = learned.TokensPerByte
		}
	}
	c.setRates(now)
	return c
}

// Estimate is how many tokens, answer included, a prompt of so many bytes will
// take. It is at least 1.
func (c *Controller) Estimate(bytes int) int { return max(1, int(float64(bytes)*c.tokensPerByte)) }

// Permit tells whether a request may leave now. Where it may not, at is when to
// ask again; the zero time means after the next answer.
func (c *Controller) Permit(now time.Time) (ok bool, at time.Time) {
	if float64(c.inFlight) >= c.window.limit {
		c.window.full()
		c.bound = c.windowBound()
		return false, time.Time{}
	}
	if now.Before(c.pausedTill) {
		c.bound = BoundRPM
		return false, c.pausedTill
	}
	if at := c.requests.Ready(now); at.After(now) {
		c.raiseRate(now)
		c.bound = c.rateBound(c.cfg.RPM, c.requests.Rate(), BoundRPM)
		return false, at
	}
	if at := c.tokens.Ready(now); at.After(now) {
		c.bound = c.rateBound(c.cfg.TPM, c.tokens.Rate(), BoundTPM)
		return false, at
	}
	return true, now
}

// Sent takes a permit for a request of about so many tokens.
func (c *Controller) Sent(now time.Time, estimate int) {
	if c.inFlight == 0 && now.Sub(c.spanStart) > maxPause {
		c.spanStart, c.spanAccepted = now, 0 // idle time proves nothing
	}
	c.inFlight++
	c.sent.add(now, 1)
	c.requests.Take(now, 1)
	c.tokens.Take(now, float64(estimate))
}

// Answered hears about a request that Sent took a permit for. bytes is the
// prompt's size as given to Estimate.
func (c *Controller) Answered(now time.Time, f Feedback, bytes int) {
	c.inFlight--
	c.hear(now, f)
	switch f.Verdict {
	case Accepted:
		c.spanAccepted++
		c.pause = 0
		c.window.accepted(now)
		if f.Tokens > 0 {
			c.tokens.Take(now, float64(f.Tokens-f.Estimate))
			perByte := float64(f.Tokens) / float64(max(1, bytes))
			c.tokensPerByte += (perByte - c.tokensPerByte) / 50
		}
	case Refused:
		c.tokens.Take(now, -float64(f.Estimate))
		c.refused(now, f)
	case Failed:
		c.tokens.Take(now, -float64(f.Estimate))
	}
}

// Resume begins again after a hold: with one request at first and half of what
// was known, so that no burst meets a provider that has just recovered.
func (c *Controller) Resume(now time.Time) {
	c.window.limit = minConcurrency
	c.window.learning = true
	c.rpm /= 2
	c.spanStart, c.spanAccepted, c.raisedAt = now, 0, now
	c.setRates(now)
	c.requests.Drain(now)
	c.tokens.Drain(now)
}

// Snapshot is what is known now.
func (c *Controller) Snapshot(now time.Time) Snapshot {
	s := Snapshot{TPM: c.said.TokensPerMinute, RPM: c.rpm, CurrentRPM: c.sent.perMinute(now), Bound: c.bound}
	if c.said.RequestsPerMinute > 0 {
		s.RPM = c.said.RequestsPerMinute
	}
	if !c.window.learning {
		s.Concurrency = c.window.limit
	}
	return s
}

// Learned is what is worth keeping.
func (c *Controller) Learned() Learned {
	l := Learned{RPM: c.rpm, TPM: c.said.TokensPerMinute, TokensPerByte: c.tokensPerByte}
	if !c.window.learning {
		l.Concurrency = c.window.limit
	}
	return l
}

// hear takes in the limits that an answer named.
func (c *Controller) hear(now time.Time, f Feedback) {
	l := f.Limits
	if l.RequestsPerMinute <= 0 && l.TokensPerMinute <= 0 {
		return
	}
	if l.RequestsPerMinute != c.said.RequestsPerMinute || l.TokensPerMinute != c.said.TokensPerMinute {
		c.said = l
		c.setRates(now)
	}
	if l.NoneLeft && l.RequestsPerMinute > 0 {
		c.pauseUntil(now.Add(time.Duration(60 / l.RequestsPerMinute * float64(time.Second))))
	}
}

func (c *Controller) refused(now time.Time, f Feedback) {
	if f.RetryAfter > 0 {
		c.pauseUntil(now.Add(min(f.RetryAfter, maxPause)))
	}
	if f.SentAt.Before(c.cutAt) || now.Sub(c.cutAt) < episode {
		return
	}
	c.cutAt = now
	// A window that is not full did not bring the refusal about.
	if float64(c.inFlight+1) >= c.window.limit*0.9 {
		c.window.refused()
	}
	if c.said.RequestsPerMinute > 0 {
		// The provider names its limit: what it refused was our jitter or
		// another tenant.
		return
	}
	if elapsed := now.Sub(c.spanStart).Minutes(); elapsed > 0 && c.spanAccepted > 0 {
		if accepted := float64(c.spanAccepted) / elapsed * afterRefusal; c.rpm == 0 || accepted < c.rpm {
			c.rpm = accepted
		}
	} else {
		c.pause = min(lastPause, max(firstPause, 2*c.pause))
		c.pauseUntil(now.Add(c.pause))
	}
	c.spanStart, c.spanAccepted, c.raisedAt = now, 0, now
	c.setRates(now)
}

// raiseRate is the additive increase of a rate that was learned from refusals,
// while it is what holds requests back.
func (c *Controller) raiseRate(now time.Time) {
	if c.rpm == 0 || c.said.RequestsPerMinute > 0 {
		return
	}
	if elapsed := now.Sub(c.raisedAt); elapsed >= time.Second {
		c.rpm += max(c.rpm*raise, 0.1) * min(elapsed, mostRaise).Seconds()
		c.raisedAt = now
		c.setRates(now)
	}
}

func (c *Controller) setRates(now time.Time) {
	rpm := c.rpm
	if c.said.RequestsPerMinute > 0 {
		rpm = c.said.RequestsPerMinute * headerShare
	}
	c.requests.SetRate(now, lowest(rpm, float64(c.cfg.RPM)))
	c.tokens.SetRate(now, lowest(c.said.TokensPerMinute*headerShare, float64(c.cfg.TPM)))
}

func (c *Controller) pauseUntil(t time.Time) {
	if t.After(c.pausedTill) {
		c.pausedTill = t
	}
}

func (c *Controller) windowBound() Bound {
	switch {
	case c.window.limit >= c.window.most && c.cfg.ConcurrencyCapped:
		return BoundCap
	case c.window.limit >= c.window.most:
		return BoundMachine
	case c.window.learning:
		return BoundLearning
	default:
		return BoundConcurrency
	}
}

func (c *Controller) rateBound(limit int, rate float64, otherwise Bound) Bound {
	if limit > 0 && rate >= float64(limit) {
		return BoundCap
	}
	return otherwise
}

// lowest is the lower of two limits of which 0 is none.
func lowest(a, b float64) float64 {
	if a == 0 || (b > 0 && b < a) {
		return b
	}
	return a
}

// Unsent takes back what Sent took, for a request that never left.
func (c *Controller) Unsent(now time.Time, estimate int) {
	c.inFlight--
	c.sent.add(now, -1)
	c.requests.Take(now, -1)
	c.tokens.Take(now, -float64(estimate))
}

// Width is how many requests may be under way at once now.
func (c *Controller) Width() int { return int(c.window.limit) }
