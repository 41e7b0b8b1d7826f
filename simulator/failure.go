package simulator

// failure is an error answer in no dialect: the kind decides its status and
// code, the rest is what its sentence names.
type failure struct {
	kind    failureKind
	message string   // of badRequest, when it has more to say than the kind does
	param   string   // the field at fault, where there is one
	code    string   // of badRequest, in the dialect's words
	model   string   // as requested
	tokens  int      // that the prompt has
	verdict *verdict // of rateLimited and tooLarge; nil when a marker ordered it
}

type failureKind int

const (
	noFailure     failureKind = iota
	badJSON                   // the body is no JSON
	badRequest                // a field is missing or wrong
	badMarker                 // a marker in the prompt is not known
	bodyTooLarge              // more than maxBody
	noCredential              // none was sent
	badCredential             // a wrong one was sent
	forbidden                 // a right one that may not
	noModel                   // the model is unknown
	noRoute                   // the path is unknown; message is "METHOD PATH"
	badMethod                 // the path is known
	tooLong                   // more tokens than the model takes
	rateLimited               // wait, and try again
	tooLarge                  // over the limit all by itself
	noCredit                  // the credit is used up
	serverError               // the provider's own fault
	unavailable               // overloaded
)

// transient reports whether it is the provider's trouble: such an error takes
// the time of an answer, every other is found at the door.
func (k failureKind) transient() bool { return k == serverError || k == unavailable }
