package simulator

import (
	"encoding/json"
	"net/http"
	"time"
)

// dialect is one provider's way of speaking: what a request looks like, and
// what an answer and an error look like. Everything else (limits, faults,
// counting, time) is the same for all. A dialect holds no state.
//
// To add one, write its file and list it in dialects. Where several share a
// path, the first one whose match claims a request speaks, so the more
// particular one is listed first; what only the body tells stands in shared.go.
type dialect interface {
	// name is the prefix of a path that picks this dialect, and its name in the
	// stats.
	name() string
	// match says what r asks for, by its method, its headers and path, which is
	// r's without a dialect's prefix; opNone when it is not for this dialect. It
	// does not read the body.
	match(r *http.Request, path string) operation
	// credential is the one that r carries where this provider wants it, empty
	// for none.
	credential(r *http.Request) string
	// parse reads the request that path, r's headers and body make. It sets
	// everything but op and key. The body is reused afterwards: nothing may point
	// into it.
	parse(r *http.Request, path string, op operation, body []byte) (request, *failure)

	// appendAnswer appends the body of a 200. id is new with every call.
	appendAnswer(b []byte, rq *request, a *answer, id uint64) []byte
	// appendLookup appends the body of a 200 to an opLookup.
	appendLookup(b []byte, path string) ([]byte, *failure)
	// appendFailure appends the body of an error, and returns its status.
	appendFailure(b []byte, f *failure) (body []byte, status int)

	// headers sets what the provider sends with every answer and error.
	headers(h http.Header, id uint64, took time.Duration)
	// rateHeaders sets what the provider tells about its limits, which may be
	// none.
	rateHeaders(h http.Header, v *verdict)
	// retryHeaders tells a refused client to wait that long, more than 0. Those
	// who say it in the body find it in failure.wait.
	retryHeaders(h http.Header, wait time.Duration)
}

// dialects are those that the simulator speaks, in the order in which they are
// asked whose a request is.
var dialects = [...]dialect{gemini{}, anthropic{}, openAI{}, mistral{}}

// The places of two of them.
const (
	openAIPlace  = 2 // speaks to whatever no dialect claims
	mistralPlace = 3
)

// operation is what a request asks for.
type operation int

const (
	opNone     operation = iota
	opGenerate           // a completion
	opEmbed              // embeddings
	opLookup             // the list of models, or one of them
	opMethod             // a path of this dialect, with a method it has not
)

// orMethod is op if the method is the one that it takes, else opMethod.
func (op operation) orMethod(r *http.Request) operation {
	want := http.MethodPost
	if op == opLookup {
		want = http.MethodGet
	}
	if r.Method != want {
		return opMethod
	}
	return op
}

// request is what was asked, in no dialect.
type request struct {
	op     operation
	model  string
	prompt string // the text of all user messages, joined by newlines
	key    key    // of prompt

	promptTokens int // of all messages
	maxTokens    int // 0 is no limit

	json   bool            // the answer is a JSON object,
	schema json.RawMessage // that fits this, where there is one
	tool   *tool           // must be called; nil for none

	inputs []string // of opEmbed
	base64 bool     // vectors in base64 instead of numbers
}

// tool is a function that the model may call.
type tool struct {
	name   string
	schema json.RawMessage // of its arguments
}
