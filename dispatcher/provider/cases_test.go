package provider

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// requestCase is a line and the request that it becomes, or the field that the
// refusal names.
type requestCase struct{ name, line, want, refused string }

func checkRequests(t *testing.T, e *Endpoint, model string, cases []requestCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, body, err := e.Dialect.Request(e, model, parse(t, c.line))
			switch {
			case c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)):
				t.Errorf("it says %v, want a sentence about %s", err, c.refused)
			case c.refused != "":
				if !strings.HasSuffix(err.Error(), ".") {
					t.Errorf("%q is no sentence", err)
				}
			case err != nil:
				t.Error(err)
			default:
				if diff := cmp.Diff(c.want, string(body)); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// answerCase is an answer as a provider sends it, and what it means.
type answerCase struct {
	name   string
	status int
	header string // one, "name: value"
	body   string
	class  Class
	code   string
}

func checkAnswers(t *testing.T, e *Endpoint, cases []answerCase) {
	t.Helper()
	seen := map[Class]bool{}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{}
			if name, value, ok := strings.Cut(c.header, ": "); ok {
				h.Set(name, value)
			}
			body := readable([]byte(c.body))
			a := e.Dialect.Answer(e, c.status, h, body)
			if a.Class != c.class || a.Code != c.code {
				t.Errorf("it means %s %q, want %s %q (%s)", a.Class, a.Code, c.class, c.code, a.Message)
			}
			if a.Class != Done && a.Message == "" {
				t.Error("it has no message")
			}
			if strings.Contains(a.Message, e.Key) {
				t.Errorf("the message holds the credential: %s", a.Message)
			}
		})
		seen[c.class] = true
	}
	// Each row of docs/api.md, "What happens to a prompt", has a case. That a
	// prompt alone is over the limit only OpenAI and those like it say.
	for _, class := range []Class{Done, Broken, SlowDown, UsedUp, Transient, Fatal, Terminal} {
		if !seen[class] {
			t.Errorf("no case means %q", class)
		}
	}
}

// everyDialect are answers that mean the same whoever sends them: those of
// proxies and of HTTP itself.
var everyDialect = []answerCase{
	{"a proxy's page with 200", 200, "", "<!DOCTYPE html><html><body>Sign in</body></html>", Broken, "bad_response"},
	{"nothing with 200", 200, "", "", Broken, "bad_response"},
	{"204", 204, "", "", Broken, "bad_response"},
	{"null", 200, "", "null", Broken, "bad_response"},
	{"a list", 200, "", "[]", Broken, "bad_response"},
	{"an object of somebody else", 200, "", `{"ok":true}`, Broken, "bad_response"},
	{"a stream without an error", 200, "", "data: {\"x\":1}\n\ndata: [DONE]\n\n", Broken, "bad_response"},
	{"a redirect", 302, "", "", Fatal, "server_error"},
	{"a bad key without a body", 401, "", "", Fatal, "server_error"},
	{"payment required without a body", 402, "", "", Fatal, "server_error"},
	{"a proxy's 403", 403, "", "<html>Forbidden</html>", Fatal, "server_error"},
	{"no such route", 404, "", "404 page not found", Fatal, "server_error"},
	{"no such route in JSON", 404, "", `{"detail":"Not Found"}`, Fatal, "server_error"},
	{"a web page's address", 405, "", "<html>405 Not Allowed</html>", Fatal, "server_error"},
	{"a proxy without its credential", 407, "", "", Fatal, "server_error"},
	{"422 without a body", 422, "", "", Terminal, "invalid_request"},
	{"408", 408, "", "", Transient, "timeout"},
	{"409", 409, "", "", Transient, "server_error"},
	{"425", 425, "", "", Transient, "server_error"},
	{"too large for a proxy", 413, "", "<html>413 Request Entity Too Large</html>", Terminal, "context_length_exceeded"},
	{"a proxy's rate limit", 429, "", "error code: 1015", SlowDown, "rate_limit_exceeded"},
	{"500 without a body", 500, "", "", Transient, "server_error"},
	{"a proxy's 502", 502, "", "<html>Bad Gateway</html>", Transient, "server_error"},
	{"503", 503, "", "upstream connect error or disconnect/reset before headers", Transient, "server_error"},
	{"504", 504, "", "", Transient, "timeout"},
	{"520", 520, "", "error code: 520", Transient, "server_error"},
	{"529", 529, "", "", Transient, "server_error"},
}

func TestEveryDialectUnderstandsHTTP(t *testing.T) {
	for name, d := range dialects {
		t.Run(name, func(t *testing.T) {
			e := &Endpoint{Provider: name, Dialect: d, Key: "sk-canary-0123456789", KeyName: "KEY"}
			for _, c := range everyDialect {
				body := readable([]byte(c.body))
				a := d.Answer(e, c.status, http.Header{}, body)
				if a.Class != c.class || a.Code != c.code || a.Message == "" {
					t.Errorf("%s means %s %q (%q), want %s %q", c.name, a.Class, a.Code, a.Message, c.class, c.code)
				}
			}
		})
	}
}

// TestEveryDialectGuardsItsLane: a line can't ask for another model than the
// job's, nor for a stream.
func TestEveryDialectGuardsItsLane(t *testing.T) {
	for name, d := range dialects {
		e := &Endpoint{Provider: name, Dialect: d}
		for field, extra := range map[string]string{"extra_body.stream": `{"stream":true}`, "extra_body.model": `{"model":"other"}`} {
			_, _, err := d.Request(e, "m", parse(t, `{"prompt_id":1,"prompt":"q","extra_body":`+extra+`}`))
			if err == nil || !strings.Contains(err.Error(), field) {
				t.Errorf("%s: %s: it says %v", name, extra, err)
			}
		}
		if _, _, err := d.Request(e, "m", parse(t, `{"prompt_id":1,"prompt":"q","extra_body":{"stream":false,"model":"m"}}`)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDefaultMaxTokens(t *testing.T) {
	for name, want := range map[string]string{
		"openai": `"max_tokens":77`, "anthropic": `"max_tokens":77`, "gemini": `"maxOutputTokens":77`, "mistral": `"max_tokens":77`,
	} {
		e := &Endpoint{Provider: "x", Dialect: dialects[name], DefaultMaxTokens: 77}
		_, body, err := e.Dialect.Request(e, "m", parse(t, `{"prompt_id":1,"prompt":"q"}`))
		if err != nil || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s %v", name, body, err)
		}
		_, body, err = e.Dialect.Request(e, "m", parse(t, `{"prompt_id":1,"prompt":"q","max_tokens":5}`))
		if err != nil || strings.Contains(string(body), "77") {
			t.Errorf("%s: the line's own limit is lost: %s %v", name, body, err)
		}
	}
}

// TestPaths: base URLs with and without the version, and with a path, lead to
// one place.
func TestPaths(t *testing.T) {
	for _, c := range []struct{ dialect, base, model, want string }{
		{"openai", "https://api.openai.com/v1", "gpt-4o", "https://api.openai.com/v1/chat/completions"},
		{"openai", "https://openrouter.ai/api/v1", "a/b", "https://openrouter.ai/api/v1/chat/completions"},
		{"openai", "https://api.groq.com/openai/v1/", "m", "https://api.groq.com/openai/v1/chat/completions"},
		{"openai", "https://x.openai.azure.com/openai/v1/", "gpt-4o", "https://x.openai.azure.com/openai/v1/chat/completions"},
		{"openai", "http://127.0.0.1:11434/v1", "llama3.2", "http://127.0.0.1:11434/v1/chat/completions"},
		{"anthropic", "https://api.anthropic.com", "c", "https://api.anthropic.com/v1/messages"},
		{"anthropic", "https://api.anthropic.com/v1/", "c", "https://api.anthropic.com/v1/messages"},
		{"anthropic", "https://proxy.example/claude", "c", "https://proxy.example/claude/v1/messages"},
		{"gemini", "https://generativelanguage.googleapis.com", "gemini-2.5-flash", "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"},
		{"gemini", "https://generativelanguage.googleapis.com/v1beta", "models/gemini-2.5-flash", "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"},
		{"gemini", "https://generativelanguage.googleapis.com/v1", "tunedModels/mine", "https://generativelanguage.googleapis.com/v1/tunedModels/mine:generateContent"},
		{"gemini", "https://x.example", "../../files/a?b#c", "https://x.example/v1beta/models/..%2F..%2Ffiles%2Fa%3Fb%23c:generateContent"},
		{"mistral", "https://api.mistral.ai", "m", "https://api.mistral.ai/v1/chat/completions"},
		{"mistral", "https://api.mistral.ai/v1", "m", "https://api.mistral.ai/v1/chat/completions"},
	} {
		r, err := NewRegistry(map[string]Config{"p": {Dialect: c.dialect, BaseURL: c.base}}, env())
		if err != nil {
			t.Fatal(err)
		}
		e := theEndpoint(t, r, "p")
		path, _, err := e.Dialect.Request(&e, c.model, parse(t, `{"prompt_id":1,"prompt":"q"}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := e.BaseURL + path; got != c.want {
			t.Errorf("%s at %s: %s, want %s", c.dialect, c.base, got, c.want)
		}
		if canary, _ := e.Dialect.Canary(&e, c.model); canary != path {
			t.Errorf("%s: the canary goes to %s", c.dialect, canary)
		}
	}
}

// TestFatalSentencesSayWhatToDo: an operator reads them in hold_reason and in
// failure_reason.
func TestFatalSentencesSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		key    string
		want   string
	}{
		{404, "<html>Not Found</html>", "KEY", "openai has no such address (404); check its base URL. It said: The provider answered 404 Not Found."},
		{404, `{"detail":"Not Found"}`, "KEY", "openai has no such address (404); check its base URL. It said: Not Found"},
		{407, "", "KEY", "A proxy before openai wants a credential (407); check its base URL and HTTPS_PROXY."},
		{403, "<html>", "KEY", "openai refused (403 Forbidden); check what the credential in KEY may do, and whether it serves this place."},
		{403, `{"error":{"message":"about a prompt","code":"unsupported_country"}}`, "", "openai refused (403 Forbidden, unsupported_country); check whether it serves this place."},
	} {
		e := &Endpoint{Provider: "openai", Dialect: OpenAI{}, KeyName: c.key}
		if a := e.Dialect.Answer(e, c.status, http.Header{}, []byte(c.body)); a.Class != Fatal || a.Message != c.want {
			t.Errorf("%d %s: %s %q, want %q", c.status, c.body, a.Class, a.Message, c.want)
		}
	}
}
