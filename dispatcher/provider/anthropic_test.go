package provider

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promptforge/promptforge/dispatcher/rate"
)

var anthropicEndpoint = Endpoint{Provider: "anthropic", Dialect: Anthropic{}, Key: "sk-ant-canary-0123456789", KeyName: "ANTHROPIC_API_KEY"}

func TestAnthropicRequest(t *testing.T) {
	checkRequests(t, &anthropicEndpoint, "claude-sonnet-4-5", []requestCase{
		{
			"prompt", `{"prompt_id":1,"prompt":"hé \"x\""}`,
			`{"model":"claude-sonnet-4-5","max_tokens":4096,"messages":[{"role":"user","content":"hé \"x\""}]}`, "",
		},
		{
			"sampling", `{"prompt_id":1,"system":"be brief","prompt":"q","temperature":0.5,"top_p":1,"max_tokens":10,"stop":["x","y"]}`,
			`{"model":"claude-sonnet-4-5","max_tokens":10,"system":"be brief","messages":[{"role":"user","content":"q"}],"temperature":0.5,"top_p":1,"stop_sequences":["x","y"]}`, "",
		},
		{
			"systems come first", `{"prompt_id":1,"system":"a","messages":[{"role":"system","content":"b"},{"role":"user","content":"q"},{"role":"developer","content":[{"type":"text","text":"c"}]}]}`,
			`{"model":"claude-sonnet-4-5","max_tokens":4096,"system":"a\n\nb\n\nc","messages":[{"role":"user","content":"q"}]}`, "",
		},
		{
			"images", `{"prompt_id":1,"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"https://x.example/y.png","detail":"auto"}},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}]}]}`,
			`{"model":"claude-sonnet-4-5","max_tokens":4096,"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image","source":{"type":"url","url":"https://x.example/y.png"}},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBORw0KGgo="}}]}]}`, "",
		},
		{
			"tools", `{"prompt_id":1,"prompt":"q","tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object","properties":{"a":{"type":"string"}}},"strict":true}},{"type":"function","function":{"name":"g"}}],"tool_choice":"required"}`,
			`{"model":"claude-sonnet-4-5","max_tokens":4096,"messages":[{"role":"user","content":"q"}],"tools":[{"name":"f","description":"d","strict":true,"input_schema":{"type":"object","properties":{"a":{"type":"string"}}}},{"name":"g","input_schema":{"type":"object"}}],"tool_choice":{"type":"any"}}`, "",
		},
		{
			"one tool", `{"prompt_id":1,"prompt":"q","tools":[{"type":"function","function":{"name":"g"}}],"tool_choice":{"type":"function","function":{"name":"g"}}}`,
			`{"model":"claude-sonnet-4-5","max_tokens":4096,"messages":[{"role":"user","content":"q"}],"tools":[{"name":"g","input_schema":{"type":"object"}}],"tool_choice":{"type":"tool","name":"g"}}`, "",
		},
		{
			"calls and what tools answered", `{"prompt_id":1,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"let me see","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\": 1}"}},{"id":"c2","type":"function","function":{"name":"g","arguments":""}}]},{"role":"tool","tool_call_id":"c1","content":"one"},{"role":"tool","tool_call_id":"c2","content":[{"type":"text","text":"two"}]},{"role":"user","content":"and?"}]}`,
			`{"model":"claude-sonnet-4-5","max_tokens":4096,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"text","text":"let me see"},{"type":"tool_use","id":"c1","name":"f","input":{"a": 1}},{"type":"tool_use","id":"c2","name":"g","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"one"},{"type":"tool_result","tool_use_id":"c2","content":[{"type":"text","text":"two"}]}]},{"role":"user","content":"and?"}]}`, "",
		},
		{
			"calls without text", `{"prompt_id":1,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"one"}]}`,
			`{"model":"claude-sonnet-4-5","max_tokens":4096,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"tool_use","id":"c1","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"one"}]}]}`, "",
		},
		{
			"a schema, with more of the same object in extra_body", `{"prompt_id":1,"prompt":"q","response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"object"}}},"extra_body":{"output_config":{"effort":"low"},"top_k":3,"temperature":0}}`,
			`{"model":"claude-sonnet-4-5","max_tokens":4096,"messages":[{"role":"user","content":"q"}],"output_config":{"format":{"type":"json_schema","schema":{"type":"object"}},"effort":"low"},"top_k":3,"temperature":0}`, "",
		},
		{"plain text", `{"prompt_id":1,"prompt":"q","response_format":{"type":"text"},"tool_choice":"none"}`, `{"model":"claude-sonnet-4-5","max_tokens":4096,"messages":[{"role":"user","content":"q"}],"tool_choice":{"type":"none"}}`, ""},
		{"a seed", `{"prompt_id":1,"prompt":"q","seed":7}`, "", "seed"},
		{"JSON without a schema", `{"prompt_id":1,"prompt":"q","response_format":{"type":"json_object"}}`, "", "response_format"},
		{"a format that is none", `{"prompt_id":1,"prompt":"q","response_format":{"type":"xml"}}`, "", "response_format.type"},
		{"a schema that is none", `{"prompt_id":1,"prompt":"q","response_format":{"type":"json_schema"}}`, "", "response_format.json_schema"},
		{"a tool that is no function", `{"prompt_id":1,"prompt":"q","tools":[{"type":"custom","custom":{}}]}`, "", "tools[0]"},
		{"tools that are no objects", `{"prompt_id":1,"prompt":"q","tools":["f"]}`, "", "tools"},
		{"parameters that are none", `{"prompt_id":1,"prompt":"q","tools":[{"type":"function","function":{"name":"f","parameters":7}}]}`, "", "tools[0].function.parameters"},
		{"a choice that is none", `{"prompt_id":1,"prompt":"q","tool_choice":"maybe"}`, "", "tool_choice"},
		{"a choice of tools", `{"prompt_id":1,"prompt":"q","tool_choice":{"type":"allowed_tools"}}`, "", "tool_choice"},
		{"a detail", `{"prompt_id":1,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x.example/y.png","detail":"high"}}]}]}`, "", "messages[0].image_url.detail"},
		{"a name", `{"prompt_id":1,"messages":[{"role":"user","name":"bob","content":"q"}]}`, "", "messages[0].name"},
		{"an image of the system", `{"prompt_id":1,"messages":[{"role":"system","content":[{"type":"image_url","image_url":{"url":"https://x.example/y.png"}}]},{"role":"user","content":"q"}]}`, "", "messages[0]"},
		{"an image of the assistant", `{"prompt_id":1,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":[{"type":"image_url","image_url":{"url":"https://x.example/y.png"}}]}]}`, "", "messages[1]"},
		{"another scheme", `{"prompt_id":1,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"ftp://x.example/y.png"}}]}]}`, "", "image_url"},
		{"another image", `{"prompt_id":1,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/tiff;base64,AAAA"}}]}]}`, "", "image/tiff"},
		{"an image not in base64", `{"prompt_id":1,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png,x"}}]}]}`, "", "image_url"},
		{"an image in broken base64", `{"prompt_id":1,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,***"}}]}]}`, "", "base64"},
		{"arguments that are none", `{"prompt_id":1,"messages":[{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"[1"}}]}]}`, "", "messages[0].tool_calls[0].function.arguments"},
		{"calls that are none", `{"prompt_id":1,"messages":[{"role":"assistant","content":"x","tool_calls":7}]}`, "", "messages[0].tool_calls"},
		{"calls of the user", `{"prompt_id":1,"messages":[{"role":"user","content":"x","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}]}`, "", "messages[0].tool_calls"},
		{"an answer to no call", `{"prompt_id":1,"messages":[{"role":"tool","content":"x"}]}`, "", "tool_call_id"},
		{"nothing but the system", `{"prompt_id":1,"messages":[{"role":"system","content":"x"}]}`, "", "needs a message"},
	})
}

const anthropicOK = `{"id":"msg_01","type":"message","role":"assistant","model":"claude-sonnet-4-5-20250929","content":[{"type":"text","text":"42"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":3,"output_tokens":1}}`

// Bodies of errors are, where nothing else is said, those of Anthropic's API
// reference, "Errors" (docs.claude.com/en/api/errors).
func TestAnthropicAnswerClasses(t *testing.T) {
	withError := func(kind, message string) string {
		return `{"type":"error","error":{"type":"` + kind + `","message":"` + message + `"},"request_id":"req_011CSHoEeqs5C35K2UUqR7Fy"}`
	}
	checkAnswers(t, &anthropicEndpoint, []answerCase{
		{"an answer", 200, "", anthropicOK, Done, ""},
		{"cut by its limit before any text", 200, "", strings.NewReplacer(`[{"type":"text","text":"42"}]`, `[]`, "end_turn", "max_tokens").Replace(anthropicOK), Done, ""},
		{"an unknown reason", 200, "", strings.Replace(anthropicOK, "end_turn", "pause_turn", 1), Done, ""},
		{"a tool call alone", 200, "", `{"type":"message","model":"m","content":[{"type":"tool_use","id":"toolu_1","name":"f","input":{"a":1}}],"stop_reason":"tool_use"}`, Done, ""},
		// Anthropic's documentation, "Handling stop reasons", refusal.
		{"a refusal", 200, "", `{"type":"message","model":"m","content":[],"stop_reason":"refusal","stop_details":{"type":"refusal","category":"cyber","explanation":"no"},"usage":{"input_tokens":3,"output_tokens":0}}`, Terminal, "content_filtered"},
		{"a refusal after some text", 200, "", `{"type":"message","model":"m","content":[{"type":"text","text":"half"}],"stop_reason":"refusal"}`, Done, ""},
		{"cut in the middle", 200, "", anthropicOK[:100], Broken, "bad_response"},
		{"no content", 200, "", `{"type":"message","model":"m"}`, Broken, "bad_response"},
		{"an error in a success", 200, "", withError("overloaded_error", "Overloaded"), Transient, "server_error"},
		{"a rate limit in a success", 200, "", withError("rate_limit_error", "x"), SlowDown, "rate_limit_exceeded"},
		// docs.claude.com, "Streaming Messages", "Error events".
		{"the error of a stream", 200, "", "event: error\ndata: {\"type\": \"error\", \"error\": {\"type\": \"overloaded_error\", \"message\": \"Overloaded\"}}\n\n", Transient, "server_error"},
		{"the error of a stream with its status", 529, "", "event: error\ndata: {\"type\": \"error\", \"error\": {\"type\": \"overloaded_error\", \"message\": \"Overloaded\"}}\n\n", Transient, "server_error"},
		{"a bad key in a stream", 200, "", "event: message_start\ndata: {}\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"invalid x-api-key\"}}\n\n", Fatal, "server_error"},
		{"a rate limit", 429, "retry-after: 7", withError("rate_limit_error", "Number of request tokens has exceeded your per-minute rate limit (https://docs.anthropic.com/en/api/rate-limits); see the response headers for current usage."), SlowDown, "rate_limit_exceeded"},
		// github.com/anthropics/claude-code/issues/71279
		{"another wording", 429, "", withError("rate_limit_error", "This request would exceed your account's rate limit. Please try again later."), SlowDown, "rate_limit_exceeded"},
		// github.com/SakanaAI/AI-Scientist/issues/115
		{"a day's tokens", 429, "retry-after: 3600", withError("rate_limit_error", "Number of request tokens has exceeded your daily rate limit (https://docs.anthropic.com/en/api/rate-limits); see the response headers for current usage."), UsedUp, "rate_limit_exceeded"},
		// docs.claude.com, "Rate limits", "Spend limits": the tier's own limit.
		{"the tier's spend limit", 429, "", `{"type":"error","error":{"type":"rate_limit_error","message":"You have reached your API usage limits: your organization has crossed its monthly API usage threshold, set based on your organization's API tier. You will regain access on 2026-09-01 at 00:00 UTC.","details":{"error_code":"enforced_spend_limit_reached"}},"request_id":"req_018EeWyXxfu5pfWkrYcMdjWG"}`, Fatal, "server_error"},
		// github.com/anthropics/claude-code/issues/55998
		{"an own spend limit", 400, "", withError("invalid_request_error", "You have reached your specified workspace API usage limits. You will regain access on 2026-06-01 at 00:00 UTC."), Fatal, "server_error"},
		// github.com/anthropics/claude-code/issues/66314
		{"no credit", 400, "", withError("invalid_request_error", "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."), Fatal, "server_error"},
		{"no credit, by its status", 402, "", withError("billing_error", "There's an issue with your billing or payment information."), Fatal, "server_error"},
		{"a wrong key", 401, "", withError("authentication_error", "invalid x-api-key"), Fatal, "server_error"},
		{"no permission", 403, "", withError("permission_error", "Your API key does not have permission to use the specified resource."), Fatal, "server_error"},
		// github.com/anthropics/claude-code/issues/5349
		{"no such model", 404, "", withError("not_found_error", "model: claude-9"), Fatal, "server_error"},
		{"too large", 413, "", withError("request_too_large", "Request exceeds the maximum size"), Terminal, "context_length_exceeded"},
		// portkey.ai/error-library/input-length-error-10153
		{"too long", 400, "", withError("invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"), Terminal, "context_length_exceeded"},
		// github.com/docker/docker-agent/issues/569
		{"too long with its answer", 400, "", withError("invalid_request_error", "input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000, decrease input length or `max_tokens` and try again"), Terminal, "context_length_exceeded"},
		// github.com/anthropics/claude-code/issues/58367
		{"a policy", 400, "", withError("invalid_request_error", "Output blocked by content filtering policy"), Terminal, "content_filtered"},
		{"a wrong parameter", 400, "", withError("invalid_request_error", "temperature: range: 0..1"), Terminal, "invalid_request"},
		{"a conflict", 409, "", withError("conflict_error", "x"), Transient, "server_error"},
		{"500", 500, "", withError("api_error", "Internal server error"), Transient, "server_error"},
		{"504", 504, "", withError("timeout_error", "x"), Transient, "timeout"},
		{"overloaded", 529, "", withError("overloaded_error", "Overloaded"), Transient, "server_error"},
	})
}

func TestAnthropicAnswerFields(t *testing.T) {
	h := http.Header{}
	h.Set("request-id", "req_1")
	a := Anthropic{}.Answer(&anthropicEndpoint, 200, h, []byte(`{"type":"message","model":"m-1","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"text","text":"4"},{"type":"redacted_thinking","data":"x"},{"type":"text","text":"2"},{"type":"tool_use","id":"toolu_1","name":"f","input":{"a":"ü"}}],"stop_reason":"tool_use","usage":{"input_tokens":3,"cache_creation_input_tokens":10,"cache_read_input_tokens":100,"output_tokens":5}}`))
	if a.Text != "42" || a.Model != "m-1" || a.FinishReason != "tool_calls" || a.RequestID != "req_1" {
		t.Errorf("got %+v", a)
	}
	if *a.PromptTokens != 113 || *a.CompletionTokens != 5 || *a.TotalTokens != 118 {
		t.Errorf("tokens %d %d %d", *a.PromptTokens, *a.CompletionTokens, *a.TotalTokens)
	}
	if want := `[{"id":"toolu_1","type":"function","function":{"name":"f","arguments":"{\"a\":\"ü\"}"}}]`; string(a.ToolCalls) != want {
		t.Errorf("calls %s", a.ToolCalls)
	}
	for reason, want := range map[string]string{"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "model_context_window_exceeded": "length", "refusal": "content_filter", "pause_turn": "other", "new": "other"} {
		a := Anthropic{}.Answer(&anthropicEndpoint, 200, h, []byte(strings.Replace(anthropicOK, "end_turn", reason, 1)))
		if a.FinishReason != want || a.Class != Done {
			t.Errorf("%s: %s %s", reason, a.Class, a.FinishReason)
		}
	}
	if a := (Anthropic{}).Answer(&anthropicEndpoint, 200, h, []byte(`{"type":"message","content":[{"type":"text","text":"x"}]}`)); a.TotalTokens != nil || a.PromptTokens != nil {
		t.Error("tokens that were not reported are not null")
	}
	if a := (Anthropic{}).Answer(&anthropicEndpoint, 400, http.Header{}, []byte(`{"type":"error","error":{"type":"invalid_request_error","message":"x"},"request_id":"req_2"}`)); a.RequestID != "req_2" {
		t.Errorf("the request id of the body is lost: %q", a.RequestID)
	}
	a = Anthropic{}.Answer(&anthropicEndpoint, 200, h, []byte(`{"type":"message","content":[],"stop_reason":"refusal","stop_details":{"explanation":"harm"}}`))
	if !strings.Contains(a.Message, "harm") {
		t.Errorf("it says %q", a.Message)
	}
}

func TestAnthropicSentences(t *testing.T) {
	for body, want := range map[string]string{
		`{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}`: "set ANTHROPIC_API_KEY",
		`{"type":"error","error":{"type":"billing_error","message":"x"}}`:                        "credit",
		`{"type":"error","error":{"type":"not_found_error","message":"model: c"}}`:               "model",
		`{"type":"error","error":{"type":"permission_error","message":"the prompt"}}`:            "permission_error",
	} {
		a := Anthropic{}.Answer(&anthropicEndpoint, 200, http.Header{}, []byte(body))
		if a.Class != Fatal || !strings.Contains(a.Message, want) || strings.Contains(a.Message, "the prompt") {
			t.Errorf("%s: %s %q", body, a.Class, a.Message)
		}
	}
}

// The headers of an answer as recorded by the R package tidyllm on 21 August
// 2025 (rdrr.io/cran/tidyllm), with other figures left.
func TestAnthropicLimits(t *testing.T) {
	h := http.Header{}
	for name, value := range map[string]string{
		"Date":                                   "Thu, 21 Aug 2025 12:41:00 GMT",
		"anthropic-ratelimit-input-tokens-limit": "80000", "anthropic-ratelimit-input-tokens-remaining": "79000", "anthropic-ratelimit-input-tokens-reset": "2025-08-21T12:41:03Z",
		"anthropic-ratelimit-output-tokens-limit": "16000", "anthropic-ratelimit-output-tokens-remaining": "16000", "anthropic-ratelimit-output-tokens-reset": "2025-08-21T12:41:00Z",
		"anthropic-ratelimit-requests-limit": "1000", "anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": "2025-08-21T12:40:59Z",
		"anthropic-ratelimit-tokens-limit": "96000", "anthropic-ratelimit-tokens-remaining": "95000", "anthropic-ratelimit-tokens-reset": "2025-08-21T12:41:03Z",
	} {
		h.Set(name, value)
	}
	want := rate.Limits{
		RequestsPerMinute: 1000, TokensPerMinute: 96000, InputTokensPerMinute: 80000, OutputTokensPerMinute: 16000, NoneLeft: true,
		Requests:     rate.Budget{Known: true},
		Tokens:       rate.Budget{Known: true, Left: 95000, Reset: 3 * time.Second},
		InputTokens:  rate.Budget{Known: true, Left: 79000, Reset: 3 * time.Second},
		OutputTokens: rate.Budget{Known: true, Left: 16000},
	}
	if diff := cmp.Diff(want, anthropicLimits(h)); diff != "" {
		t.Error(diff)
	}
	h.Del("anthropic-ratelimit-tokens-limit")
	if got := anthropicLimits(h).TokensPerMinute; got != 96000 {
		t.Errorf("tokens together: %g", got)
	}
	if diff := cmp.Diff(rate.Limits{}, anthropicLimits(http.Header{"Anthropic-Ratelimit-Requests-Limit": {"many"}})); diff != "" {
		t.Error(diff)
	}
}
