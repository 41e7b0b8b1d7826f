package provider

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/promptforge/promptforge/job"
)

// openAIError is the error object of OpenAI and of those who speak like it.
// Source: OpenAI's error codes guide; vLLM's ErrorResponse; OpenRouter's errors.
type openAIError struct {
	Message string         `json:"message"`
	Type    string         `json:"type"`
	Code    jsontext.Value `json:"code"` // a string at OpenAI, a number at vLLM and OpenRouter
}

// code is the error's code as text.
func (e *openAIError) code() string {
	if e.Code.Kind() == 'n' {
		return ""
	}
	return strings.Trim(string(e.Code), `"`)
}

// status is the HTTP status that the error carries as its code; 500 if none.
func (e *openAIError) status() int {
	var n int
	if _, err := fmt.Sscanf(e.code(), "%d", &n); err != nil || n < 400 || n > 599 {
		return http.StatusInternalServerError
	}
	return n
}

// readOpenAIError finds the error in a body: under "error", or, as at vLLM's
// older servers, at the top; {"error":"text"} (Ollama) and {"detail":…}
// (FastAPI) are taken too. The zero error where there is none.
func readOpenAIError(body []byte) openAIError {
	var outer struct {
		Error   jsontext.Value `json:"error"`
		Detail  jsontext.Value `json:"detail"`
		Message string         `json:"message"`
		Type    string         `json:"type"`
		Code    jsontext.Value `json:"code"`
	}
	opts := json.JoinOptions(lenient...)
	if json.Unmarshal(body, &outer, opts) != nil {
		return openAIError{}
	}
	var e openAIError
	switch {
	case outer.Error.Kind() == '{' && json.Unmarshal(outer.Error, &e, opts) == nil:
		return e
	case outer.Error.Kind() == '"':
		text, _ := contentText(outer.Error)
		return openAIError{Message: text}
	case outer.Message != "":
		return openAIError{Message: outer.Message, Type: outer.Type, Code: outer.Code}
	case outer.Detail != nil:
		return openAIError{Message: strings.Trim(string(outer.Detail), `"`)}
	}
	return openAIError{}
}

// verdict is a row of the table that says what an error means.
type verdict struct {
	class Class
	code  string
	when  func(status int, code, message string) bool
}

func statusIs(want ...int) func(int, string, string) bool {
	return func(status int, _, _ string) bool {
		for _, w := range want {
			if status == w {
				return true
			}
		}
		return false
	}
}

func says(status int, words ...string) func(int, string, string) bool {
	return func(s int, code, message string) bool {
		if s != status {
			return false
		}
		for _, w := range words {
			if code == w || strings.Contains(message, w) {
				return true
			}
		}
		return false
	}
}

// openAIVerdicts is read from the top; the first row that fits decides.
// Messages are compared in lower case.
var openAIVerdicts = []verdict{
	// A spent account answers like a rate limit, and waiting won't mend it.
	{Fatal, job.CodeServerError, says(429, "insufficient_quota", "billing_hard_limit_reached", "exceeded your current quota")},
	{TooLarge, job.CodeRateLimit, says(429, "request too large")},
	{UsedUp, job.CodeRateLimit, says(429, "requests per day", "tokens per day", "(rpd)", "(tpd)")},
	{SlowDown, job.CodeRateLimit, statusIs(429)},
	{Fatal, job.CodeServerError, statusIs(401, 402, 403)},
	{Fatal, job.CodeServerError, says(404, "model_not_found", "NotFoundError", "does not exist", "try pulling it first")},
	{Fatal, job.CodeServerError, says(400, "model_not_found", "invalid_model")},
	// Redirects are not followed: they would take the credential elsewhere.
	{Fatal, job.CodeServerError, func(s int, _, _ string) bool { return s >= 300 && s < 400 }},
	{Terminal, job.CodeContextLength, says(400, "context_length_exceeded", "maximum context length", "context window", "context size")},
	{Terminal, job.CodeContentFiltered, says(400, "content_filter", "content_policy_violation", "content management policy")},
	{Terminal, job.CodeContextLength, statusIs(413)},
	{Transient, job.CodeTimeout, statusIs(408, 504)},
	{Transient, job.CodeServerError, statusIs(409, 425)},
	{Terminal, job.CodeInvalidRequest, func(s int, _, _ string) bool { return s >= 400 && s < 500 }},
	{Transient, job.CodeServerError, func(int, string, string) bool { return true }},
}

func classifyOpenAI(e *Endpoint, a *Answer, status int, h http.Header, body []byte) {
	found := readOpenAIError(body)
	code, message := found.code(), strings.ToLower(found.Message)
	for _, v := range openAIVerdicts {
		if v.when(status, code, message) || found.Type != "" && v.when(status, found.Type, message) {
			a.Class, a.Code = v.class, v.code
			break
		}
	}
	a.Message = found.Message
	if a.Message == "" {
		a.Message = fmt.Sprintf("The provider answered %d %s.", status, http.StatusText(status))
	}
	if e.Key != "" {
		// Some servers quote the key that they refuse.
		a.Message = strings.ReplaceAll(a.Message, e.Key, "…")
	}
	if a.Class == SlowDown || a.Class == UsedUp || a.Class == TooLarge {
		a.RetryAfter = retryAfter(h)
	}
	if a.Class == Fatal {
		a.Message = fatalSentence(e, status, a.Message)
	}
}

// fatalSentence says what an operator can do about a refused credential,
// account or model.
func fatalSentence(e *Endpoint, status int, message string) string {
	switch {
	case status == http.StatusUnauthorized && e.KeyName != "":
		return fmt.Sprintf("%s refused the credential in %s; set %s to a valid key. It said: %s", e.Provider, e.KeyName, e.KeyName, message)
	case status == http.StatusUnauthorized:
		return fmt.Sprintf("%s wants a credential; set one in its configuration. It said: %s", e.Provider, message)
	case status >= 300 && status < 400:
		return fmt.Sprintf("%s redirects (%d), which is not followed; check its base URL.", e.Provider, status)
	case status == http.StatusForbidden:
		// What a 403 says may be about one prompt, and quote it.
		return fmt.Sprintf("%s refused (403 Forbidden).", e.Provider)
	default:
		return fmt.Sprintf("%s refused (%d): %s", e.Provider, status, message)
	}
}
