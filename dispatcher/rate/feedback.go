package rate

import "time"

// Limits is what a provider said about its limits with an answer. A field is
// zero where it said nothing.
type Limits struct {
	RequestsPerMinute float64
	TokensPerMinute   float64
	// Tokens sent and tokens answered, where they are limited apart.
	InputTokensPerMinute  float64
	OutputTokensPerMinute float64
	// NoneLeft tells that the answer's request was the last for now.
	NoneLeft bool

	// What is left of each limit.
	Requests, Tokens, InputTokens, OutputTokens Budget
}

// Budget is what is left of a limit.
type Budget struct {
	Known bool          // Left was told
	Left  float64       // requests or tokens
	Reset time.Duration // until the limit is whole again; 0: not told
}

// Verdict is what an answer means to the rate.
type Verdict int

// The verdicts.
const (
	Accepted Verdict = iota // the provider took the request, whatever it made of it
	Refused                 // it said "slow down"
	Failed                  // it said nothing about the rate: an outage, a reset
)

// Feedback is an answer as the Controller sees it.
type Feedback struct {
	Verdict    Verdict
	SentAt     time.Time
	Estimate   int           // the tokens that were reckoned with at Sent
	Tokens     int           // the tokens it really took; 0: not known
	RetryAfter time.Duration // with Refused: what the provider asked for; 0: nothing
	Limits     Limits
}

// Snapshot is what a Controller knows.
type Snapshot struct {
	RPM, TPM    float64 // learned from headers or refusals; 0: not known
	Concurrency float64 // learned from refusals or latency; 0: not known
	CurrentRPM  float64 // requests sent in the last 10 s, as a minute's rate
	Bound       Bound
}

// Bound is what makes a lane as slow as it is.
type Bound string

// The bounds, named as in docs/api.md.
const (
	BoundLearning    Bound = "learning"
	BoundRPM         Bound = "rpm"
	BoundTPM         Bound = "tpm"
	BoundConcurrency Bound = "concurrency"
	BoundCap         Bound = "cap"
	BoundShare       Bound = "share"
	BoundHold        Bound = "hold"
	BoundMachine     Bound = "machine"
)

// Learned is what survives a restart.
type Learned struct {
	RPM         float64 `json:"rpm,omitempty"`
	TPM         float64 `json:"tpm,omitempty"`
	Concurrency float64 `json:"concurrency,omitempty"`
	// TokensPerByte is how many tokens a byte of a prompt's line came to,
	// answer included.
	TokensPerByte float64 `json:"tokens_per_byte,omitempty"`
}
