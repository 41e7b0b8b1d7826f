package simulator

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// anthropic speaks Anthropic's Messages API as its reference describes it:
// "Create a Message", "List Models", "Errors", and the headers of "Rate limits".
type anthropic struct{}

func (anthropic) name() string { return "anthropic" }

func (anthropic) match(r *http.Request, path string) operation {
	switch {
	case path == "/v1/messages":
		return opGenerate.orMethod(r)
	case path == "/v1/models" || strings.HasPrefix(path, "/v1/models/"):
		// OpenAI has this path too.
		if len(r.Header[versionHeader]) > 0 {
			return opLookup.orMethod(r)
		}
	}
	return opNone
}

// versionHeader is anthropic-version, as net/http writes it.
const versionHeader = "Anthropic-Version"

// credential is a key, or an OAuth token.
func (anthropic) credential(r *http.Request) string {
	if key := r.Header.Get("X-Api-Key"); key != "" {
		return key
	}
	return bearer(r)
}

// anthropicModels are those that a list of models names; any other name is
// answered too, unless it holds "no-such".
var anthropicModels = [...]string{"claude-opus-4-5", "claude-sonnet-4-5", "claude-haiku-4-5"}

func (anthropic) appendLookup(b []byte, path string) ([]byte, *failure) {
	if _, id, single := strings.Cut(path, "/models/"); single {
		if id == "" || isUnknownModel(id) {
			return nil, &failure{kind: noModel, model: id}
		}
		return appendAnthropicModel(b, id), nil
	}
	b = append(b, `{"data":[`...)
	for i, id := range anthropicModels {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendAnthropicModel(b, id)
	}
	return append(b, `],"has_more":false,"first_id":"claude-opus-4-5","last_id":"claude-haiku-4-5"}`...), nil
}

func appendAnthropicModel(b []byte, id string) []byte {
	b = append(b, `{"type":"model","id":`...)
	b = appendString(b, strings.ToValidUTF8(id, "\uFFFD"))
	b = append(b, `,"display_name":`...)
	b = appendString(b, strings.ToValidUTF8(id, "\uFFFD"))
	return append(b, `,"created_at":"2025-10-01T00:00:00Z"}`...)
}

var anthropicOrganization = []string{"org-simulator"}

func (anthropic) headers(h http.Header, id uint64, _ time.Duration) {
	h["Request-Id"] = []string{requestID(id)}
	h["Anthropic-Organization-Id"] = anthropicOrganization
}

func (anthropic) rateHeaders(h http.Header, v *verdict) {
	for _, l := range [...]struct {
		limit, remaining, reset string
		level                   level
	}{
		{"Anthropic-Ratelimit-Requests-Limit", "Anthropic-Ratelimit-Requests-Remaining", "Anthropic-Ratelimit-Requests-Reset", v.requests},
		{"Anthropic-Ratelimit-Tokens-Limit", "Anthropic-Ratelimit-Tokens-Remaining", "Anthropic-Ratelimit-Tokens-Reset", v.tokens},
	} {
		if l.level.limit == 0 {
			continue
		}
		h[l.limit] = []string{strconv.Itoa(l.level.limit)}
		h[l.remaining] = []string{strconv.Itoa(l.level.remaining)}
		h[l.reset] = []string{time.Now().Add(ceil(l.level.reset, time.Second)).UTC().Format(time.RFC3339)}
	}
}

func (anthropic) retryHeaders(h http.Header, wait time.Duration) { h["Retry-After"] = retryAfter(wait) }
