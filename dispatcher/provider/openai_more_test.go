package provider

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promptforge/promptforge/dispatcher/rate"
)

// What servers that speak like OpenAI say in their own words.
func TestOpenAICompatibleClasses(t *testing.T) {
	const ok = `{"model":"m","choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}`
	checkAnswers(t, &testEndpoint, []answerCase{
		{"an answer", 200, "", ok, Done, ""},
		{"cut in the middle", 200, "", ok[:20], Broken, "bad_response"},
		{"a filter", 200, "", `{"model":"m","choices":[{"message":{"content":""},"finish_reason":"content_filter"}]}`, Terminal, "content_filtered"},
		{"no message", 200, "", `{"model":"m","choices":[{"finish_reason":"stop"}]}`, Broken, "bad_response"},
		// OpenRouter's documentation, "Errors", "Mid-stream and choice errors".
		{"OpenRouter's upstream failed", 200, "", `{"model":"m","choices":[{"message":{"content":""},"finish_reason":"error","error":{"code":502,"message":"Upstream error"}}]}`, Transient, "server_error"},
		{"OpenRouter's upstream failed after some text", 200, "", `{"model":"m","choices":[{"message":{"content":"half"},"finish_reason":"error","error":{"code":502,"message":"Upstream error"}}]}`, Done, ""},
		{"the error of a stream", 200, "", "data: {\"error\":{\"message\":\"The server had an error while processing your request\",\"type\":\"server_error\"}}\n\ndata: [DONE]\n\n", Transient, "server_error"},
		{"a rate limit of a stream, behind a comment", 200, "", ": OPENROUTER PROCESSING\n\ndata: {\"error\":{\"message\":\"slow\",\"type\":\"rate_limit_exceeded\"}}\n\n", SlowDown, "rate_limit_exceeded"},
		{"a spent account in a success", 200, "", `{"error":{"message":"x","type":"insufficient_quota"}}`, Fatal, "server_error"},
		{"a bad key in a success", 200, "", `{"error":{"message":"x","code":"invalid_api_key"}}`, Fatal, "server_error"},
		// help.openai.com, "Troubleshooting API usage and spend limits".
		{"no prepaid credit", 429, "", `{"error":{"message":"You have no credits remaining. Add credits to continue using the API","type":"insufficient_quota","code":"credit_balance_exhausted"}}`, Fatal, "server_error"},
		{"a spend limit", 429, "", `{"error":{"message":"x","type":"rate_limit_error","code":"project_spend_limit_exceeded"}}`, Fatal, "server_error"},
		// OpenAI's error codes guide.
		{"slow down", 429, "", `{"error":{"message":"Slow down","type":"rate_limit_error","code":"slow_down"}}`, SlowDown, "rate_limit_exceeded"},
		{"slow down, overloaded", 503, "", `{"error":{"message":"Slow down","type":"service_unavailable_error","code":"slow_down"}}`, Transient, "server_error"},
		// github.com/elizaOS/eliza/issues/4040
		{"over Groq's limit by itself", 413, "", "{\"error\":{\"message\":\"Request too large for model `llama-3.1-8b-instant` in organization `x` service tier `on_demand` on tokens per minute (TPM): Limit 6000, Requested 6294, please reduce your message size and try again.\",\"type\":\"tokens\",\"code\":\"rate_limit_exceeded\"}}", TooLarge, "rate_limit_exceeded"},
		// github.com/Aider-AI/aider/issues/3265
		{"Groq's rate limit", 429, "", `{"error":{"message":"Rate limit reached for model x on tokens per minute (TPM): Limit 15000, Used 11972, Requested 4351. Please try again in 5.289s.","type":"tokens","code":"rate_limit_exceeded"}}`, SlowDown, "rate_limit_exceeded"},
		{"Groq's day", 429, "", `{"error":{"message":"Rate limit reached for model x on tokens per day (TPD): Limit 500000, Used 499900, Requested 1000. Please try again in 2m35.5s.","type":"tokens","code":"rate_limit_exceeded"}}`, UsedUp, "rate_limit_exceeded"},
		// github.com/Gitlawb/openclaude/issues/936
		{"OpenRouter's free day", 429, "", `{"error":{"message":"Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day","code":429}}`, UsedUp, "rate_limit_exceeded"},
		{"Azure's deployment", 404, "", `{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}`, Fatal, "server_error"},
		{"OpenRouter's model", 400, "", `{"error":{"message":"x/y is not a valid model ID","code":400}}`, Fatal, "server_error"},
		// github.com/oobabooga/textgen/issues/7257
		{"too long for llama.cpp", 400, "", `{"error":{"code":400,"message":"the request exceeds the available context size. try increasing the context size or enable context shift","type":"exceed_context_size_error","n_prompt_tokens":14429,"n_ctx":8192}}`, Terminal, "context_length_exceeded"},
		// As llama.cpp's server of October 2026 answers.
		{"too long for a newer llama.cpp", 400, "", `{"error":{"code":400,"message":"request (5432 tokens) exceeds the available context size (2048 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":5432,"n_ctx":2048}}`, Terminal, "context_length_exceeded"},
		{"an image for a llama.cpp that cannot see", 500, "", `{"error":{"code":500,"message":"image input is not supported - hint: if this is unexpected, you may need to provide the mmproj","type":"server_error"}}`, Terminal, "invalid_request"},
		{"a schema that llama.cpp cannot read", 400, "", `{"error":{"code":400,"message":"Unable to generate parser for this template. Automatic parser generation failed: JSON schema error at #: unrecognized type nonsense","type":"invalid_request_error"}}`, Terminal, "invalid_request"},
		// github.com/ggml-org/llama.cpp/pull/15780: the same with 500.
		{"too long for an older llama.cpp", 500, "", `{"error":{"code":500,"message":"the request exceeds the available context size. try increasing the context size or enable context shift","type":"exceed_context_size_error","n_prompt_tokens":1407,"n_ctx":256}}`, Terminal, "context_length_exceeded"},
		// github.com/Gitlawb/openclaude/issues/353
		{"too long for LM Studio", 400, "", `{"error":"The number of tokens to keep from the initial prompt is greater than the context length (n_keep: 13055>= n_ctx: 4096). Try to load the model with a larger context length, or provide a shorter input."}`, Terminal, "context_length_exceeded"},
		{"too long for a newer LM Studio", 400, "", `{"error":"Cannot truncate prompt with n_keep (15028) >= n_ctx (7424)"}`, Terminal, "context_length_exceeded"},
		{"too long for Together", 422, "", `{"error":{"message":"Input (9000 tokens) is longer than the model's context length (8192 tokens)","type":"invalid_request_error"}}`, Terminal, "context_length_exceeded"},
		// llama.cpp's server while its model loads (tools/server/README.md).
		{"a model that loads", 503, "", `{"error":{"message":"Loading model","type":"unavailable_error","code":503}}`, Transient, "server_error"},
	})
}

func TestOpenAIWaits(t *testing.T) {
	for message, want := range map[string]time.Duration{
		"Please try again in 20s.":    20 * time.Second,
		"Please try again in 7m12s.":  7*time.Minute + 12*time.Second,
		"Please try again in 6ms.":    6 * time.Millisecond,
		"Please try again in 1h2m3s.": time.Hour + 2*time.Minute + 3*time.Second,
		"Please try again in 900h.":   time.Minute,
		"Please try again later.":     0,
	} {
		a := OpenAI{}.Answer(&testEndpoint, 429, http.Header{}, []byte(`{"error":{"message":"Rate limit reached. `+message+`"}}`))
		if a.RetryAfter != want {
			t.Errorf("%q: %s, want %s", message, a.RetryAfter, want)
		}
	}
	h := http.Header{}
	h.Set("Date", "Wed, 21 Oct 2015 07:28:00 GMT")
	h.Set("Retry-After", "Wed, 21 Oct 2015 07:28:09 GMT")
	if got := asked(h); got != 9*time.Second {
		t.Errorf("a date by the server's own clock: %s", got)
	}
	for _, v := range []string{"-1", "NaN", "1e300", "soon"} {
		h := http.Header{}
		h.Set("retry-after-ms", v)
		if got := asked(h); got != time.Minute {
			t.Errorf("retry-after-ms %s: %s", v, got)
		}
	}
}

func TestOpenAILimits(t *testing.T) {
	// community.openai.com/t/1268905
	headers := map[string]string{
		"x-ratelimit-limit-requests": "5000", "x-ratelimit-remaining-requests": "4999", "x-ratelimit-reset-requests": "12ms",
		"x-ratelimit-limit-tokens": "160000", "x-ratelimit-remaining-tokens": "159976", "x-ratelimit-reset-tokens": "9ms",
	}
	openAI := rate.Limits{
		RequestsPerMinute: 5000, TokensPerMinute: 160000,
		Requests: rate.Budget{Known: true, Left: 4999, Reset: 12 * time.Millisecond},
		Tokens:   rate.Budget{Known: true, Left: 159976, Reset: 9 * time.Millisecond},
	}
	groq := openAI
	groq.RequestsPerMinute, groq.Requests = 0, rate.Budget{}
	for _, c := range []struct {
		base, reset string
		want        rate.Limits
	}{
		{"https://api.openai.com/v1", "12ms", openAI},
		// console.groq.com/docs/rate-limits: requests are per day.
		{"https://api.groq.com/openai/v1", "2m59.56s", groq},
		{"https://api.openai.com/v1", "7h12m0s", groq},
	} {
		h := http.Header{}
		for name, value := range headers {
			h.Set(name, value)
		}
		h.Set("x-ratelimit-reset-requests", c.reset)
		if diff := cmp.Diff(c.want, openAILimits(&Endpoint{BaseURL: c.base}, h)); diff != "" {
			t.Errorf("%s, %s: %s", c.base, c.reset, diff)
		}
	}
	for reset, want := range map[string]time.Duration{"": 0, "1.5": 1500 * time.Millisecond, "-3": 0, "never": 0, "99999999": 0, "6m0s": 6 * time.Minute} {
		h := http.Header{}
		h.Set("r", reset)
		if got := resetIn(h, "r"); got != want {
			t.Errorf("a reset of %q: %s, want %s", reset, got, want)
		}
	}
}

func TestMaxTokensField(t *testing.T) {
	for _, c := range []struct{ provider, base, model, want string }{
		{"openai", "https://api.openai.com/v1", "o1", "max_completion_tokens"},
		{"openai", "https://api.openai.com/v1", "o3-mini-2025-01-31", "max_completion_tokens"},
		{"openai", "https://api.openai.com/v1", "o4-mini", "max_completion_tokens"},
		{"openai", "https://api.openai.com/v1", "gpt-5", "max_completion_tokens"},
		{"openai", "https://api.openai.com/v1", "gpt-5.1-mini", "max_completion_tokens"},
		{"openai", "https://api.openai.com/v1", "ft:gpt-5-mini:org::id", "max_completion_tokens"},
		{"openai", "https://api.openai.com/v1", "gpt-4o", "max_tokens"},
		{"openai", "https://api.openai.com/v1", "gpt-50s", "max_tokens"},
		{"openai", "https://api.openai.com/v1", "o1x", "max_tokens"},
		{"mine", "https://eu.api.openai.com/v1", "gpt-5", "max_completion_tokens"},
		{"azure", "https://x.openai.azure.com/openai/v1", "o3", "max_completion_tokens"},
		{"local", "http://127.0.0.1:8000/v1", "gpt-5", "max_tokens"},
		{"evil", "https://notopenai.com/v1", "gpt-5", "max_tokens"},
	} {
		e := &Endpoint{Provider: c.provider, BaseURL: c.base}
		if got := maxTokensField(e, c.model); got != c.want {
			t.Errorf("%s at %s: %s", c.model, c.base, got)
		}
	}
}

func TestForbiddenSentenceQuotesNoPrompt(t *testing.T) {
	for body, want := range map[string]string{
		`{"error":{"message":"the prompt","code":"unsupported_country_region_territory"}}`: "unsupported_country_region_territory",
		`{"error":{"message":"the prompt","code":"the prompt"}}`:                           "403 Forbidden)",
		`{"error":{"message":"the prompt","code":403}}`:                                    "403 Forbidden)",
	} {
		a := OpenAI{}.Answer(&testEndpoint, 403, http.Header{}, []byte(body))
		if !strings.Contains(a.Message, want) || strings.Contains(a.Message, "the prompt") {
			t.Errorf("%s says %q", body, a.Message)
		}
	}
}

func TestRequestID(t *testing.T) {
	h := http.Header{"Cf-Ray": {"ray"}}
	if got := requestID(h); got != "ray" {
		t.Errorf("got %q", got)
	}
	h.Set("request-id", "req")
	if got := requestID(h); got != "req" {
		t.Errorf("got %q", got)
	}
	h.Set("x-request-id", strings.Repeat("ü", 1000)+"\xff")
	if got := requestID(h); len(got) > maxRequestID {
		t.Errorf("%d bytes", len(got))
	}
}
