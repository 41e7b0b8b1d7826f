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
// To add one, write its file and list it in New. Several may share a path, as
// Mistral's does with OpenAI's: match sees the whole request and the first
// dialect that claims it speaks, so the more particular one is listed first.
type dialect interface {
	// match says what r asks for, by its method and path (and headers); opNone
	// when it is not for this dialect. It does not read the body.
	match(r *http.Request) operation
	// credential reports whether r carries one, where this provider wants it.
	credential(r *http.Request) bool
	// parse reads the request that r's path and body make. It sets everything
	// but the key. The body is reused afterwards: nothing may point into it.
	parse(r *http.Request, op operation, body []byte) (request, *failure)

	// appendAnswer appends the body of a 200. id is new with every call.
	appendAnswer(b []byte, rq *request, a *answer, id uint64) []byte
	// appendLookup appends the body of a 200 to an opLookup.
	appendLookup(b []byte, r *http.Request) ([]byte, *failure)
	// appendFailure appends the body of an error, and returns its status.
	appendFailure(b []byte, f *failure) (body []byte, status int)

	// headers sets what the provider sends with every answer and error.
	headers(h http.Header, id uint64, took time.Duration)
	// rateHeaders sets what the provider tells about its limits, which may be
	// none.
	rateHeaders(h http.Header, v *verdict)
	// retryHeaders tells a refused client to wait that long, more than 0.
	retryHeaders(h http.Header, wait time.Duration)
}

// operation is what a request asks for.
type operation int

const (
	opNone     operation = iota
	opGenerate           // a completion
	opEmbed              // embeddings
	opLookup             // the list of models, or one of them
	opMethod             // a path of this dialect, with a method it has not
)

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
