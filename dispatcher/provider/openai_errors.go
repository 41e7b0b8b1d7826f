package provider

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/promptforge/promptforge/job"
)

// readOpenAIError finds the error in a body of OpenAI or of those who speak
// like it: under "error", or, as at Mistral and vLLM's older servers, at the
// top; {"error":"text"} (Ollama), {"detail":…} (FastAPI) and {"message":"text"}
// (gateways) are taken too. The zero error where there is none.
// Source: OpenAI's error codes guide; vLLM's ErrorResponse; OpenRouter's
// errors; Mistral's error bodies as users report them.
func readOpenAIError(body []byte) *apiError {
	type wire struct {
		Message   jsontext.Value `json:"message"`
		Type      jsontext.Value `json:"type"`
		Code      jsontext.Value `json:"code"` // a string at OpenAI, a number at vLLM and OpenRouter
		Detail    jsontext.Value `json:"detail"`
		RequestID jsontext.Value `json:"request_id"`
		Raw       jsontext.Value `json:"raw_status_code"`
	}
	var outer struct {
		wire
		Error jsontext.Value `json:"error"`
	}
	opts := json.JoinOptions(lenient...)
	if json.Unmarshal(body, &outer, opts) != nil {
		return &apiError{}
	}
	w := outer.wire
	switch outer.Error.Kind() {
	case '{':
		var inner wire
		if json.Unmarshal(outer.Error, &inner, opts) == nil {
			inner.RequestID, w = w.RequestID, inner
		}
	case '"':
		w = wire{Message: outer.Error}
	}
	e := &apiError{message: plain(w.Message), code: plain(w.Code), kind: plain(w.Type), requestID: plain(w.RequestID)}
	if e.message == "" {
		e.message = plain(w.Detail)
	}
	e.status = statusNumber(firstOf(plain(w.Raw), e.code))
	return e
}

// plain is a JSON value as text: a string's content, nothing for null, and any
// other value as it stands.
func plain(v jsontext.Value) string {
	switch v.Kind() {
	case 'n', 0:
		return ""
	case '"':
		s, _ := jsontext.AppendUnquote(nil, v)
		return string(s)
	default:
		return string(v)
	}
}

// statusNumber reads a status that a body names; 0 where it is none.
func statusNumber(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 400 || n > 599 {
		return 0
	}
	return n
}

// openAIStatuses are the statuses that errors in a success would have had.
// Source: OpenAI's error codes guide.
var openAIStatuses = []struct {
	word   string
	status int
}{
	{"rate_limit", 429},
	{"quota", 429},
	{"authentication", 401},
	{"invalid_api_key", 401},
	{"permission", 403},
	{"model_not_found", 404},
	{"context_length_exceeded", 400},
	{"invalid_request", 400},
	{"overloaded", 529},
}

// openAIStatus is the status that an error stands for which came with a
// success; 500 where it does not tell.
func openAIStatus(found *apiError) int {
	if found.status != 0 {
		return found.status
	}
	for _, s := range openAIStatuses {
		if strings.Contains(strings.ToLower(found.code), s.word) || strings.Contains(strings.ToLower(found.kind), s.word) {
			return s.status
		}
	}
	return http.StatusInternalServerError
}

// tooLong is how servers say that a prompt is too long for the model.
// Source: OpenAI (context_length_exceeded), vLLM ("maximum context length"),
// llama.cpp (exceed_context_size_error), LM Studio ("greater than the context
// length"), Together ("longer than the model's context length"), Mistral ("too
// large for model with … maximum context length").
var tooLong = []string{
	"context_length_exceeded", "exceed_context_size_error", "model_context_window_exceeded",
	"maximum context length", "context window", "context size", "context length", "n_ctx",
}

// spentOpenAI are the names of an account that is spent. Waiting does not mend
// it. Source: OpenAI's error codes guide and its help pages on usage and spend
// limits.
var spentOpenAI = []string{
	"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "credit_balance_exhausted",
	"organization_usage_limit_exceeded", "organization_spend_limit_exceeded", "project_spend_limit_exceeded",
	"exceeded your current quota",
}

// openAIVerdicts is read from the top.
var openAIVerdicts = []verdict{
	{Fatal, job.CodeServerError, faultCredit, says(429, spentOpenAI...)},
	// Groq's way of saying "Request too large".
	{TooLarge, job.CodeRateLimit, faultOther, says(413, "tokens per minute", "(tpm)")},
	{UsedUp, job.CodeRateLimit, faultOther, says(429, "requests per day", "tokens per day", "(rpd)", "(tpd)", "free-models-per-day")},
	{Fatal, job.CodeServerError, faultModel, says(404, "model_not_found", "notfounderror", "does not exist", "try pulling it first", "deploymentnotfound")},
	{Fatal, job.CodeServerError, faultModel, says(400, "model_not_found", "invalid_model", "is not a valid model id")},
	{Terminal, job.CodeContextLength, faultOther, says(400, tooLong...)},
	{Terminal, job.CodeContextLength, faultOther, says(422, tooLong...)},
	// As llama.cpp's server said it for a while.
	{Terminal, job.CodeContextLength, faultOther, says(500, "exceed_context_size_error")},
	// llama.cpp's server, of a model that cannot see or hear: no try mends it.
	{Terminal, job.CodeInvalidRequest, faultOther, says(500, "image input is not supported", "audio input is not supported", "video input is not supported")},
	{Terminal, job.CodeContentFiltered, faultOther, says(400, "content_filter", "content_policy_violation", "content management policy")},
}
