package provider

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

var geminiEndpoint = Endpoint{Provider: "gemini", Dialect: Gemini{}, Key: "AIza-canary-0123456789", KeyName: "GEMINI_API_KEY"}

func TestGeminiRequest(t *testing.T) {
	checkRequests(t, &geminiEndpoint, "gemini-2.5-flash", []requestCase{
		{"prompt", `{"prompt_id":1,"prompt":"hé \"x\""}`, `{"contents":[{"role":"user","parts":[{"text":"hé \"x\""}]}]}`, ""},
		{
			"sampling", `{"prompt_id":1,"system":"be brief","prompt":"q","temperature":0.5,"top_p":1,"max_tokens":10,"stop":"x","seed":-7}`,
			`{"systemInstruction":{"parts":[{"text":"be brief"}]},"contents":[{"role":"user","parts":[{"text":"q"}]}],"generationConfig":{"temperature":0.5,"topP":1,"maxOutputTokens":10,"stopSequences":["x"],"seed":-7}}`, "",
		},
		{
			"images", `{"prompt_id":1,"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"https://x.example/y.JPG?z"}},{"type":"image_url","image_url":{"url":"https://x.example/y"}},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}]},{"role":"assistant","content":"ok"}]}`,
			`{"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[{"text":"a"},{"fileData":{"mimeType":"image/jpeg","fileUri":"https://x.example/y.JPG?z"}},{"fileData":{"fileUri":"https://x.example/y"}},{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo="}}]},{"role":"model","parts":[{"text":"ok"}]}]}`, "",
		},
		{
			"tools", `{"prompt_id":1,"prompt":"q","tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":false}},{"type":"function","function":{"name":"g"}}],"tool_choice":{"type":"function","function":{"name":"g"}}}`,
			`{"contents":[{"role":"user","parts":[{"text":"q"}]}],"tools":[{"functionDeclarations":[{"name":"f","description":"d","parametersJsonSchema":{"type":"object"}},{"name":"g"}]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY","allowedFunctionNames":["g"]}}}`, "",
		},
		{
			"calls and what tools answered", `{"prompt_id":1,"messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"},"extra_content":{"google":{"thought_signature":"c2ln"}}},{"id":"c2","type":"function","function":{"name":"g","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c1","content":"{\"b\":2}"},{"role":"tool","tool_call_id":"c2","content":"two"}]}`,
			`{"contents":[{"role":"user","parts":[{"text":"q"}]},{"role":"model","parts":[{"functionCall":{"id":"c1","name":"f","args":{"a":1}},"thoughtSignature":"c2ln"},{"functionCall":{"id":"c2","name":"g","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"id":"c1","name":"f","response":{"b":2}}},{"functionResponse":{"id":"c2","name":"g","response":{"output":"two"}}}]}]}`, "",
		},
		{
			"a schema, with more of the same object in extra_body", `{"prompt_id":1,"prompt":"q","temperature":1,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}},"extra_body":{"generationConfig":{"temperature":0,"thinkingConfig":{"thinkingBudget":0}},"safetySettings":[]}}`,
			`{"contents":[{"role":"user","parts":[{"text":"q"}]}],"generationConfig":{"temperature":0,"responseMimeType":"application/json","responseJsonSchema":{"type":"object"},"thinkingConfig":{"thinkingBudget":0}},"safetySettings":[]}`, "",
		},
		{"JSON", `{"prompt_id":1,"prompt":"q","response_format":{"type":"json_object"},"tool_choice":"required"}`, `{"contents":[{"role":"user","parts":[{"text":"q"}]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY"}},"generationConfig":{"responseMimeType":"application/json"}}`, ""},
		{"a configuration of its own", `{"prompt_id":1,"prompt":"q","tool_choice":"auto","extra_body":{"generationConfig":{"topK":3}}}`, `{"contents":[{"role":"user","parts":[{"text":"q"}]}],"toolConfig":{"functionCallingConfig":{"mode":"AUTO"}},"generationConfig":{"topK":3}}`, ""},
		{"an empty turn", `{"prompt_id":1,"messages":[{"role":"user","content":""}]}`, `{"contents":[{"role":"user","parts":[{"text":""}]}]}`, ""},
		{"a long seed", `{"prompt_id":1,"prompt":"q","seed":3000000000}`, "", "seed"},
		{"a strict tool", `{"prompt_id":1,"prompt":"q","tools":[{"type":"function","function":{"name":"f","strict":true}}]}`, "", "tools[0].function.strict"},
		{"a detail", `{"prompt_id":1,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x.example/y.png","detail":"low"}}]}]}`, "", "messages[0].image_url.detail"},
		{"another scheme", `{"prompt_id":1,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://x.example/y.png"}}]}]}`, "", "image_url"},
		{"a broken image", `{"prompt_id":1,"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:;base64,AAAA"}}]}]}`, "", "image_url"},
		{"a name", `{"prompt_id":1,"messages":[{"role":"user","name":"bob","content":"q"}]}`, "", "messages[0].name"},
		{"an answer to no call", `{"prompt_id":1,"messages":[{"role":"tool","tool_call_id":"c9","content":"x"}]}`, "", "messages[0].tool_call_id"},
		{"an image of a tool", `{"prompt_id":1,"messages":[{"role":"assistant","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":[{"type":"image_url","image_url":{"url":"https://x.example/y.png"}}]}]}`, "", "messages[1]"},
		{"a format that is none", `{"prompt_id":1,"prompt":"q","response_format":{"type":"grammar"}}`, "", "response_format.type"},
		{"a choice that is none", `{"prompt_id":1,"prompt":"q","tool_choice":"maybe"}`, "", "tool_choice"},
		{"a tool that is no function", `{"prompt_id":1,"prompt":"q","tools":[{"type":"web_search"}]}`, "", "tools[0]"},
	})
}

const geminiOK = `{"candidates":[{"content":{"parts":[{"text":"42"}],"role":"model"},"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":1,"totalTokenCount":4},"modelVersion":"gemini-2.5-flash","responseId":"r1"}`

// geminiQuota is a refusal as in github.com/google-gemini/gemini-cli/issues/8437.
func geminiQuota(message string, details string) string {
	return `{"error":{"code":429,"message":"` + message + `","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.Help","links":[{"description":"Learn more about Gemini API quotas","url":"https://ai.google.dev/gemini-api/docs/rate-limits"}]}` + details + `]}}`
}

const (
	violation = `,{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaMetric":"generativelanguage.googleapis.com/generate_content_free_tier_requests","quotaId":"%","quotaDimensions":{"location":"global","model":"gemini-2.5-flash"},"quotaValue":"10"}]}`
	retryInfo = `,{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"%"}`
)

func fill(pattern, value string) string { return strings.ReplaceAll(pattern, "%", value) }

func TestGeminiAnswerClasses(t *testing.T) {
	withError := func(code, status, message string) string {
		return `{"error":{"code":` + code + `,"message":"` + message + `","status":"` + status + `"}}`
	}
	const exceeded = "You exceeded your current quota, please check your plan and billing details."
	badKey := `{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com","metadata":{"service":"generativelanguage.googleapis.com"}},{"@type":"type.googleapis.com/google.rpc.LocalizedMessage","locale":"en-US","message":"API key not valid. Please pass a valid API key."}]}}`
	checkAnswers(t, &geminiEndpoint, []answerCase{
		{"an answer", 200, "", geminiOK, Done, ""},
		{"thought until its tokens were gone", 200, "", `{"candidates":[{"content":{"role":"model"},"finishReason":"MAX_TOKENS","index":0}],"usageMetadata":{"promptTokenCount":3,"thoughtsTokenCount":9,"totalTokenCount":12}}`, Done, ""},
		{"a call that is none", 200, "", `{"candidates":[{"content":{},"finishReason":"MALFORMED_FUNCTION_CALL"}]}`, Done, ""},
		// Gemini API reference, "PromptFeedback" and "FinishReason".
		{"a blocked prompt", 200, "", `{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},"usageMetadata":{"promptTokenCount":3,"totalTokenCount":3}}`, Terminal, "content_filtered"},
		{"withheld for safety", 200, "", `{"candidates":[{"finishReason":"SAFETY","index":0,"safetyRatings":[]}]}`, Terminal, "content_filtered"},
		{"withheld as a recitation", 200, "", `{"candidates":[{"content":{},"finishReason":"RECITATION","index":0}]}`, Terminal, "content_filtered"},
		{"cut off for safety after some text", 200, "", strings.Replace(geminiOK, "STOP", "SAFETY", 1), Done, ""},
		{"cut in the middle", 200, "", geminiOK[:100], Broken, "bad_response"},
		{"no candidate", 200, "", `{"usageMetadata":{"promptTokenCount":3}}`, Broken, "bad_response"},
		{"a candidate with nothing", 200, "", `{"candidates":[{"index":0}]}`, Broken, "bad_response"},
		{"an error in a success", 200, "", withError("503", "UNAVAILABLE", "The model is overloaded. Please try again later."), Transient, "server_error"},
		{"an error without a number in a success", 200, "", `{"error":{"message":"x","status":"RESOURCE_EXHAUSTED"}}`, SlowDown, "rate_limit_exceeded"},
		{"the list of a stream in a success", 200, "", "[" + withError("500", "INTERNAL", "x") + "]", Transient, "server_error"},
		{"the list of a stream", 400, "", "[" + badKey + "\n]", Fatal, "server_error"},
		{"the event of a stream", 200, "", "data: " + withError("429", "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota).") + "\n\n", SlowDown, "rate_limit_exceeded"},
		// github.com/googleapis/python-genai/issues/2065
		{"a rate limit without details", 429, "", withError("429", "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."), SlowDown, "rate_limit_exceeded"},
		// github.com/googleapis/python-genai/issues/1427
		{"a rate limit with a link alone", 429, "", geminiQuota(exceeded, ""), SlowDown, "rate_limit_exceeded"},
		{"requests a minute", 429, "", geminiQuota(exceeded, fill(violation, "GenerateRequestsPerMinutePerProjectPerModel-FreeTier")+fill(retryInfo, "58s")), SlowDown, "rate_limit_exceeded"},
		{"tokens a minute", 429, "", geminiQuota(exceeded, fill(violation, "GenerateContentInputTokensPerModelPerMinute-FreeTier")), SlowDown, "rate_limit_exceeded"},
		// github.com/voideditor/void/issues/557
		{"requests a day", 429, "", geminiQuota(exceeded, fill(violation, "GenerateRequestsPerDayPerProjectPerModel-FreeTier")+fill(retryInfo, "58s")), UsedUp, "rate_limit_exceeded"},
		{"a minute's and a day's", 429, "", geminiQuota(exceeded, fill(violation, "GenerateRequestsPerMinutePerProjectPerModel-FreeTier")+fill(violation, "GenerateRequestsPerDayPerProjectPerModel-FreeTier")), UsedUp, "rate_limit_exceeded"},
		// github.com/continuedev/continue/issues/12749: the free tier at a model that is not free.
		{"nothing of a quota", 429, "", geminiQuota(exceeded+`\n* Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_free_tier_requests, limit: 0, model: gemini-2.5-pro\nPlease retry in 45.1s.`, fill(violation, "GenerateRequestsPerDayPerProjectPerModel-FreeTier")), Fatal, "server_error"},
		// github.com/ogkalu2/comic-translate/issues/403
		{"something of a quota", 429, "", geminiQuota(exceeded+`\n* Quota exceeded for metric: x, limit: 10, model: m\nPlease retry in 45.1s.`, ""), SlowDown, "rate_limit_exceeded"},
		// github.com/tech-shrimp/gemini-playground/issues/10, with its quota in the reason's metadata.
		{"a region's minute", 429, "", `{"error":{"code":429,"message":"Quota exceeded for quota metric 'Generate Content API requests per minute' and limit 'GenerateContent request limit per minute for a region' of service 'generativelanguage.googleapis.com' for consumer 'project_number:1'.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_EXCEEDED","domain":"googleapis.com","metadata":{"quota_limit_value":"0","quota_limit":"GenerateContentRequestsPerMinutePerProjectPerRegion"}}]}}`, SlowDown, "rate_limit_exceeded"},
		{"a day in the reason's metadata", 429, "", `{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"RATE_LIMIT_EXCEEDED","domain":"googleapis.com","metadata":{"quota_limit":"GenerateContentRequestsPerDayPerProject"}}]}}`, UsedUp, "rate_limit_exceeded"},
		// github.com/JeffOtano/roni/pull/125
		{"no credit", 429, "", withError("429", "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted. Please go to AI Studio at https://ai.studio/projects to manage your project and billing."), Fatal, "server_error"},
		{"a spending cap", 429, "", withError("429", "RESOURCE_EXHAUSTED", "Your project has exceeded its monthly spending cap. Please go to AI Studio at https://ai.studio/spend"), Fatal, "server_error"},
		// github.com/continuedev/continue/issues/10290
		{"a wrong key", 400, "", badKey, Fatal, "server_error"},
		{"an expired key", 400, "", withError("400", "INVALID_ARGUMENT", "API key expired. Please renew the API key."), Fatal, "server_error"},
		{"a key without the right", 401, "", withError("401", "UNAUTHENTICATED", "Request had invalid authentication credentials."), Fatal, "server_error"},
		// github.com/continuedev/continue/issues/11541
		{"a leaked key", 403, "", withError("403", "PERMISSION_DENIED", "Your API key was reported as leaked. Please use another API key."), Fatal, "server_error"},
		{"no key", 403, "", withError("403", "PERMISSION_DENIED", "Method doesn't allow unregistered callers (callers without established identity)."), Fatal, "server_error"},
		{"another 403", 403, "", withError("403", "PERMISSION_DENIED", "You do not have permission to access tuned model x."), Fatal, "server_error"},
		// ai.google.dev/gemini-api/docs/troubleshooting
		{"a country", 400, "", withError("400", "FAILED_PRECONDITION", "User location is not supported for the API use."), Fatal, "server_error"},
		{"no billing", 400, "", withError("400", "FAILED_PRECONDITION", "Gemini API free tier is not available in your country. Please enable billing on your project in Google AI Studio."), Fatal, "server_error"},
		{"a file that is not ready", 400, "", withError("400", "FAILED_PRECONDITION", "The File x is not in an ACTIVE state and usage is not allowed."), Terminal, "invalid_request"},
		// github.com/wwardaww/gnome-gemini-ai/issues/21
		{"no such model", 404, "", withError("404", "NOT_FOUND", "models/gemini-1.0-pro is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the list of available models and their supported methods."), Fatal, "server_error"},
		// github.com/google-gemini/gemini-cli/issues/4231
		{"too long", 400, "", withError("400", "INVALID_ARGUMENT", "The input token count (3475108) exceeds the maximum number of tokens allowed (1048576)."), Terminal, "context_length_exceeded"},
		// ai.google.dev/gemini-api/docs, "Image understanding": 20 MB a request.
		{"too large", 400, "", withError("400", "INVALID_ARGUMENT", "Request payload size exceeds the limit: 20971520 bytes."), Terminal, "context_length_exceeded"},
		{"a wrong parameter", 400, "", withError("400", "INVALID_ARGUMENT", "Invalid value at 'generation_config.temperature'"), Terminal, "invalid_request"},
		{"cancelled", 499, "", withError("499", "CANCELLED", "The operation was cancelled."), Transient, "server_error"},
		{"500", 500, "", withError("500", "INTERNAL", "An internal error has occurred."), Transient, "server_error"},
		{"overloaded", 503, "", withError("503", "UNAVAILABLE", "The model is overloaded. Please try again later."), Transient, "server_error"},
		{"504", 504, "", withError("504", "DEADLINE_EXCEEDED", "The request timed out. Please try again."), Transient, "timeout"},
	})
}

func TestGeminiAnswerFields(t *testing.T) {
	a := Gemini{}.Answer(&geminiEndpoint, 200, http.Header{}, []byte(`{"candidates":[{"content":{"parts":[{"text":"hm","thought":true},{"text":"4"},{"text":"2"},{"functionCall":{"name":"f","args":{"a":"ü"}},"thoughtSignature":"c2ln"},{"functionCall":{"id":"own","name":"g"}}],"role":"model"},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"toolUsePromptTokenCount":2,"candidatesTokenCount":4,"thoughtsTokenCount":10,"totalTokenCount":19},"modelVersion":"m-1","responseId":"r1"}`))
	if a.Text != "42" || a.Model != "m-1" || a.FinishReason != "tool_calls" || a.RequestID != "r1" {
		t.Errorf("got %+v", a)
	}
	if *a.PromptTokens != 5 || *a.CompletionTokens != 14 || *a.TotalTokens != 19 {
		t.Errorf("tokens %d %d %d", *a.PromptTokens, *a.CompletionTokens, *a.TotalTokens)
	}
	if want := `[{"id":"call_3","type":"function","function":{"name":"f","arguments":"{\"a\":\"ü\"}"},"extra_content":{"google":{"thought_signature":"c2ln"}}},{"id":"own","type":"function","function":{"name":"g","arguments":"{}"}}]`; string(a.ToolCalls) != want {
		t.Errorf("calls %s", a.ToolCalls)
	}
	for reason, want := range map[string]string{"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter", "RECITATION": "content_filter", "SPII": "content_filter", "BLOCKLIST": "content_filter", "PROHIBITED_CONTENT": "content_filter", "LANGUAGE": "other", "OTHER": "other", "NEW": "other"} {
		a := Gemini{}.Answer(&geminiEndpoint, 200, http.Header{}, []byte(strings.Replace(geminiOK, "STOP", reason, 1)))
		if a.FinishReason != want || a.Class != Done {
			t.Errorf("%s: %s %s", reason, a.Class, a.FinishReason)
		}
	}
	a = Gemini{}.Answer(&geminiEndpoint, 200, http.Header{}, []byte(`{"candidates":[{"finishReason":"MAX_TOKENS"}],"usageMetadata":{"promptTokenCount":3,"totalTokenCount":3}}`))
	if *a.CompletionTokens != 0 || *a.TotalTokens != 3 {
		t.Errorf("a zero that is left out: %d %d", *a.CompletionTokens, *a.TotalTokens)
	}
	if a := (Gemini{}).Answer(&geminiEndpoint, 200, http.Header{}, []byte(`{"candidates":[{"content":{"parts":[{"text":"x"}]},"finishReason":"STOP"}]}`)); a.TotalTokens != nil || a.PromptTokens != nil || a.CompletionTokens != nil {
		t.Error("tokens that were not reported are not null")
	}
	a = Gemini{}.Answer(&geminiEndpoint, 200, http.Header{}, []byte(`{"promptFeedback":{"blockReason":"SAFETY"}}`))
	if !strings.Contains(a.Message, "SAFETY") {
		t.Errorf("it says %q", a.Message)
	}
}

func TestGeminiSentenceNamesTheVariable(t *testing.T) {
	a := Gemini{}.Answer(&geminiEndpoint, 400, http.Header{}, []byte(`{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}`))
	if !strings.Contains(a.Message, "set GEMINI_API_KEY") {
		t.Errorf("it says %q", a.Message)
	}
}

func TestGeminiRetryInfoAndLimits(t *testing.T) {
	for _, c := range []struct {
		delay, header string
		want          time.Duration
	}{
		{"58s", "", 58 * time.Second},
		{"3.500s", "", 3500 * time.Millisecond},
		{"0s", "", 0},
		{"5s", "9", 9 * time.Second},
		{"9s", "5", 9 * time.Second},
		{"-3s", "", time.Minute},
		{"soon", "", time.Minute},
		{"9999999s", "", time.Minute},
		{"NaNs", "", time.Minute},
	} {
		h := http.Header{}
		if c.header != "" {
			h.Set("Retry-After", c.header)
		}
		a := Gemini{}.Answer(&geminiEndpoint, 429, h, []byte(geminiQuota("x", fill(violation, "GenerateRequestsPerMinutePerProjectPerModel")+fill(retryInfo, c.delay))))
		if a.RetryAfter != c.want {
			t.Errorf("%q and %q: %s, want %s", c.delay, c.header, a.RetryAfter, c.want)
		}
		if a.Limits.RequestsPerMinute != 10 {
			t.Errorf("limits %+v", a.Limits)
		}
	}
	a := Gemini{}.Answer(&geminiEndpoint, 429, http.Header{}, []byte(geminiQuota("Please retry in 45.1s.", fill(violation, "GenerateContentInputTokensPerModelPerMinute-FreeTier")+fill(violation, "GenerateRequestsPerDayPerProjectPerModel"))))
	if a.RetryAfter != 45100*time.Millisecond || a.Limits.InputTokensPerMinute != 10 || a.Limits.RequestsPerMinute != 0 {
		t.Errorf("%s, %+v", a.RetryAfter, a.Limits)
	}
}
