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

// tokens tells whether a limit of tokens is named.
func (l *Limits) tokens() bool {
	return l.TokensPerMinute > 0 || l.InputTokensPerMinute > 0 || l.OutputTokensPerMinute > 0
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
	TooLarge                // it refused the request for its size, which says nothing about the rate
)

// Ticket is what Sent gives for a request. Whoever sent it keeps it and gives
// it back with Answered or Unsent.
type Ticket struct {
	at       float64 // when it left, in seconds of the Controller's life
	number   int64   // units that left until then, its own included, from 0
	units    float64 // that it takes; 1 where requests are counted
	whole    float64 // of them that its number was raised by
	open     int     // requests under way that were not known to be refused, itself left out
	estimate float64 // its own tokens
	answer   float64 // those of its answer, as reckoned
	cost     spend   // what it is charged when it is let in
	spent    spend   // what was spent until then, itself included
	ago      spend   // what was spent until a minute before
}

// Estimate is how many tokens were reckoned with at Sent.
func (t Ticket) Estimate() int { return int(t.estimate) }

// Feedback is an answer as the Controller sees it.
type Feedback struct {
	Verdict Verdict
	Ticket  Ticket
	Bytes   int // the prompt's size as given to Estimate
	Tokens  int // the tokens it really took; 0: not known
	// PromptTokens is what of Tokens the prompt took; 0: not known.
	PromptTokens int
	RetryAfter   time.Duration // with Refused: what the provider asked for, of which a minute is obeyed; 0: nothing
	Limits       Limits
}
