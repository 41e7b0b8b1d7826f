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

func (openAI) match(r *http.Request) operation {
	path := r.URL.Path
	var op operation
	method := http.MethodPost
	switch {
	case path == "/v1/chat/completions":
		op = opGenerate
	case path == "/v1/embeddings":
		op = opEmbed
	case path == "/v1/models", strings.HasPrefix(path, "/v1/models/"):
		op, method = opLookup, http.MethodGet
	default:
		return opNone
	}
	if r.Method != method {
		return opMethod
	}
	return op
}

func (openAI) credential(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && token != ""
}

// openAIModels are those that a list of models names; any other name is
// answered too, unless it begins with "no-such".
var openAIModels = [...]string{"gpt-4o", "gpt-4o-mini", "text-embedding-3-small"}

func (openAI) appendLookup(b []byte, r *http.Request) ([]byte, *failure) {
	id, single := strings.CutPrefix(r.URL.Path, "/v1/models/")
	if single {
		if id == "" || strings.HasPrefix(id, "no-such") {
			return nil, &failure{kind: noModel, model: id, param: "model"}
		}
		return appendOpenAIModel(b, id), nil
	}
	b = append(b, `{"object":"list","data":[`...)
	for i, id := range openAIModels {
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
	request := make([]byte, 0, 36)
	request = append(request, "req_"...)
	request = appendHex64(appendHex64(request, splitmix(id)), id)
	h["X-Request-Id"] = []string{string(request)}
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

// retryHeaders rounds up: whoever waits as long as it is told must pass.
func (openAI) retryHeaders(h http.Header, wait time.Duration) {
	h["Retry-After"] = []string{strconv.FormatInt(int64(ceil(wait, time.Second)/time.Second), 10)}
	h["Retry-After-Ms"] = []string{strconv.FormatInt(ceil(wait, time.Millisecond).Milliseconds(), 10)}
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
