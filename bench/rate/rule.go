package rate

import (
	"time"

	"github.com/promptforge/promptforge/dispatcher/rate"
)

// Rule decides when a request may leave. It is told what a client of a real
// provider could know, and nothing else.
type Rule interface {
	// Permit tells whether next may leave now. Where it may not, at is when to
	// ask again, which must be later than now; the zero time means after the
	// next answer.
	Permit(now time.Time, next Request) (ok bool, at time.Time)
	// Sent hears that the request left; only after Permit allowed it.
	Sent(now time.Time, r Request)
	// Answered hears the answer to a request that was sent.
	Answered(now time.Time, a Answer)
}

// Bounder is a Rule that can say what binds it.
type Bounder interface {
	// Bound is what makes it as slow as it is now.
	Bound(now time.Time) rate.Bound
}

// Request is what a rule may know of a request before it is answered.
type Request struct {
	// Slot tells the requests under way apart. It is small, and used again
	// once its request is answered.
	Slot int
	// Bytes is the length of the prompt's line.
	Bytes int
	// MaxTokens is how many tokens the answer may have; 0: not stated.
	MaxTokens int
}

// Answer is what came back.
type Answer struct {
	Request
	SentAt time.Time
	// Status is 200 or 429.
	Status int
	// Tokens is what the prompt and its answer took by the provider's count;
	// 0 with a refusal.
	Tokens int
	// PromptTokens is what of them the prompt took.
	PromptTokens int
	// RetryAfter is what the provider asked for, in whole seconds; 0: nothing.
	RetryAfter time.Duration
	// Requests and Tokens as the headers of the answer state them.
	RequestLimit, TokenLimit Stated
}

// Stated is what x-ratelimit-limit, -remaining and -reset say about one limit.
// All are zero where there are no such headers.
type Stated struct {
	Limit     float64       // a minute
	Remaining float64       // whole units
	Reset     time.Duration // until the limit is whole; of a sliding window: until the next passes
}

// epoch is the moment that a run begins at. Which one it is makes no difference
// to any rule. As a real rule's times it has a monotonic reading, without which
// two times take several times as long to compare.
var epoch = time.Now()
