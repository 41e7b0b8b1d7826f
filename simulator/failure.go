package simulator

import "time"

// failure is an error answer in no dialect: the kind decides its status and
// code, the rest is what its sentence names.
type failure struct {
	kind    failureKind
	id      uint64        // of the request
	message string        // of badRequest, when it has more to say than the kind does
	param   string        // the field at fault, where there is one
	code    string        // of badRequest, in the dialect's words
	status  int           // of badRequest, where it is not 400
	model   string        // as requested
	tokens  int           // that the prompt has
	verdict *verdict      // of rateLimited and tooLarge; nil when it was ordered
	wait    time.Duration // that a refused client is told to wait; 0 when it is told nothing
}

type failureKind int

const (
	noFailure      failureKind = iota
	badJSON                    // the body is no JSON
	badRequest                 // a field is missing, wrong or unknown
	badMarker                  // a marker in the prompt is not known
	bodyTooLarge               // more than the provider takes
	noCredential               // none was sent
	badCredential              // a wrong one was sent
	forbidden                  // a right one that may not
	noModel                    // the model is unknown
	noRoute                    // the path is unknown; message is "METHOD PATH"
	badMethod                  // the path is known
	tooLong                    // more tokens than the model takes
	blocked                    // a filter refused the prompt
	rateLimited                // wait, and try again
	tooLarge                   // over the limit all by itself
	dayUsedUp                  // the day's quota is used up
	noCredit                   // the credit is used up
	unpaid                     // the same, said with the status that there is for it
	spendLimit                 // a limit of money that somebody set is reached
	timedOut                   // the provider waited too long for something
	conflict                   // two things met that should not
	serverError                // the provider's own fault
	badGateway                 // a page of the proxy before it
	unavailable                // down, or short of room
	gatewayTimeout             // the one behind did not answer
	overloaded                 // as unavailable, with a status of its own at Anthropic
)

// transient reports whether it is the provider's trouble: such an error takes
// the time of an answer, every other is found at the door.
func (k failureKind) transient() bool { return k >= timedOut }
