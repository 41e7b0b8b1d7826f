package simulator

import (
	"sync"
	"time"
)

// gate decides who is admitted. Safe for concurrent use; its lock is held for
// the arithmetic alone, and not taken at all when there are no limits.
type gate struct {
	rpm, tpm, concurrency int
	kind                  string

	mu       sync.Mutex
	requests limiter // nil without a limit
	tokens   limiter // nil without a limit
	open     int
}

func newGate(cfg Config) *gate {
	g := &gate{rpm: cfg.RPM, tpm: cfg.TPM, concurrency: cfg.Concurrency, kind: cfg.LimitKind}
	g.reset()
	return g
}

// reset forgets what was taken; who is inside stays inside.
func (g *gate) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.requests = newLimiter(g.kind, g.rpm)
	g.tokens = newLimiter(g.kind, g.tpm)
}

// bound is what refused a request.
type bound int

const (
	boundNone bound = iota
	boundRequests
	boundTokens
	boundConcurrency
	boundSize // more tokens than the limit ever lets through at once
)

// verdict is the gate's answer, with what the headers tell about it.
type verdict struct {
	bound            bound
	wait             time.Duration // until the same request could pass; 0 when not known
	tokensAsked      int
	requests, tokens level
}

// level is the state of one limit. A limit of 0 is none.
type level struct {
	limit, remaining int
	reset            time.Duration
}

func (g *gate) limitless() bool { return g.rpm == 0 && g.tpm == 0 && g.concurrency == 0 }

// enter admits a request of that many tokens, or says what stands against it.
// Whoever was admitted (boundNone) must leave.
func (g *gate) enter(now time.Time, tokens int) verdict {
	v := verdict{tokensAsked: tokens}
	if g.limitless() {
		return v
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	v.bound, v.wait = g.judge(now, tokens)
	if v.bound == boundNone {
		g.open++
		if g.requests != nil {
			g.requests.take(now, 1)
		}
		if g.tokens != nil {
			g.tokens.take(now, tokens)
		}
	}
	v.requests, v.tokens = levelOf(g.requests, g.rpm, now), levelOf(g.tokens, g.tpm, now)
	return v
}

func (g *gate) judge(now time.Time, tokens int) (bound, time.Duration) {
	if g.tpm > 0 && tokens > g.tpm {
		return boundSize, 0
	}
	b, wait := boundNone, time.Duration(0)
	if g.requests != nil {
		if d := g.requests.wait(now, 1); d > 0 {
			b, wait = boundRequests, d
		}
	}
	if g.tokens != nil {
		if d := g.tokens.wait(now, tokens); d > wait {
			b, wait = boundTokens, d
		}
	}
	if b == boundNone && g.concurrency > 0 && g.open >= g.concurrency {
		b = boundConcurrency
	}
	return b, wait
}

func (g *gate) leave() {
	if g.limitless() {
		return
	}
	g.mu.Lock()
	g.open--
	g.mu.Unlock()
}

func levelOf(l limiter, limit int, now time.Time) level {
	if l == nil {
		return level{}
	}
	return level{limit: limit, remaining: max(0, l.remaining(now)), reset: l.reset(now)}
}
