package rate

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

// Learned is what survives a restart. A field is zero where nothing was learned.
type Learned struct {
	RPM         float64 `json:"rpm,omitempty"`
	TPM         float64 `json:"tpm,omitempty"`
	Concurrency float64 `json:"concurrency,omitempty"`
	// TokensPerByte is how many tokens a byte of a prompt's line came to,
	// answer included.
	TokensPerByte float64 `json:"tokens_per_byte,omitempty"`
	// Limiter is how the provider limits, where that is known: bucket, window
	// or concurrency.
	Limiter string `json:"limiter,omitempty"`
}
