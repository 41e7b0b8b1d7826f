package simulator

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// talk is how a test speaks one dialect.
type talk struct {
	name, path, model string
	header            [][2]string
	body              func(content string) string // the prompt as a JSON string
	text              string                      // where the answer's text is
}

// talks are in the order openai, anthropic, gemini, mistral.
var talks = []talk{
	{
		"openai", "/v1/chat/completions", "gpt-4o",
		[][2]string{{"Authorization", "Bearer sk-any"}},
		func(c string) string { return `{"model":"gpt-4o","messages":[{"role":"user","content":` + c + `}]}` }, "choices.0.message.content",
	},
	{
		"anthropic", "/v1/messages", "claude-sonnet-4-5",
		[][2]string{{"X-Api-Key", "sk-any"}, {"Anthropic-Version", "2023-06-01"}},
		func(c string) string {
			return `{"model":"claude-sonnet-4-5","max_tokens":4096,"messages":[{"role":"user","content":` + c + `}]}`
		}, "content.0.text",
	},
	{
		"gemini", "/v1beta/models/gemini-2.5-flash:generateContent", "gemini-2.5-flash",
		[][2]string{{"X-Goog-Api-Key", "any"}},
		func(c string) string { return `{"contents":[{"role":"user","parts":[{"text":` + c + `}]}]}` }, "candidates.0.content.parts.0.text",
	},
	{
		"mistral", "/v1/chat/completions", "mistral-large-latest",
		[][2]string{{"Authorization", "Bearer any"}},
		func(c string) string {
			return `{"model":"mistral-large-latest","messages":[{"role":"user","content":` + c + `}]}`
		}, "choices.0.message.content",
	},
}

// request asks for an answer to prompt at url.
func (d *talk) request(url, prompt string) *http.Request {
	content, _ := json.Marshal(prompt)
	return d.raw(url, d.path, d.body(string(content)))
}

func (d *talk) raw(url, path, body string) *http.Request {
	r, err := http.NewRequest(http.MethodPost, url+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	for _, h := range d.header {
		r.Header.Set(h[0], h[1])
	}
	return r
}

// send gives the answer to r, read to its end.
func (s *setup) send(r *http.Request) (reply, error) {
	s.t.Helper()
	res, err := s.web.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(b)}, err
}

func (s *setup) say(d *talk, prompt string) reply {
	s.t.Helper()
	got, err := s.send(d.request(s.url, prompt))
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

// at is the value at a path such as "choices.0.message" in a JSON document; nil
// where there is none.
func (r reply) at(t *testing.T, path string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
	for name := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			if i := int(name[0] - '0'); i < len(x) {
				v = x[i]
			} else {
				return nil
			}
		default:
			return nil
		}
	}
	return v
}

// Whatever the dialect, a test can tell whose answer it holds.
func TestAnswersOfAllDialects(t *testing.T) {
	s := start(t, Config{})
	for i := range talks {
		d := &talks[i]
		for _, prompt := range []string{"What is a \"mirror\"?\n", "ü😀", d.name} {
			got := s.say(d, prompt)
			if got.status != 200 || got.at(t, d.text) != Answer(prompt) {
				t.Errorf("%s: %q: %d %s", d.name, prompt, got.status, got.body)
			}
		}
		if c := s.Stats().ByDialect[d.name]; c.Requests != 3 || c.Answered != 3 {
			t.Errorf("%s: %+v", d.name, c)
		}
	}
	if st := s.Stats(); st.Requests != 12 || len(st.ByDialect) != 4 {
		t.Errorf("%+v", st)
	}
}

// A prefix picks the dialect, with and without the version where the dialect's
// own path has none of Google's.
func TestPrefixes(t *testing.T) {
	s := start(t, Config{})
	for i := range talks {
		d := &talks[i]
		got, err := s.send(d.raw(s.url, "/"+d.name+d.path, d.body(`"a"`)))
		if err != nil || got.status != 200 || got.at(t, d.text) != Answer("a") {
			t.Errorf("%s: %v %d %s", d.name, err, got.status, got.body)
		}
	}
	openai, mistral := &talks[0], &talks[3]
	for _, c := range []struct {
		path, body, dialect string
	}{
		{"/chat/completions", openai.body(`"a"`), "openai"},
		{"/chat/completions", mistral.body(`"a"`), "mistral"},
		{"/openai/chat/completions", openai.body(`"a"`), "openai"},
		{"/mistral/chat/completions", openai.body(`"a"`), "mistral"},
		{"/openai/v1/chat/completions", mistral.body(`"a"`), "openai"},
		{"/v1/chat/completions", `{"messages":[{"role":"user","content":"a"}],"random_seed":7,"model":"x"}`, "mistral"},
		{"/v1/chat/completions", `{"model":"x","safe_prompt":true,"messages":[{"role":"user","content":"a"}]}`, "mistral"},
		{"/v1/chat/completions", `{"model":"x","messages":[{"role":"user","content":"\"random_seed\":7"}]}`, "openai"},
		{"/v1/chat/completions", `{"model":"mistralai/Mistral-7B-Instruct-v0.3","messages":[{"role":"user","content":"a"}]}`, "openai"},
		{"/v1/chat/completions", `{"model":"mistral:7b","messages":[{"role":"user","content":"a"}]}`, "openai"},
		{"/v1/chat/completions", `{"model":"ministral-8b","stop":["x"],"messages":[{"role":"user","content":"a"}]}`, "mistral"},
	} {
		before := s.Stats().ByDialect[c.dialect].Answered
		got, err := s.send(openai.raw(s.url, c.path, c.body))
		if err != nil || got.status != 200 || s.Stats().ByDialect[c.dialect].Answered != before+1 {
			t.Errorf("%s %s is not answered as %s: %v %d %s", c.path, c.body, c.dialect, err, got.status, got.body)
		}
	}
	for _, path := range []string{"/klingon/v1/chat/completions", "/openai", "/mistral", "/mistral/v1/messages", "/v1beta/models/x:streamGenerateContent"} {
		if got, err := s.send(openai.raw(s.url, path, openai.body(`"a"`))); err != nil || got.status != 404 {
			t.Errorf("%s: %v %d", path, err, got.status)
		}
	}
}

// Every class, in every dialect: its status, and a word of its body.
func TestClassesOfAllDialects(t *testing.T) {
	type want struct {
		status int
		word   string
	}
	s := start(t, Config{Headers: true})
	for _, c := range []struct {
		class string
		want  [4]want // as talks
	}{
		{"400", [4]want{{400, "invalid_request_error"}, {400, "invalid_request_error"}, {400, "INVALID_ARGUMENT"}, {400, "invalid_request_error"}}},
		{"context_length", [4]want{{400, "context_length_exceeded"}, {400, "prompt is too long"}, {400, "exceeds the maximum number of tokens"}, {400, "too large for model"}}},
		{"413", [4]want{{413, "invalid_request_error"}, {413, "request_too_large"}, {400, "payload size exceeds"}, {413, "size limit"}}},
		{"blocked", [4]want{{400, "content_policy_violation"}, {400, "content filtering policy"}, {200, "PROHIBITED_CONTENT"}, {403, "guardrail"}}},
		{"too_large", [4]want{{429, "Request too large"}, {429, "rate_limit_error"}, {429, "RESOURCE_EXHAUSTED"}, {429, "rate_limited"}}},
		{"401", [4]want{{401, "invalid_api_key"}, {401, "authentication_error"}, {400, "API_KEY_INVALID"}, {401, "Unauthorized"}}},
		{"403", [4]want{{403, "request_forbidden"}, {403, "permission_error"}, {403, "PERMISSION_DENIED"}, {403, "Forbidden"}}},
		{"unknown_model", [4]want{{404, "model_not_found"}, {404, "not_found_error"}, {404, "NOT_FOUND"}, {400, "invalid_model"}}},
		{"insufficient_quota", [4]want{{429, "insufficient_quota"}, {400, "credit balance is too low"}, {429, "prepayment credits are depleted"}, {402, "Payment required"}}},
		{"402", [4]want{{402, "Insufficient credits"}, {402, "billing_error"}, {402, "FAILED_PRECONDITION"}, {402, "Payment required"}}},
		{"spend_limit", [4]want{{429, "organization_spend_limit_exceeded"}, {429, "enforced_spend_limit_reached"}, {429, "monthly spending cap"}, {403, "usage limit reached"}}},
		{"day_quota", [4]want{{429, "requests per day (RPD)"}, {429, "daily rate limit"}, {429, "PerDay"}, {429, "per day"}}},
		{"429", [4]want{{429, "rate_limit_exceeded"}, {429, "rate_limit_error"}, {429, "retryDelay"}, {429, "rate_limited"}}},
		{"429_silent", [4]want{{429, "rate_limit_exceeded"}, {429, "rate_limit_error"}, {429, "Resource has been exhausted"}, {429, "rate_limited"}}},
		{"408", [4]want{{408, "error"}, {408, "timeout_error"}, {408, "DEADLINE_EXCEEDED"}, {408, "error"}}},
		{"409", [4]want{{409, "error"}, {409, "error"}, {409, "ABORTED"}, {409, "error"}}},
		{"500", [4]want{{500, "server_error"}, {500, "api_error"}, {500, "INTERNAL"}, {500, "internal_server_error"}}},
		{"502", [4]want{{502, "<html>"}, {502, "<html>"}, {502, "<html>"}, {502, "<html>"}}},
		{"503", [4]want{{503, "server_error"}, {503, "api_error"}, {503, "UNAVAILABLE"}, {503, "Service unavailable"}}},
		{"504", [4]want{{504, "server_error"}, {504, "timeout_error"}, {504, "DEADLINE_EXCEEDED"}, {504, "timing out"}}},
		{"529", [4]want{{529, "server_error"}, {529, "overloaded_error"}, {529, "UNAVAILABLE"}, {529, "Service unavailable"}}},
		{"content_filter", [4]want{{200, `"content_filter"`}, {200, `"refusal"`}, {200, `"SAFETY"`}, {200, `"content_filter"`}}},
		{"refusal", [4]want{{200, `"refusal":"I'm sorry`}, {200, `"stop_reason":"refusal"`}, {200, "I'm sorry"}, {200, "I'm sorry"}}},
		{"empty", [4]want{{200, `"length"`}, {200, `"max_tokens"`}, {200, `"MAX_TOKENS"`}, {200, `"length"`}}},
		{"empty_body", [4]want{{200, ""}, {200, ""}, {200, ""}, {200, ""}}},
		{"html", [4]want{{200, "<!DOCTYPE html>"}, {200, "<!DOCTYPE html>"}, {200, "<!DOCTYPE html>"}, {200, "<!DOCTYPE html>"}}},
		{"sse_error", [4]want{{200, `data: {"error"`}, {200, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\""}, {200, `data: {"error":{"code":529`}, {200, `data: {"object":"error"`}}},
		{"error_200", [4]want{{200, `{"error"`}, {200, `{"type":"error"`}, {200, `"code": 503`}, {200, `"object":"error"`}}},
		{"no_such_class", [4]want{{400, "unknown_marker"}, {400, "not understood"}, {400, "not understood"}, {400, "not understood"}}},
	} {
		for i := range talks {
			d := &talks[i]
			got := s.say(d, "[[simulate:"+c.class+"]]")
			if got.status != c.want[i].status || !strings.Contains(got.body, c.want[i].word) {
				t.Errorf("%s: %s: %d %s", d.name, c.class, got.status, got.body)
			}
			if got.status != 200 && got.status != 502 && !json.Valid([]byte(got.body)) {
				t.Errorf("%s: %s: no JSON: %s", d.name, c.class, got.body)
			}
			if c.class == "empty_body" && got.body != "" {
				t.Errorf("%s: a body: %s", d.name, got.body)
			}
		}
	}
	covered := map[string]bool{"hang": true, "reset": true, "garbage": true, "truncated": true, "answer": true}
	for _, class := range Classes() {
		_, err := s.send(talks[1].request(s.url, "[[simulate:"+class+":0]]"))
		if err != nil && !covered[class] {
			t.Errorf("%s: %v", class, err)
		}
	}
}

// A cut, a reset and a truncation are the same under every dialect's answer.
func TestBrokenAnswersOfAllDialects(t *testing.T) {
	s := start(t, Config{})
	for i := range talks {
		d := &talks[i]
		if got := s.say(d, "[[simulate:garbage]]"); got.status != 200 || json.Valid([]byte(got.body)) || got.body == "" {
			t.Errorf("%s: garbage: %d %s", d.name, got.status, got.body)
		}
		if got, err := s.send(d.request(s.url, "[[simulate:truncated]]")); err == nil {
			t.Errorf("%s: truncated: whole: %s", d.name, got.body)
		}
		if _, err := s.send(d.request(s.url, "[[simulate:reset]]")); err == nil {
			t.Errorf("%s: reset: answered", d.name)
		}
	}
}

// Where and how each dialect says how long to wait.
func TestRetryAfterOfAllDialects(t *testing.T) {
	s := start(t, Config{Headers: true, RPM: 1, LimitKind: Fixed})
	silent := start(t, Config{RPM: 1, LimitKind: Fixed})
	for i := range talks {
		d := &talks[i]
		for _, each := range []*setup{s, silent} {
			each.must("POST", "/_reset", "")
			each.say(d, "a")
			got := each.say(d, "a")
			told := got.header.Get("Retry-After") != "" || strings.Contains(got.body, "RetryInfo")
			if got.status != 429 || told != (each == s) {
				t.Errorf("%s: %d, told is %v: %v %s", d.name, got.status, told, got.header, got.body)
			}
		}
	}
	got := s.say(&talks[2], "a")
	if delay, _ := got.at(t, "error.details.2.retryDelay").(string); !strings.HasSuffix(delay, "s") || delay < "5" {
		t.Errorf("retryDelay %q: %s", delay, got.body)
	}
	// A quota is named where it is reached, and nowhere else: a number would be
	// believed.
	if value, _ := got.at(t, "error.details.1.violations.0.quotaValue").(string); value != "1" {
		t.Errorf("quotaValue %q: %s", value, got.body)
	}
	free := start(t, Config{Headers: true})
	if ordered := free.say(&talks[2], "[[simulate:429]]"); ordered.status != 429 || strings.Contains(ordered.body, "quotaValue") {
		t.Errorf("an order names a quota: %d %s", ordered.status, ordered.body)
	}
}

func TestRateHeadersOfAllDialects(t *testing.T) {
	s := start(t, Config{Headers: true, RPM: 600, TPM: 60_000, LimitKind: Fixed})
	for i, names := range [][]string{
		{"X-Ratelimit-Limit-Requests:600", "X-Ratelimit-Remaining-Requests:599", "X-Ratelimit-Limit-Tokens:60000"},
		{"Anthropic-Ratelimit-Requests-Limit:600", "Anthropic-Ratelimit-Requests-Remaining:599", "Anthropic-Ratelimit-Tokens-Limit:60000"},
		{},
		{"X-Ratelimit-Limit-Req-Minute:600", "X-Ratelimit-Remaining-Req-Minute:599", "X-Ratelimit-Limit-Tokens-Minute:60000"},
	} {
		s.must("POST", "/_reset", "")
		got := s.say(&talks[i], "a")
		told := 0
		for name := range got.header {
			if strings.Contains(name, "Ratelimit") {
				told++
			}
		}
		if (told > 0) != (len(names) > 0) {
			t.Errorf("%s: %v", talks[i].name, got.header)
		}
		for _, each := range names {
			name, value, _ := strings.Cut(each, ":")
			if got.header.Get(name) != value {
				t.Errorf("%s: %s is %q, want %s", talks[i].name, name, got.header.Get(name), value)
			}
		}
	}
}

// Requests at once are refused in each dialect's words.
func TestConcurrencyOfAllDialects(t *testing.T) {
	for i, word := range []string{"concurrent requests", "concurrent connections", "Resource has been exhausted", "service_tier_capacity_exceeded"} {
		s, _ := New(Config{Concurrency: 1})
		s.gate.enter(epoch, 1)
		w := recorded(s, talks[i].request("", "a"))
		if w.Code != 429 || !strings.Contains(w.Body.String(), word) {
			t.Errorf("%s: %d %s", talks[i].name, w.Code, w.Body)
		}
	}
}

func TestMissingCredentialOfAllDialects(t *testing.T) {
	s := start(t, Config{})
	for i, want := range []struct {
		status int
		word   string
	}{{401, "API key"}, {401, "x-api-key header is required"}, {403, "unregistered callers"}, {401, "Unauthorized"}} {
		r := talks[i].request(s.url, "a")
		r.Header = http.Header{"Anthropic-Version": {"2023-06-01"}}
		got, err := s.send(r)
		// A body without a credential is not read, so that at the root Mistral
		// cannot be told.
		if i == 3 {
			r = talks[i].raw(s.url, "/mistral/v1/chat/completions", talks[i].body(`"a"`))
			r.Header = http.Header{}
			got, err = s.send(r)
		}
		if err != nil || got.status != want.status || !strings.Contains(got.body, want.word) {
			t.Errorf("%s: %v %d %s", talks[i].name, err, got.status, got.body)
		}
	}
}

func TestModelsOfAllDialects(t *testing.T) {
	s := start(t, Config{})
	for i, c := range []struct{ path, list, unknown string }{
		{"/v1/models", "data.0.id", "error.code"},
		{"/v1/models", "data.0.id", "error.type"},
		{"/v1beta/models", "models.0.name", "error.status"},
		{"/mistral/v1/models", "data.0.id", "type"},
	} {
		for suffix, at := range map[string]string{"": c.list, "/no-such-model": c.unknown} {
			r, err := http.NewRequest(http.MethodGet, s.url+c.path+suffix, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header = talks[i].request("", "").Header
			got, err := s.send(r)
			if err != nil || (got.status == 200) != (suffix == "") || got.at(t, at) == nil {
				t.Errorf("%s %s: %v %d %s", talks[i].name, suffix, err, got.status, got.body)
			}
			if i == 2 && suffix == "" && got.at(t, at) != "models/gemini-2.5-pro" {
				t.Errorf("gemini's list: %s", got.body)
			}
			if i == 1 && suffix == "" && !strings.Contains(got.body, "claude") {
				t.Errorf("anthropic's list: %s", got.body)
			}
		}
	}
	if got := s.Stats(); got.Requests != 0 {
		t.Errorf("lists are counted: %+v", got)
	}
}
