package provider

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promptforge/promptforge/job"
)

var testEndpoint = Endpoint{Provider: "openai", Group: "default", Dialect: OpenAI{}, Key: "sk-canary", KeyName: "OPENAI_API_KEY"}

func parse(t *testing.T, line string) *job.Prompt {
	t.Helper()
	var p job.Parser
	got, err := p.Parse([]byte(line), 1)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestOpenAIRequest(t *testing.T) {
	for _, c := range []struct{ name, model, line, want string }{
		{
			"prompt", "gpt-4o-mini", `{"prompt_id":1,"prompt":"hé \"x\""}`,
			`{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hé \"x\""}]}`,
		},
		{
			"everything", "gpt-4o-mini", `{"prompt_id":1,"system":"be brief","prompt":"q","temperature":0.5,"top_p":1,"max_tokens":10,"stop":"x","seed":7,"response_format":{"type":"json_object"},"tools":[{"type":"function"}],"tool_choice":"auto"}`,
			`{"model":"gpt-4o-mini","messages":[{"role":"system","content":"be brief"},{"role":"user","content":"q"}],"temperature":0.5,"top_p":1,"max_tokens":10,"stop":["x"],"seed":7,"response_format":{"type":"json_object"},"tools":[{"type":"function"}],"tool_choice":"auto"}`,
		},
		{
			"messages as they are", "m", `{"prompt_id":1,"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"https://x.example/y.png"}}]}]}`,
			`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"https://x.example/y.png"}}]}]}`,
		},
		{
			"extra_body is laid over", "m", `{"prompt_id":1,"prompt":"q","temperature":1,"extra_body":{"temperature":0,"top_k":3}}`,
			`{"model":"m","messages":[{"role":"user","content":"q"}],"temperature":0,"top_k":3}`,
		},
		{
			"reasoning models take another limit", "gpt-5-mini", `{"prompt_id":1,"prompt":"q","max_tokens":5}`,
			`{"model":"gpt-5-mini","messages":[{"role":"user","content":"q"}],"max_completion_tokens":5}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, body, err := OpenAI{}.Request(&testEndpoint, c.model, parse(t, c.line))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(body)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The error bodies are those of OpenAI's error codes guide, of vLLM's
// ErrorResponse, of Ollama's and OpenRouter's documentation.
func TestOpenAIAnswerClasses(t *testing.T) {
	const ok = `{"id":"c","object":"chat.completion","model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":"assistant","content":"42","refusal":null},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}`
	for _, c := range []struct {
		name   string
		status int
		body   string
		class  Class
		code   string
	}{
		{"an answer", 200, ok, Done, ""},
		{"an empty answer that was cut by its limit", 200, strings.NewReplacer(`"42"`, `""`, "stop", "length").Replace(ok), Done, ""},
		{"usage in floats", 200, `{"model":"m","choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":3.0,"total_tokens":"4"},"error":""}`, Done, ""},
		{"a refusal that is an object", 200, `{"model":"m","choices":[{"message":{"content":"x","refusal":{}}}]}`, Done, ""},
		{"a spent account without a code", 429, `{"error":{"message":"quota","type":"insufficient_quota","code":null}}`, Fatal, job.CodeServerError},
		{"a redirect", 301, ``, Fatal, job.CodeServerError},
		{"a prompt that no endpoint takes", 404, `{"error":{"message":"No endpoints found for this model that support image input","code":404}}`, Terminal, job.CodeInvalidRequest},
		{"tool calls alone", 200, `{"model":"m","choices":[{"message":{"content":null,"tool_calls":[{"id":"1"}]},"finish_reason":"tool_calls"}]}`, Done, ""},
		{"content in parts", 200, `{"model":"m","choices":[{"message":{"content":[{"type":"text","text":"a"},{"type":"thinking"}]},"finish_reason":"stop"}]}`, Done, ""},
		{"withheld by a filter", 200, `{"model":"m","choices":[{"message":{"content":""},"finish_reason":"content_filter"}]}`, Terminal, job.CodeContentFiltered},
		{"filtered, but with text", 200, `{"model":"m","choices":[{"message":{"content":"half"},"finish_reason":"content_filter"}]}`, Done, ""},
		{"a refusal", 200, `{"model":"m","choices":[{"message":{"content":null,"refusal":"no"},"finish_reason":"stop"}]}`, Terminal, job.CodeContentFiltered},
		{"cut in the middle", 200, ok[:100], Broken, job.CodeBadResponse},
		{"a proxy's page", 200, `<html>`, Broken, job.CodeBadResponse},
		{"nothing", 200, ``, Broken, job.CodeBadResponse},
		{"no choice", 200, `{"model":"m","choices":[]}`, Broken, job.CodeBadResponse},
		{"an error in a success", 200, `{"error":{"message":"upstream","code":502}}`, Transient, job.CodeServerError},
		{"a rate limit in a success", 200, `{"error":{"message":"slow","code":429}}`, SlowDown, job.CodeRateLimit},
		{"a rate limit", 429, `{"error":{"message":"Rate limit reached for gpt-4o-mini in organization org-x on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s.","type":"requests","param":null,"code":"rate_limit_exceeded"}}`, SlowDown, job.CodeRateLimit},
		{"a day's requests", 429, `{"error":{"message":"Rate limit reached for gpt-4o-mini on requests per day (RPD): Limit 200, Used 200, Requested 1.","type":"requests","code":"rate_limit_exceeded"}}`, UsedUp, job.CodeRateLimit},
		{"a spent account", 429, `{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`, Fatal, job.CodeServerError},
		{"a prompt over the limit", 429, `{"error":{"message":"Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 40000.","type":"tokens","code":"rate_limit_exceeded"}}`, TooLarge, job.CodeRateLimit},
		{"a wrong key", 401, `{"error":{"message":"Incorrect API key provided: sk-canary.","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`, Fatal, job.CodeServerError},
		{"another 403", 403, `{"error":{"message":"Country, region, or territory not supported","code":"unsupported_country_region_territory"}}`, Fatal, job.CodeServerError},
		{"no credit", 402, `{"error":{"message":"Insufficient credits","code":402}}`, Fatal, job.CodeServerError},
		{"no such model", 404, `{"error":{"message":"The model 'gpt-9' does not exist or you do not have access to it.","type":"invalid_request_error","param":null,"code":"model_not_found"}}`, Fatal, job.CodeServerError},
		{"no such model at vLLM", 404, `{"object":"error","message":"The model x does not exist.","type":"NotFoundError","param":null,"code":404}`, Fatal, job.CodeServerError},
		{"no such model at Ollama", 404, `{"error":"model \"x\" not found, try pulling it first"}`, Fatal, job.CodeServerError},
		{"no such route", 404, `{"error":{"message":"Invalid URL (POST /v1/v1/chat/completions)","type":"invalid_request_error","param":null,"code":null}}`, Fatal, job.CodeServerError},
		{"too long", 400, `{"error":{"message":"This model's maximum context length is 128000 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`, Terminal, job.CodeContextLength},
		{"a policy", 400, `{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","code":"content_filter"}}`, Terminal, job.CodeContentFiltered},
		{"a wrong parameter", 400, `{"error":{"message":"Invalid value for 'temperature'.","type":"invalid_request_error","param":"temperature","code":null}}`, Terminal, job.CodeInvalidRequest},
		{"not processable", 422, `{"detail":[{"msg":"bad"}]}`, Terminal, job.CodeInvalidRequest},
		{"overloaded", 503, `{"error":{"message":"The engine is currently overloaded, please try again later","type":"server_error"}}`, Transient, job.CodeServerError},
		{"529", 529, ``, Transient, job.CodeServerError},
		{"a proxy's 502", 502, `<html>`, Transient, job.CodeServerError},
		{"a gateway's timeout", 504, ``, Transient, job.CodeTimeout},
		{"409", 409, ``, Transient, job.CodeServerError},
		{"425", 425, ``, Transient, job.CodeServerError},
		{"408", 408, ``, Transient, job.CodeTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := OpenAI{}.Answer(&testEndpoint, c.status, http.Header{}, []byte(c.body))
			if a.Class != c.class || a.Code != c.code {
				t.Errorf("it means %s %q, want %s %q (%s)", a.Class, a.Code, c.class, c.code, a.Message)
			}
			if a.Class != Done && a.Message == "" {
				t.Error("it has no message")
			}
			if strings.Contains(a.Message, testEndpoint.Key) {
				t.Errorf("the message holds the credential: %s", a.Message)
			}
		})
	}
}

func TestOpenAIAnswerFields(t *testing.T) {
	h := http.Header{}
	h.Set("x-request-id", "req_1")
	h.Set("x-ratelimit-limit-requests", "5000")
	h.Set("x-ratelimit-remaining-requests", "0")
	a := OpenAI{}.Answer(&testEndpoint, 200, h, []byte(`{"model":"m-1","choices":[{"message":{"content":"42"},"finish_reason":"eos"}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}`))
	if a.Text != "42" || a.Model != "m-1" || a.FinishReason != "other" || *a.TotalTokens != 4 || a.RequestID != "req_1" {
		t.Errorf("got %+v", a)
	}
	if a.Limits.RequestsPerMinute != 5000 || !a.Limits.NoneLeft {
		t.Errorf("limits %+v", a.Limits)
	}
	if a := (OpenAI{}).Answer(&testEndpoint, 200, h, []byte(`{"model":"m","choices":[{"message":{"content":"x"}}]}`)); a.TotalTokens != nil {
		t.Error("tokens that were not reported are not null")
	}
}

func TestFatalSentenceNamesTheVariable(t *testing.T) {
	a := OpenAI{}.Answer(&testEndpoint, 401, http.Header{}, []byte(`{"error":{"message":"bad key"}}`))
	if !strings.Contains(a.Message, "set OPENAI_API_KEY") {
		t.Errorf("it says %q", a.Message)
	}
}

// asked is how long the one waits who is refused for the rate with a header.
func asked(h http.Header) time.Duration {
	a := OpenAI{}.Answer(&testEndpoint, 429, h, nil)
	return a.RetryAfter
}

func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		name, header, value string
		want                time.Duration
	}{
		{"nothing", "X", "", 0},
		{"seconds", "Retry-After", "7", 7 * time.Second},
		{"milliseconds", "retry-after-ms", "1500", 1500 * time.Millisecond},
		{"a fraction", "Retry-After", "0.5", 500 * time.Millisecond},
		{"negative", "Retry-After", "-3", time.Minute},
		{"absurd", "Retry-After", "99999999999", time.Minute},
		{"over seven days", "Retry-After", "700000", time.Minute},
		{"words", "Retry-After", "soon", time.Minute},
		{"not a number", "Retry-After", "NaN", time.Minute},
		{"a date long gone", "Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT", time.Minute},
	} {
		h := http.Header{}
		h.Set(c.header, c.value)
		if got := asked(h); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	h := http.Header{}
	h.Set("Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
	if got := asked(h); got < 59*time.Minute || got > time.Hour {
		t.Errorf("a date in an hour: %s", got)
	}
}

// Nonsense is a minute for the prompt, nothing for the lane, and no time at
// which a day's quota is there again. Where sense is named, too, it counts.
func TestNonsenseTellsTheLaneNothing(t *testing.T) {
	const daily = `{"error":{"message":"Limit reached on requests per day (RPD)."}}`
	for _, v := range []string{"1e9", "-1", "soon", "Thu, 01 Jan 1970 00:00:00 GMT"} {
		h := http.Header{"Retry-After": {v}}
		a := OpenAI{}.Answer(&testEndpoint, 429, h, nil)
		if a.Class != SlowDown || a.RetryAfter != time.Minute || a.Pause() != 0 {
			t.Errorf("%s: the prompt waits %s and the lane %s", v, a.RetryAfter, a.Pause())
		}
		a = OpenAI{}.Answer(&testEndpoint, 429, h, []byte(daily))
		if a.Class != UsedUp || a.RetryAfter != 0 {
			t.Errorf("%s: a day's quota is back in %s", v, a.RetryAfter)
		}
		a = OpenAI{}.Answer(&testEndpoint, 429, h, []byte(`{"error":{"message":"Please try again in 20s."}}`))
		if a.RetryAfter != 20*time.Second || a.Pause() != 20*time.Second {
			t.Errorf("%s, and in words: %s, %s", v, a.RetryAfter, a.Pause())
		}
	}
}
