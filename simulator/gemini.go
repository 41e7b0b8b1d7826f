package simulator

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// gemini speaks the Gemini API as its reference describes it: "Generating
// content", "Models", and the error model of google.rpc.Status. Its bodies are
// indented, as Google's are.
type gemini struct{}

func (gemini) name() string { return "gemini" }

const generateSuffix = ":generateContent"

func (gemini) match(r *http.Request, path string) operation {
	model, ok := geminiModel(path)
	switch {
	case !ok:
		return opNone
	case strings.HasSuffix(model, generateSuffix):
		return opGenerate.orMethod(r)
	case strings.HasPrefix(path, "/v1/") || strings.Contains(model, ":"):
		// A model of OpenAI's, or a method that is not spoken.
		return opNone
	}
	return opLookup.orMethod(r)
}

// geminiModel is what follows the version and /models in a path, without its
// slash.
func geminiModel(path string) (model string, ok bool) {
	for _, version := range [...]string{"/v1beta", "/v1alpha", "/v1"} {
		if rest, found := strings.CutPrefix(path, version+"/models"); found && (rest == "" || rest[0] == '/') {
			return strings.TrimPrefix(rest, "/"), true
		}
	}
	return "", false
}

// credential is a key in the header or the query, or an OAuth token.
func (gemini) credential(r *http.Request) string {
	if key := r.Header.Get("X-Goog-Api-Key"); key != "" {
		return key
	}
	return cmp.Or(r.URL.Query().Get("key"), bearer(r))
}

// geminiModels are those that a list of models names; any other name is
// answered too, unless it holds "no-such".
var geminiModels = [...]string{"gemini-2.5-pro", "gemini-2.5-flash", "gemini-2.5-flash-lite"}

func (gemini) appendLookup(b []byte, path string) ([]byte, *failure) {
	id, _ := geminiModel(path)
	if isUnknownModel(id) {
		return nil, &failure{kind: noModel, model: id}
	}
	if id != "" {
		return indent(b, appendGeminiModel(nil, id)), nil
	}
	list := []byte(`{"models":[`)
	for i, id := range geminiModels {
		if i > 0 {
			list = append(list, ',')
		}
		list = appendGeminiModel(list, id)
	}
	return indent(b, append(list, `]}`...)), nil
}

func appendGeminiModel(b []byte, id string) []byte {
	id = strings.ToValidUTF8(id, "\uFFFD")
	b = append(b, `{"name":`...)
	b = appendString(b, "models/"+id)
	b = append(b, `,"version":"001","displayName":`...)
	b = appendString(b, id)
	return append(b, `,"inputTokenLimit":1048576,"outputTokenLimit":65536,"supportedGenerationMethods":["generateContent"]}`...)
}

// indent appends JSON as Google prints it.
func indent(b, compact []byte) []byte {
	out := bytes.NewBuffer(b)
	_ = json.Indent(out, compact, "", "  ") // ours is JSON
	out.WriteByte('\n')
	return out.Bytes()
}

func (gemini) headers(h http.Header, _ uint64, took time.Duration) {
	h["Server-Timing"] = []string{"gfet4t7; dur=" + strconv.FormatInt(took.Milliseconds(), 10)}
}

// rateHeaders does nothing: Google tells no limits in headers.
func (gemini) rateHeaders(http.Header, *verdict) {}

// retryHeaders does nothing: the body has a RetryInfo.
func (gemini) retryHeaders(http.Header, time.Duration) {}
