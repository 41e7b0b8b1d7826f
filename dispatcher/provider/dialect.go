package provider

import (
	"net/http"

	"github.com/promptforge/promptforge/job"
)

// Dialect is one provider's way of speaking. Its methods are pure.
type Dialect interface {
	// Name is openai, anthropic, gemini or mistral.
	Name() string
	// Request makes the body of a request and the path that follows the
	// endpoint's base URL. An error is a sentence that names what the dialect
	// lacks; nothing is sent then.
	Request(e *Endpoint, model string, p *job.Prompt) (path string, body []byte, err error)
	// Canary is a request that any healthy endpoint answers, as cheap as can be.
	Canary(e *Endpoint, model string) (path string, body []byte)
	// Authorize puts the endpoint's credential into a request's headers.
	Authorize(e *Endpoint, h http.Header)
	// Answer says what a whole answer means. Latency and Response are set by
	// the Client.
	Answer(e *Endpoint, status int, h http.Header, body []byte) Answer
}
