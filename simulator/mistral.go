package simulator

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// mistral speaks Mistral's API as its reference describes it: "Chat Completion
// API", "Models", and the errors and headers of answers seen from it. Without
// the prefix /mistral its route is OpenAI's (shared.go).
type mistral struct{}

func (mistral) name() string { return "mistral" }

func (mistral) match(r *http.Request, path string) operation {
	path = strings.TrimPrefix(path, "/v1")
	switch {
	case path == "/chat/completions":
		return opGenerate.orMethod(r)
	case path == "/models", strings.HasPrefix(path, "/models/"):
		return opLookup.orMethod(r)
	}
	return opNone
}

func (mistral) credential(r *http.Request) string { return bearer(r) }

var mistralNames = [...]string{"mistral-large-latest", "mistral-small-latest", "codestral-latest", "magistral-medium-latest"}

func (mistral) appendLookup(b []byte, path string) ([]byte, *failure) {
	return appendModels(b, path, mistralNames[:])
}

func (mistral) headers(h http.Header, id uint64, _ time.Duration) {
	h["Mistral-Correlation-Id"] = []string{requestID(id)}
}

func (mistral) rateHeaders(h http.Header, v *verdict) {
	if v.requests.limit > 0 {
		h["X-Ratelimit-Limit-Req-Minute"] = []string{strconv.Itoa(v.requests.limit)}
		h["X-Ratelimit-Remaining-Req-Minute"] = []string{strconv.Itoa(v.requests.remaining)}
	}
	if v.tokens.limit > 0 {
		h["X-Ratelimit-Limit-Tokens-Minute"] = []string{strconv.Itoa(v.tokens.limit)}
		h["X-Ratelimit-Remaining-Tokens-Minute"] = []string{strconv.Itoa(v.tokens.remaining)}
		h["X-Ratelimit-Tokens-Query-Cost"] = []string{strconv.Itoa(v.tokensAsked)}
	}
}

func (mistral) retryHeaders(h http.Header, wait time.Duration) { h["Retry-After"] = retryAfter(wait) }
