package sdktest

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/openai/openai-go/v3"
	"google.golang.org/genai"

	"github.com/promptforge/promptforge/simulator"
)

// broken are the classes that are no error to an SDK, but no answer either.
var broken = map[string]bool{"garbage": true, "truncated": true, "reset": true, "html": true, "sse_error": true}

// answered are the classes that are answers, and hang, which is nothing.
var answered = map[string]bool{
	"answer": true, "content_filter": true, "refusal": true, "empty": true, "hang": true,
	// An SDK takes these for an answer that has nothing in it.
	"empty_body": true, "error_200": true,
}

// Every class of error is the SDK's own error, with its status and its code.

func TestOpenAIErrorsDecode(t *testing.T) {
	w := start(t, simulator.Config{Headers: true})
	client := w.openai()
	codes := map[string]struct {
		status     int
		kind, code string
	}{
		"400": {400, "invalid_request_error", ""}, "context_length": {400, "invalid_request_error", "context_length_exceeded"},
		"413": {413, "invalid_request_error", ""}, "blocked": {400, "invalid_request_error", "content_policy_violation"},
		"too_large": {429, "tokens", "rate_limit_exceeded"}, "401": {401, "invalid_request_error", "invalid_api_key"},
		"403": {403, "request_forbidden", "unsupported_country_region_territory"}, "unknown_model": {404, "invalid_request_error", "model_not_found"},
		"insufficient_quota": {429, "insufficient_quota", "insufficient_quota"}, "spend_limit": {429, "insufficient_quota", "organization_spend_limit_exceeded"}, "402": {402, "insufficient_quota", "402"},
		"day_quota": {429, "requests", "rate_limit_exceeded"}, "429": {429, "requests", "rate_limit_exceeded"}, "429_silent": {429, "requests", "rate_limit_exceeded"},
		"408": {408, "server_error", ""}, "409": {409, "invalid_request_error", ""}, "500": {500, "server_error", ""}, "502": {502, "", ""},
		"503": {503, "server_error", ""}, "504": {504, "server_error", ""}, "529": {529, "server_error", ""},
	}
	for _, class := range simulator.Classes() {
		if answered[class] {
			continue
		}
		got, err := client.Chat.Completions.New(t.Context(), chat("[[simulate:"+class+"]]"))
		var e *openai.Error
		is := errors.As(err, &e)
		want, known := codes[class]
		switch {
		case broken[class]:
			if err == nil || is {
				t.Errorf("%s: %v, %+v", class, err, got)
			}
		case !known:
			t.Errorf("%s: not in the table", class)
		case !is:
			t.Errorf("%s: %v", class, err)
		case e.StatusCode != want.status || e.Type != want.kind || e.Code != want.code || e.Message == "" && class != "502":
			t.Errorf("%s: %d %q %q %s", class, e.StatusCode, e.Type, e.Code, e.RawJSON())
		case e.Response.Header.Get("X-Request-Id") == "":
			t.Errorf("%s: no x-request-id", class)
		}
	}
}

func TestMistralErrorsDecode(t *testing.T) {
	w := start(t, simulator.Config{Headers: true})
	client := w.mistral()
	statuses := map[string]int{
		"400": 400, "context_length": 400, "413": 413, "blocked": 403, "too_large": 429, "401": 401, "403": 403, "unknown_model": 400,
		"insufficient_quota": 402, "402": 402, "spend_limit": 403, "day_quota": 429, "429": 429, "429_silent": 429, "408": 408, "409": 409,
		"500": 500, "502": 502, "503": 503, "504": 504, "529": 529,
	}
	for class, status := range statuses {
		p := chat("[[simulate:" + class + "]]")
		p.Model = large
		_, err := client.Chat.Completions.New(t.Context(), p)
		var e *openai.Error
		if !errors.As(err, &e) || e.StatusCode != status {
			t.Errorf("%s: %v, want %d", class, err, status)
		}
	}
}

func TestAnthropicErrorsDecode(t *testing.T) {
	w := start(t, simulator.Config{Headers: true})
	client := w.anthropic()
	type want struct {
		status int
		kind   string
	}
	kinds := map[string]want{
		"400": {400, "invalid_request_error"}, "context_length": {400, "invalid_request_error"}, "413": {413, "request_too_large"},
		"blocked": {400, "invalid_request_error"}, "too_large": {429, "rate_limit_error"}, "401": {401, "authentication_error"},
		"403": {403, "permission_error"}, "unknown_model": {404, "not_found_error"}, "insufficient_quota": {400, "invalid_request_error"},
		"402": {402, "billing_error"}, "spend_limit": {429, "rate_limit_error"}, "day_quota": {429, "rate_limit_error"}, "429": {429, "rate_limit_error"},
		"429_silent": {429, "rate_limit_error"}, "408": {408, "timeout_error"}, "409": {409, "invalid_request_error"}, "500": {500, "api_error"},
		"502": {502, ""}, "503": {503, "api_error"}, "504": {504, "timeout_error"}, "529": {529, "overloaded_error"},
	}
	for _, class := range simulator.Classes() {
		if answered[class] {
			continue
		}
		got, err := client.Messages.New(t.Context(), message("[[simulate:"+class+"]]"))
		var e *anthropic.Error
		is := errors.As(err, &e)
		want, known := kinds[class]
		switch {
		case broken[class]:
			if err == nil || is {
				t.Errorf("%s: %v, %+v", class, err, got)
			}
		case !known:
			t.Errorf("%s: not in the table", class)
		case !is:
			t.Errorf("%s: %v", class, err)
		case e.StatusCode != want.status || string(e.Type()) != want.kind:
			t.Errorf("%s: %d %q %s", class, e.StatusCode, e.Type(), e.RawJSON())
		case e.RequestID == "":
			t.Errorf("%s: no request-id", class)
		case class != "502" && !strings.Contains(e.RawJSON(), `"request_id":"`+e.RequestID+`"`):
			t.Errorf("%s: the body names another request: %s", class, e.RawJSON())
		}
	}
}

func TestGeminiErrorsDecode(t *testing.T) {
	w := start(t, simulator.Config{Headers: true})
	client := w.gemini()
	type want struct {
		code    int
		status  string
		details int
	}
	table := map[string]want{
		"400": {400, "INVALID_ARGUMENT", 0}, "context_length": {400, "INVALID_ARGUMENT", 0}, "413": {400, "INVALID_ARGUMENT", 0},
		"too_large": {429, "RESOURCE_EXHAUSTED", 0}, "401": {400, "INVALID_ARGUMENT", 2}, "403": {403, "PERMISSION_DENIED", 0},
		"unknown_model": {404, "NOT_FOUND", 0}, "insufficient_quota": {429, "RESOURCE_EXHAUSTED", 0}, "402": {402, "FAILED_PRECONDITION", 0}, "spend_limit": {429, "RESOURCE_EXHAUSTED", 0},
		"day_quota": {429, "RESOURCE_EXHAUSTED", 3}, "429": {429, "RESOURCE_EXHAUSTED", 1}, "429_silent": {429, "RESOURCE_EXHAUSTED", 0},
		"408": {408, "DEADLINE_EXCEEDED", 0}, "409": {409, "ABORTED", 0}, "500": {500, "INTERNAL", 0}, "502": {502, "502 Bad Gateway", 0},
		"503": {503, "UNAVAILABLE", 0}, "504": {504, "DEADLINE_EXCEEDED", 0}, "529": {529, "UNAVAILABLE", 0},
	}
	for _, class := range simulator.Classes() {
		if answered[class] || class == "blocked" { // an answer at Google
			continue
		}
		got, err := client.Models.GenerateContent(t.Context(), flash, genai.Text("[[simulate:"+class+"]]"), nil)
		var e genai.APIError
		is := errors.As(err, &e)
		want, known := table[class]
		switch {
		case broken[class]:
			if err == nil || is {
				t.Errorf("%s: %v, %+v", class, err, got)
			}
		case !known:
			t.Errorf("%s: not in the table", class)
		case !is:
			t.Errorf("%s: %v", class, err)
		case e.Code != want.code || e.Status != want.status || len(e.Details) != want.details || e.Message == "":
			t.Errorf("%s: %+v", class, e)
		}
		if class == "429" { // ordered, where no limit was reached: it says when, and names no quota
			raw, _ := json.Marshal(e.Details)
			if string(raw) != `[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1s"}]` {
				t.Errorf("429: %s", raw)
			}
		}
	}
}

func TestGeminiQuotaDecodes(t *testing.T) {
	w := start(t, simulator.Config{Headers: true, RPM: 1})
	models := w.gemini().Models
	if _, err := models.GenerateContent(t.Context(), flash, genai.Text("a"), nil); err != nil {
		t.Fatal(err)
	}
	_, err := models.GenerateContent(t.Context(), flash, genai.Text("a"), nil)
	var e genai.APIError
	if !errors.As(err, &e) || e.Code != 429 || e.Status != "RESOURCE_EXHAUSTED" || len(e.Details) != 3 || e.Message == "" {
		t.Fatalf("%v", err)
	}
	raw, _ := json.Marshal(e.Details)
	for _, part := range []string{`"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"`, `"quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier"`} {
		if !strings.Contains(string(raw), part) {
			t.Errorf("no %s in %s", part, raw)
		}
	}
}
