package job

import (
	"strconv"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxMessageBytes bounds the message of an error record.
const MaxMessageBytes = 2 << 10

// The codes of error records, beside those of lines that cannot be used.
const (
	CodeInvalidRequest  = "invalid_request"
	CodeContentFiltered = "content_filtered"
	CodeContextLength   = "context_length_exceeded"
	CodeTimeout         = "timeout"
	CodeServerError     = "server_error"
	CodeRateLimit       = "rate_limit_exceeded"
	CodeBadResponse     = "bad_response"
)

// Result is a prompt's answer, in the order of its public line.
type Result struct {
	PromptID         PromptID
	Text             string
	Model            string // as the provider named it
	PromptTokens     *int64 // nil where the provider reports none
	CompletionTokens *int64
	TokensUsed       *int64 // both together, as reported
	FinishReason     string // stop, length, content_filter, tool_calls or other
	Attempts         int    // requests sent, refusals for the rate left out
	LatencyMS        int64  // of the request that was answered
	ToolCalls        jsontext.Value
	Metadata         jsontext.Value
}

// AppendJSON appends the public line without its line break.
func (r *Result) AppendJSON(b []byte) []byte {
	b = r.PromptID.AppendJSON(append(b, `{"prompt_id":`...))
	b = appendString(append(b, `,"result":`...), r.Text)
	b = appendString(append(b, `,"model":`...), r.Model)
	b = appendCount(append(b, `,"tokens_used":`...), r.TokensUsed)
	b = appendCount(append(b, `,"prompt_tokens":`...), r.PromptTokens)
	b = appendCount(append(b, `,"completion_tokens":`...), r.CompletionTokens)
	b = appendString(append(b, `,"finish_reason":`...), r.FinishReason)
	b = strconv.AppendInt(append(b, `,"attempts":`...), int64(r.Attempts), 10)
	b = strconv.AppendInt(append(b, `,"latency_ms":`...), r.LatencyMS, 10)
	b = appendRaw(b, `,"tool_calls":`, r.ToolCalls)
	b = appendRaw(b, `,"metadata":`, r.Metadata)
	return append(b, '}')
}

// Failure is why a prompt has no answer, in the order of its public line.
type Failure struct {
	PromptID PromptID
	Code     string
	Attempts int    // requests sent, refusals for the rate left out; 0: never sent
	Message  string // cut to MaxMessageBytes
	Line     int64  // of a line that could not be used; 0 for any other failure
	Metadata jsontext.Value
}

// AppendJSON appends the public line without its line break.
func (f *Failure) AppendJSON(b []byte) []byte {
	b = f.PromptID.AppendJSON(append(b, `{"prompt_id":`...))
	b = appendString(append(b, `,"error":`...), f.Code)
	b = strconv.AppendInt(append(b, `,"attempts":`...), int64(f.Attempts), 10)
	b = appendString(append(b, `,"message":`...), cut(f.Message, MaxMessageBytes))
	if f.Line > 0 {
		b = strconv.AppendInt(append(b, `,"line":`...), f.Line, 10)
	}
	b = appendRaw(b, `,"metadata":`, f.Metadata)
	return append(b, '}')
}

// UnusableLine is the outcome of a line that cannot be used.
func UnusableLine(line int64, e *LineError) *Outcome {
	f := Failure{PromptID: e.ID, Code: e.Code, Message: e.Message, Line: line}
	return &Outcome{Line: line, Failed: true, Public: f.AppendJSON(nil)}
}

func appendCount(b []byte, n *int64) []byte {
	if n == nil {
		return append(b, "null"...)
	}
	return strconv.AppendInt(b, *n, 10)
}

func appendRaw(b []byte, key string, v jsontext.Value) []byte {
	if v == nil {
		return b
	}
	return append(append(b, key...), v...)
}

// cut shortens s to at most n bytes, at a rune's edge.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
