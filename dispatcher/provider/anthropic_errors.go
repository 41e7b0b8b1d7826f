package provider

import (
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/promptforge/promptforge/job"
)

// readAnthropicError finds the error in a body. The zero error where there is
// none. Source: Anthropic's API reference, "Errors", "Error shapes".
func readAnthropicError(body []byte) *apiError {
	var w struct {
		Error struct {
			Type    string         `json:"type"`
			Message string         `json:"message"`
			Details jsontext.Value `json:"details"`
		} `json:"error"`
		RequestID jsontext.Value `json:"request_id"`
	}
	if json.Unmarshal(body, &w, json.JoinOptions(lenient...)) != nil {
		// A gateway's own error.
		return readOpenAIError(body)
	}
	if w.Error.Message == "" && w.Error.Type == "" {
		return readOpenAIError(body)
	}
	e := &apiError{message: w.Error.Message, code: w.Error.Type, kind: w.Error.Type, requestID: plain(w.RequestID)}
	var details struct {
		ErrorCode string `json:"error_code"`
	}
	if w.Error.Details.Kind() == '{' && json.Unmarshal(w.Error.Details, &details, json.JoinOptions(lenient...)) == nil {
		e.details = []string{details.ErrorCode}
	}
	return e
}

// anthropicStatuses are the statuses of the error types, for errors that came
// with a success, as those of streams do. Source: "Errors", "HTTP errors".
var anthropicStatuses = map[string]int{
	"invalid_request_error": 400,
	"authentication_error":  401,
	"billing_error":         402,
	"permission_error":      403,
	"not_found_error":       404,
	"conflict_error":        409,
	"request_too_large":     413,
	"rate_limit_error":      429,
	"api_error":             500,
	"timeout_error":         504,
	"overloaded_error":      529,
}

func anthropicStatus(found *apiError) int {
	if s, ok := anthropicStatuses[found.kind]; ok {
		return s
	}
	return http.StatusInternalServerError
}

// anthropicVerdicts is read from the top; what is not here is as everywhere.
// Source: "Errors" and "Rate limits" in Anthropic's documentation, and bodies
// as users report them (see the tests).
var anthropicVerdicts = []verdict{
	{Fatal, job.CodeServerError, faultCredit, says(400, "credit balance is too low", "specified api usage limits", "specified workspace api usage limits")},
	{Fatal, job.CodeServerError, faultCredit, says(429, "enforced_spend_limit_reached", "reached your api usage limits", "spend limit")},
	{Fatal, job.CodeServerError, faultCredit, says(403, "billing_error")},
	{UsedUp, job.CodeRateLimit, faultOther, says(429, "daily rate limit", "tokens per day", "requests per day", "per-day rate limit")},
	{Fatal, job.CodeServerError, faultModel, says(404, "not_found_error")},
	{Terminal, job.CodeContextLength, faultOther, says(400, "prompt is too long", "input is too long", "exceed context limit", "context window", "model_context_window_exceeded")},
	{Terminal, job.CodeContextLength, faultOther, says(413, "request_too_large")},
	{Terminal, job.CodeContentFiltered, faultOther, says(400, "output blocked by content filtering policy", "content filtering policy")},
}
