package rate

import (
	"math"
	"math/rand/v2"
	"time"
)

// server is the provider of a scenario.
type server struct {
	sc       *Scenario
	requests limiter    // nil without a limit
	tokens   limiter    // nil without a limit
	rpm, tpm float64    // the limits now
	open     int        // requests inside
	moods    *rand.Rand // refuse at random; nil: none is
}

func newServer(sc *Scenario, rng *rand.Rand) *server {
	s := &server{sc: sc, rpm: sc.RPM, tpm: sc.TPM}
	// A fixed window's minutes are not ours.
	phase := time.Duration(1 + rng.Int64N(int64(minute)))
	switch {
	case sc.RPM == 0:
	case sc.Kind == Plain:
		s.requests = newPlain(sc.RPM, sc.Counted)
	case sc.Kind == Fixed:
		s.requests = newFixed(sc.RPM, phase)
	case sc.Kind == Sliding:
		s.requests = newSliding(sc.RPM, sc.Counted)
	default:
		s.requests = newBucket(sc.RPM, sc.Depth.Seconds(), 1, sc.Counted)
	}
	switch {
	case sc.TPM == 0:
	case sc.Kind == Fixed:
		s.tokens = newFixed(sc.TPM, phase)
	case sc.Kind == Sliding:
		s.tokens = newSliding(sc.TPM, sc.Counted)
	default:
		s.tokens = newBucket(sc.TPM, 0, sc.tokenDepth(), sc.Counted)
	}
	if sc.Flaky > 0 {
		s.moods = rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
	}
	return s
}

// ruling is what the provider makes of a request when it comes in.
type ruling struct {
	accepted         bool
	charged          float64 // tokens charged so far
	retryAfter       time.Duration
	requests, tokens Stated
}

// enter rules on a request, in r. Whoever was accepted must leave.
func (s *server) enter(now time.Duration, l *length, r *ruling) {
	*r = ruling{}
	if s.moods != nil && s.moods.Float64() < s.sc.Flaky {
		r.retryAfter = s.retryAfter(time.Second)
		return
	}
	if s.sc.Kind == Concurrency && s.open >= s.sc.Places {
		r.retryAfter = s.retryAfter(s.sc.Latency)
		return
	}
	var wait time.Duration
	if s.requests != nil {
		wait = s.requests.take(now, 1)
	}
	// Tokens are looked at only for a request that the other limit lets pass.
	if s.tokens != nil && wait == 0 {
		r.charged = float64(l.prompt)
		if s.sc.UpFront {
			r.charged = l.charge(true)
		}
		if wait = s.tokens.take(now, r.charged); wait > 0 {
			r.charged = 0
		}
	}
	if r.accepted = wait <= 0; r.accepted {
		s.open++
	} else {
		r.retryAfter = s.retryAfter(wait)
	}
	if s.sc.Headers != Silent {
		r.requests = s.state(s.requests, s.rpm, now)
		r.tokens = s.state(s.tokens, s.tpm, now)
	}
}

// leave ends a request that was accepted and returns what else it is charged.
func (s *server) leave(now time.Duration, l *length) (charged float64) {
	s.open--
	if s.tokens == nil || s.sc.UpFront {
		return 0
	}
	s.tokens.charge(now, float64(l.answer))
	return float64(l.answer)
}

func (s *server) change(now time.Duration, factor float64) {
	if s.requests != nil {
		s.rpm *= factor
		s.requests.setLimit(now, s.rpm)
	}
	if s.tokens != nil {
		s.tpm *= factor
		s.tokens.setLimit(now, s.tpm)
	}
}

// retryAfter is the header, which has whole seconds.
func (s *server) retryAfter(wait time.Duration) time.Duration {
	if !s.sc.RetryAfter {
		return 0
	}
	return max(time.Second, (wait + time.Second - 1).Truncate(time.Second))
}

// state is what the headers say of one limit.
func (s *server) state(l limiter, limit float64, now time.Duration) Stated {
	if l == nil {
		return Stated{}
	}
	left, reset := l.state(now)
	left = max(0, math.Floor(left+grain))
	switch s.sc.Headers {
	case TenTimes:
		return Stated{10 * limit, 10 * left, reset}
	case ATenth:
		return Stated{limit / 10, math.Floor(left / 10), reset}
	case AlwaysFull:
		return Stated{limit, limit, 0}
	case AlwaysEmpty:
		return Stated{limit, 0, minute}
	case ForeignLimit:
		return Stated{60_000, 60_000, 0}
	case WrongReset:
		return Stated{limit, left, 0}
	default:
		return Stated{limit, left, reset}
	}
}
