package simulator

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// setup is a server over real TCP. When the test ends it checks that the
// ledger adds up, whatever the test was about.
type setup struct {
	*Server
	t   *testing.T
	url string
	web *http.Client
}

func start(t *testing.T, cfg Config) *setup {
	t.Helper()
	server, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ts := httptest.NewServer(server)
	t.Cleanup(func() {
		ts.CloseClientConnections()
		ts.Close() // waits for the handlers
		checkSum(t, server.Stats())
	})
	return &setup{Server: server, t: t, url: ts.URL, web: ts.Client()}
}

func checkSum(t *testing.T, st Stats) {
	t.Helper()
	if sum := st.Answered + st.RateLimited + st.Errors + st.Resets + st.Hangs + st.Garbage + st.Aborted; sum != st.Requests || st.InFlight != 0 {
		t.Errorf("at rest the ends add up to %d requests and %d are in flight: %+v", sum, st.InFlight, st)
	}
}

// reply is a response that was read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

func (s *setup) do(method, path, body string) (reply, error) {
	r, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer sk-any")
	res, err := s.web.Do(r)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return reply{res.StatusCode, res.Header, string(b)}, err
}

func (s *setup) must(method, path, body string) reply {
	s.t.Helper()
	got, err := s.do(method, path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

func (s *setup) chat(prompt string) reply {
	s.t.Helper()
	return s.must("POST", "/v1/chat/completions", chatBody(prompt))
}

func chatBody(prompt string) string {
	content, _ := json.Marshal(prompt)
	return `{"model":"gpt-4o","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":` + string(content) + `}]}`
}

// direct is a chat request for a handler called without a connection.
func direct(prompt string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(chatBody(prompt)))
	r.Header.Set("Authorization", "Bearer sk-any")
	return r
}

// completion is an OpenAI answer, read strictly.
type completion struct {
	ID, Object, Model string
	Created           int64
	Choices           []struct {
		Index   int
		Message struct {
			Role        string
			Content     *string
			Refusal     *string
			Annotations []any
			ToolCalls   []struct {
				ID, Type string
				Function struct{ Name, Arguments string }
			} `json:"tool_calls"`
		}
		Logprobs     any
		FinishReason string `json:"finish_reason"`
	}
	Usage struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Total      int `json:"total_tokens"`

		PromptDetails     map[string]int `json:"prompt_tokens_details"`
		CompletionDetails map[string]int `json:"completion_tokens_details"`
	}
	ServiceTier       string `json:"service_tier"`
	SystemFingerprint string `json:"system_fingerprint"`
}

func strict(t *testing.T, body string, into any) {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader([]byte(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
}

func (r reply) completion(t *testing.T) completion {
	t.Helper()
	if r.status != 200 {
		t.Fatalf("status %d: %s", r.status, r.body)
	}
	var c completion
	strict(t, r.body, &c)
	if len(c.Choices) != 1 {
		t.Fatalf("%d choices: %s", len(c.Choices), r.body)
	}
	return c
}

// text is the answer's content, which must be there.
func (r reply) text(t *testing.T) string {
	t.Helper()
	content := r.completion(t).Choices[0].Message.Content
	if content == nil {
		t.Fatalf("content is null: %s", r.body)
	}
	return *content
}

// complaint is an OpenAI error, read strictly.
type complaint struct {
	Message string
	Type    string
	Param   *string
	Code    *string
}

func (r reply) complaint(t *testing.T) complaint {
	t.Helper()
	var e struct{ Error complaint }
	strict(t, r.body, &e)
	if e.Error.Message == "" || e.Error.Type == "" {
		t.Errorf("message or type is empty: %s", r.body)
	}
	return e.Error
}

func deref(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}
