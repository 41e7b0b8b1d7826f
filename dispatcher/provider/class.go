package provider

// Class is what an answer means, whatever its status number (docs/api.md,
// "What happens to a prompt").
type Class int

// The classes.
const (
	// Done: a complete answer. It becomes a result and is never asked again.
	Done Class = iota
	// Broken: a success that is cut off or not the provider's JSON. It was
	// probably billed.
	Broken
	// SlowDown: refused for the rate.
	SlowDown
	// TooLarge: refused for the rate, and the prompt alone is the cause.
	TooLarge
	// UsedUp: a day's quota is used up; Answer.RetryAfter says until when, if
	// the provider did.
	UsedUp
	// Transient: an outage, a reset, a timeout.
	Transient
	// Fatal: the credential, the account or the model is refused.
	Fatal
	// Terminal: this prompt will never be answered. Answer.Code says why.
	Terminal
)

// String is the class for logs.
func (c Class) String() string {
	return [...]string{"done", "broken", "slow down", "too large", "used up", "transient", "fatal", "terminal"}[c]
}
