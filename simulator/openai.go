package simulator

import (
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// openAI speaks the OpenAI API as its reference describes it: "Create chat
// completion", "Create embeddings", "List models", "Retrieve model", and the
// headers of "Debugging requests".
type openAI struct{}

func (openAI) name() string { return "openai" }

// match takes the paths with and without /v1: a base URL should end in it, and
// not everybody's does.
func (openAI) match(r *http.Request, path string) operation {
	path = strings.TrimPrefix(path, "/v1")
	switch {
	case path == "/chat/completions":
		return opGenerate.orMethod(r)
	case path == "/embeddings":
		return opEmbed.orMethod(r)
	case path == "/models", strings.HasPrefix(path, "/models/"):
		return opLookup.orMethod(r)
	}
	return opNone
}

func (openAI) credential(r *http.Request) string { return bearer(r) }

// bearer is the token of the Authorization header, empty for none.
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

// openAIModels are those that a list of models names; any other name is
// answered too, unless it holds "no-such".
var openAIModels = [...]string{"gpt-4o", "gpt-4o-mini", "text-embedding-3-small"}

func (openAI) appendLookup(b []byte, path string) ([]byte, *failure) {
	return appendModels(b, path, openAIModels[:])
}

// appendModels is the list of models, or one of them, as OpenAI and Mistral
// have it.
func appendModels(b []byte, path string, all []string) ([]byte, *failure) {
	_, id, single := strings.Cut(path, "/models/")
	if single {
		if id == "" || isUnknownModel(id) {
			return nil, &failure{kind: noModel, model: id, param: "model"}
		}
		return appendOpenAIModel(b, id), nil
	}
	b = append(b, `{"object":"list","data":[`...)
	for i, id := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendOpenAIModel(b, id)
	}
	return append(b, `]}`...), nil
}

func appendOpenAIModel(b []byte, id string) []byte {
	b = append(b, `{"id":`...)
	b = appendString(b, strings.ToValidUTF8(id, "\uFFFD"))
	return append(b, `,"object":"model","created":1715367049,"owned_by":"simulator"}`...)
}

var openAIVersion = []string{"2020-10-01"}

func (openAI) headers(h http.Header, id uint64, took time.Duration) {
	h["Openai-Version"] = openAIVersion
	h["Openai-Processing-Ms"] = []string{strconv.FormatInt(took.Milliseconds(), 10)}
	h["X-Request-Id"] = []string{requestID(id)}
}

// requestID is the name of a request in headers and errors.
func requestID(id uint64) string {
	name := make([]byte, 0, 36)
	name = append(name, "req_"...)
	return string(appendHex64(appendHex64(name, splitmix(id)), id))
}

func (openAI) rateHeaders(h http.Header, v *verdict) {
	if v.requests.limit > 0 {
		h["X-Ratelimit-Limit-Requests"] = []string{strconv.Itoa(v.requests.limit)}
		h["X-Ratelimit-Remaining-Requests"] = []string{strconv.Itoa(v.requests.remaining)}
		h["X-Ratelimit-Reset-Requests"] = []string{openAIDuration(v.requests.reset)}
	}
	if v.tokens.limit > 0 {
		h["X-Ratelimit-Limit-Tokens"] = []string{strconv.Itoa(v.tokens.limit)}
		h["X-Ratelimit-Remaining-Tokens"] = []string{strconv.Itoa(v.tokens.remaining)}
		h["X-Ratelimit-Reset-Tokens"] = []string{openAIDuration(v.tokens.reset)}
	}
}

func (openAI) retryHeaders(h http.Header, wait time.Duration) {
	h["Retry-After"] = retryAfter(wait)
	h["Retry-After-Ms"] = []string{strconv.FormatInt(ceil(wait, time.Millisecond).Milliseconds(), 10)}
}

// retryAfter rounds up: whoever waits as long as it is told must pass.
func retryAfter(wait time.Duration) []string {
	return []string{strconv.FormatInt(int64(ceil(wait, time.Second)/time.Second), 10)}
}

// openAIDuration is the form of x-ratelimit-reset-*: "12ms", "1s", "6m0s".
func openAIDuration(d time.Duration) string { return ceil(d, time.Millisecond).String() }

// ceil rounds d up to a multiple of unit.
func ceil(d, unit time.Duration) time.Duration { return (d + unit - 1) / unit * unit }

func appendHex64(b []byte, v uint64) []byte {
	var raw [8]byte
	for i := range raw {
		raw[i] = byte(v >> (56 - 8*i))
	}
	return hex.AppendEncode(b, raw[:])
}
