package provider

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promptforge/promptforge/dispatcher/rate"
)

var mistralEndpoint = Endpoint{Provider: "mistral", Dialect: Mistral{}, Key: "canary-0123456789abcdef", KeyName: "MISTRAL_API_KEY"}

func TestMistralRequest(t *testing.T) {
	checkRequests(t, &mistralEndpoint, "mistral-small-latest", []requestCase{
		{"prompt", `{"prompt_id":1,"prompt":"hé \"x\""}`, `{"model":"mistral-small-latest","messages":[{"role":"user","content":"hé \"x\""}]}`, ""},
		{
			"sampling", `{"prompt_id":1,"system":"be brief","prompt":"q","temperature":0.5,"top_p":1,"max_tokens":10,"stop":"x","seed":7,"response_format":{"type":"json_object"}}`,
			`{"model":"mistral-small-latest","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"q"}],"temperature":0.5,"top_p":1,"max_tokens":10,"stop":["x"],"random_seed":7,"response_format":{"type":"json_object"}}`, "",
		},
		{
			"a schema", `{"prompt_id":1,"prompt":"q","response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"object"}}},"extra_body":{"safe_prompt":true}}`,
			`{"model":"mistral-small-latest","messages":[{"role":"user","content":"q"}],"response_format":{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"object"}}},"safe_prompt":true}`, "",
		},
		{
			"images, the developer, and nothing that is not known", `{"prompt_id":1,"messages":[{"role":"developer","content":"d"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo=","detail":"low"}}]},{"role":"assistant","content":"ok","refusal":null},{"role":"user","content":"more"}]}`,
			`{"model":"mistral-small-latest","messages":[{"role":"system","content":"d"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo=","detail":"low"}}]},{"role":"assistant","content":"ok"},{"role":"user","content":"more"}]}`, "",
		},
		{
			"tools", `{"prompt_id":1,"prompt":"q","tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}},{"type":"function","function":{"name":"g"}}],"tool_choice":"any"}`,
			`{"model":"mistral-small-latest","messages":[{"role":"user","content":"q"}],"tools":[{"type":"function","function":{"name":"f","description":"d","strict":true,"parameters":{"type":"object"}}},{"type":"function","function":{"name":"g","parameters":{"type":"object","properties":{}}}}],"tool_choice":"any"}`, "",
		},
		{
			"calls and what tools answered", `{"prompt_id":1,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"id":"abcDEF123","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"call_of_another_provider","type":"function","function":{"name":"g","arguments":"{}"}}]},{"role":"tool","tool_call_id":"abcDEF123","name":"f","content":"one"},{"role":"tool","tool_call_id":"call_of_another_provider","content":"two"}]}`,
			`{"model":"mistral-small-latest","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"","tool_calls":[{"id":"abcDEF123","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"` + mistralCallID("call_of_another_provider") + `","type":"function","function":{"name":"g","arguments":"{}"}}]},{"role":"tool","content":"one","tool_call_id":"abcDEF123","name":"f"},{"role":"tool","content":"two","tool_call_id":"` + mistralCallID("call_of_another_provider") + `"}]}`, "",
		},
		{
			"a refusal of the assistant", `{"prompt_id":1,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"","refusal":"no"},{"role":"user","content":"why"}]}`,
			`{"model":"mistral-small-latest","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"no"},{"role":"user","content":"why"}]}`, "",
		},
		{"a negative seed", `{"prompt_id":1,"prompt":"q","seed":-1}`, "", "seed"},
		{"a name", `{"prompt_id":1,"messages":[{"role":"user","name":"bob","content":"q"}]}`, "", "messages[0].name"},
		{"a tool that is no function", `{"prompt_id":1,"prompt":"q","tools":[{"type":"custom"}]}`, "", "tools[0]"},
		{"a choice that is none", `{"prompt_id":1,"prompt":"q","tool_choice":"maybe"}`, "", "tool_choice"},
		{"a format that is none", `{"prompt_id":1,"prompt":"q","response_format":{"type":"xml"}}`, "", "response_format.type"},
		{"an answer to no call", `{"prompt_id":1,"messages":[{"role":"tool","content":"x"}]}`, "", "tool_call_id"},
	})
}

// An id of another provider becomes one that Mistral takes, the same in the call
// and in its answer.
func TestMistralCallID(t *testing.T) {
	id := mistralCallID("call_of_another_provider")
	if !ownCallID.MatchString(id) || id != mistralCallID("call_of_another_provider") || id == mistralCallID("another") {
		t.Errorf("the id is %q", id)
	}
}

const mistralOK = `{"id":"c","object":"chat.completion","created":1,"model":"mistral-small-2506","choices":[{"index":0,"message":{"role":"assistant","tool_calls":null,"content":"42"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"total_tokens":4,"completion_tokens":1}}`

func TestMistralAnswerClasses(t *testing.T) {
	// docs.mistral.ai/resources/error-glossary, "Error response format".
	withError := func(kind, code, message string) string {
		return `{"object":"error","message":"` + message + `","type":"` + kind + `","param":null,"code":"` + code + `","raw_status_code":0}`
	}
	limited := withError("rate_limited", "1300", "Rate limit exceeded")
	checkAnswers(t, &mistralEndpoint, []answerCase{
		{"an answer", 200, "", mistralOK, Done, ""},
		{"an empty answer that was cut by its limit", 200, "", strings.NewReplacer(`"42"`, `""`, `"stop"`, `"length"`).Replace(mistralOK), Done, ""},
		{"tool calls alone", 200, "", `{"model":"m","choices":[{"message":{"content":"","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`, Done, ""},
		{"withheld by a filter", 200, "", `{"model":"m","choices":[{"message":{"content":""},"finish_reason":"content_filter"}]}`, Terminal, "content_filtered"},
		// docs.mistral.ai, GuardrailConfig: a blocked request is 403.
		{"blocked by a guardrail", 403, "", withError("guardrail_violation", "1400", "The request was blocked by a guardrail"), Terminal, "content_filtered"},
		{"cut in the middle", 200, "", mistralOK[:100], Broken, "bad_response"},
		{"no choice", 200, "", `{"object":"chat.completion","choices":[]}`, Broken, "bad_response"},
		{"an error in a success", 200, "", `{"object":"error","message":"x","type":"rate_limited","param":null,"code":"1300","raw_status_code":429}`, SlowDown, "rate_limit_exceeded"},
		{"the error of a stream", 200, "", "data: {\"error\":{\"message\":\"Internal server error\",\"code\":\"1000\",\"type\":\"internal_server_error\"}}\n\n", Transient, "server_error"},
		// github.com/raycast/extensions/issues/31107
		{"a rate limit", 429, "x-ratelimit-limit-req-minute: 30", limited, SlowDown, "rate_limit_exceeded"},
		// github.com/pydantic/pydantic-ai/issues/1885
		{"a rate limit of the gateway", 429, "", `{"message":"Requests rate limit exceeded"}`, SlowDown, "rate_limit_exceeded"},
		// github.com/continuedev/continue/issues/6185
		{"no capacity", 429, "", `{"object":"error","message":"Service tier capacity exceeded for this model.","type":"invalid_request_error","param":null,"code":null}`, SlowDown, "rate_limit_exceeded"},
		{"a day's requests", 429, "x-ratelimit-remaining-req-day: 0", limited, UsedUp, "rate_limit_exceeded"},
		{"a month's tokens", 429, "x-ratelimit-remaining-tokens-month: 0", limited, Fatal, "server_error"},
		{"a month's tokens, by the older name", 429, "x-ratelimitbysize-remaining-month: 0", limited, Fatal, "server_error"},
		// A valid key whose plan has nothing of the model, as several public
		// projects report it.
		{"a plan without the model", 429, "x-ratelimit-limit-req-minute: 0", limited, Fatal, "server_error"},
		// github.com/nextcloud/integration_openai/issues/332
		{"a wrong key", 401, "", `{"detail":"Unauthorized"}`, Fatal, "server_error"},
		// github.com/cline/cline/issues/1734
		{"a wrong key at the gateway", 401, "", `{"message":"Unauthorized","request_id":"c61f2f15feca71626a990e3740f99245"}`, Fatal, "server_error"},
		{"a limit that the account set", 403, "", `{"message":"Inactive subscription or usage limit reached"}`, Fatal, "server_error"},
		{"no credit", 402, "", withError("invalid_request_error", "x", "Payment required"), Fatal, "server_error"},
		{"another 403", 403, "", withError("invalid_request_error", "x", "Forbidden"), Fatal, "server_error"},
		// github.com/mistralai/mistral-vibe/issues/617
		{"no such model", 400, "", `{"object":"error","message":"Invalid model: mistral-medium-3.5","type":"invalid_model","param":null,"code":"1500","raw_status_code":400}`, Fatal, "server_error"},
		{"no such model, by the glossary", 400, "", `{"object":"error","message":"x","type":"invalid_request_error","param":"model","code":"unknown_model"}`, Fatal, "server_error"},
		// docs.mistral.ai/resources/known-limitations
		{"too long", 400, "", withError("invalid_request_prompt", "3051", "Prompt contains 300000 tokens, too large for model with 131072 maximum context length"), Terminal, "context_length_exceeded"},
		// github.com/Gage-Technologies/mistral-go/pull/2
		{"a field too many", 422, "", `{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","messages",0,"user","name"],"msg":"Extra inputs are not permitted","input":""}]},"type":"invalid_request_error","param":null,"code":null}`, Terminal, "invalid_request"},
		{"a field too many, by the validator", 422, "", `{"detail":[{"type":"extra_forbidden","loc":["body","store"],"msg":"Extra inputs are not permitted","input":false}]}`, Terminal, "invalid_request"},
		{"a wrong parameter", 400, "", withError("invalid_request_error", "3001", "temperature"), Terminal, "invalid_request"},
		{"408", 408, "", "", Transient, "timeout"},
		{"500", 500, "", withError("internal_server_error", "1000", "Internal server error"), Transient, "server_error"},
		{"503", 503, "", withError("server_error", "x", "Service unavailable"), Transient, "server_error"},
		{"504", 504, "", "", Transient, "timeout"},
	})
}

func TestMistralAnswerFields(t *testing.T) {
	h := http.Header{}
	h.Set("mistral-correlation-id", "c1")
	// Content in chunks: docs.mistral.ai, "Reasoning", and "ThinkChunk" in the
	// API reference.
	a := Mistral{}.Answer(&mistralEndpoint, 200, h, []byte(`{"model":"magistral-1","choices":[{"message":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}],"closed":true},{"type":"text","text":"4"},{"type":"text","text":"2"}],"tool_calls":[{"id":"a","function":{"name":"f","arguments":{"a":"ü"}},"index":0},{"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]},"finish_reason":"model_length"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}`))
	if a.Text != "42" || a.Model != "magistral-1" || a.FinishReason != "length" || a.RequestID != "c1" || *a.TotalTokens != 4 {
		t.Errorf("got %+v", a)
	}
	if want := `[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"a\":\"ü\"}"}},{"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]`; string(a.ToolCalls) != want {
		t.Errorf("calls %s", a.ToolCalls)
	}
	for reason, want := range map[string]string{"stop": "stop", "length": "length", "model_length": "length", "tool_calls": "tool_calls", "error": "other"} {
		if a := (Mistral{}).Answer(&mistralEndpoint, 200, h, []byte(strings.Replace(mistralOK, `"stop"`, `"`+reason+`"`, 1))); a.FinishReason != want {
			t.Errorf("%s: %s", reason, a.FinishReason)
		}
	}
	a = Mistral{}.Answer(&mistralEndpoint, 401, http.Header{}, []byte(`{"message":"Unauthorized","request_id":"c61f"}`))
	if a.RequestID != "c61f" || !strings.Contains(a.Message, "set MISTRAL_API_KEY") {
		t.Errorf("%q says %q", a.RequestID, a.Message)
	}
}

func TestMistralLimits(t *testing.T) {
	for _, c := range []struct {
		name    string
		headers map[string]string
		want    rate.Limits
	}{
		{
			// github.com/mistralai/client-ts/issues/169
			"a minute's",
			map[string]string{"x-ratelimit-limit-tokens-minute": "5000000", "x-ratelimit-remaining-tokens-minute": "4999911", "x-ratelimit-tokens-query-cost": "52", "x-ratelimit-limit-req-minute": "720", "x-ratelimit-remaining-req-minute": "0"},
			rate.Limits{RequestsPerMinute: 720, TokensPerMinute: 5e6, NoneLeft: true, Requests: rate.Budget{Known: true}, Tokens: rate.Budget{Known: true, Left: 4999911}},
		},
		{
			"of ten seconds, where that is less",
			map[string]string{"x-ratelimit-limit-req-minute": "720", "x-ratelimit-limit-req-10-second": "60", "x-ratelimit-remaining-req-10-second": "59"},
			rate.Limits{RequestsPerMinute: 360, Requests: rate.Budget{Known: true, Left: 59}},
		},
		{
			"the older ones",
			map[string]string{"x-ratelimitbysize-limit-minute": "500000", "x-ratelimitbysize-remaining-minute": "499904", "ratelimitbysize-reset": "42"},
			rate.Limits{TokensPerMinute: 500000, Tokens: rate.Budget{Known: true, Left: 499904, Reset: 42 * time.Second}},
		},
		{"none", map[string]string{"x-ratelimit-limit-req-minute": "0", "x-ratelimit-remaining-req-minute": "-1"}, rate.Limits{}},
	} {
		h := http.Header{}
		for name, value := range c.headers {
			h.Set(name, value)
		}
		if diff := cmp.Diff(c.want, mistralLimits(h)); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}
