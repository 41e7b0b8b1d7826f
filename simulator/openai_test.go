package simulator

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func TestChatAnswer(t *testing.T) {
	s := start(t, Config{})
	got := s.chat("What is a \"mirror\"?\n")
	c := got.completion(t)
	if text := got.text(t); text != Answer("What is a \"mirror\"?\n") {
		t.Errorf("answers %q", text)
	}
	if !strings.HasPrefix(c.ID, "chatcmpl-") || c.Object != "chat.completion" || c.Model != "gpt-4o" || c.Created == 0 ||
		c.Choices[0].Message.Role != "assistant" || c.Choices[0].FinishReason != "stop" || c.ServiceTier != "default" || c.SystemFingerprint == "" {
		t.Errorf("%+v", c)
	}
	// "Be brief." is 9 bytes, the prompt 20.
	if u := c.Usage; u.Prompt != 3+5 || u.Completion != tokensIn(Answer("What is a \"mirror\"?\n")) || u.Total != u.Prompt+u.Completion ||
		len(u.PromptDetails) != 2 || len(u.CompletionDetails) != 4 {
		t.Errorf("%+v", u)
	}
	for name, pattern := range map[string]string{
		"Content-Type": "^application/json$", "X-Request-Id": "^req_[0-9a-f]{32}$", "Openai-Processing-Ms": "^[0-9]+$", "Openai-Version": "^2020-10-01$",
	} {
		if !regexp.MustCompile(pattern).MatchString(got.header.Get(name)) {
			t.Errorf("%s: %q", name, got.header.Get(name))
		}
	}
	again := s.chat("What is a \"mirror\"?\n")
	if again.completion(t).ID == c.ID || again.header.Get("X-Request-Id") == got.header.Get("X-Request-Id") {
		t.Error("two answers have the same id")
	}
}

// The prompt is the text of the user messages and nothing else.
func TestChatPrompt(t *testing.T) {
	s := start(t, Config{})
	for _, c := range []struct{ messages, prompt string }{
		{`[{"role":"user","content":"a"}]`, "a"},
		{`[{"role":"system","content":"one"},{"role":"user","content":"a"}]`, "a"},
		{`[{"role":"system","content":"two"},{"role":"user","content":"a"}]`, "a"},
		{`[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}]`, "a\nc"},
		{`[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"x"}},{"type":"text","text":"b"}]}]`, "a\nb"},
		{`[{"role":"user","content":"\u00fc\n\ud83d\ude00"}]`, "ü\n😀"},
		{`[{"role":"user","content":"ü😀"}]`, "ü😀"},
		{`[{"role":"user","content":null}]`, ""},
		{`[{"role":"assistant","content":null,"tool_calls":[]},{"role":"user","content":"d"}]`, "d"},
	} {
		got := s.must("POST", "/v1/chat/completions", `{"model":"m","temperature":0.5,"n":1,"messages":`+c.messages+`}`)
		if text := got.text(t); text != Answer(c.prompt) {
			t.Errorf("%s is not answered as %q: %s", c.messages, c.prompt, text)
		}
	}
	if got := s.PromptStats("a"); got.Answered != 3 {
		t.Errorf("system messages change the key: %+v", got)
	}
}

func TestChatMaxTokens(t *testing.T) {
	s := start(t, Config{})
	for _, field := range []string{"max_tokens", "max_completion_tokens"} {
		got := s.must("POST", "/v1/chat/completions", `{"model":"m","`+field+`":20,"messages":[{"role":"user","content":"a"}]}`)
		c, text := got.completion(t), got.text(t)
		if c.Choices[0].FinishReason != "length" || c.Usage.Completion > 20 || c.Usage.Completion < 15 {
			t.Errorf("%s: %s", field, got.body)
		}
		if text == "" || !strings.HasPrefix(Answer("a"), text+" ") {
			t.Errorf("%s: %q is not cut at a word", field, text)
		}
		got = s.must("POST", "/v1/chat/completions", `{"model":"m","`+field+`":4096,"messages":[{"role":"user","content":"a"}]}`)
		if got.completion(t).Choices[0].FinishReason != "stop" {
			t.Errorf("%s: a limit beyond the answer cuts it", field)
		}
	}
}

func TestChatTools(t *testing.T) {
	s := start(t, Config{})
	const tools = `"tools":[{"type":"function","function":{"name":"first","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}},
		{"type":"function","function":{"name":"second"}}]`
	key := PromptKey("a")
	for _, c := range []struct{ choice, name, arguments string }{
		{`"required"`, "first", `{"city":"` + key + `"}`},
		{`{"type":"function","function":{"name":"second"}}`, "second", `{"key":"` + key + `"}`},
		{`"auto"`, "", ""},
		{`"none"`, "", ""},
	} {
		got := s.must("POST", "/v1/chat/completions", `{"model":"m",`+tools+`,"tool_choice":`+c.choice+`,"messages":[{"role":"user","content":"a"}]}`)
		choice := got.completion(t).Choices[0]
		if c.name == "" {
			if choice.FinishReason != "stop" || len(choice.Message.ToolCalls) != 0 || *choice.Message.Content != Answer("a") {
				t.Errorf("%s: %s", c.choice, got.body)
			}
			continue
		}
		if choice.FinishReason != "tool_calls" || choice.Message.Content != nil || len(choice.Message.ToolCalls) != 1 {
			t.Errorf("%s: %s", c.choice, got.body)
			continue
		}
		call := choice.Message.ToolCalls[0]
		if call.Type != "function" || call.Function.Name != c.name || call.Function.Arguments != c.arguments || call.ID != "call_"+key[:24] {
			t.Errorf("%s: %+v", c.choice, call)
		}
	}
	got := s.must("POST", "/v1/chat/completions", `{"model":"m",`+tools+`,"tool_choice":{"type":"function","function":{"name":"third"}},"messages":[{"role":"user","content":"a"}]}`)
	if got.status != 400 || deref(got.complaint(t).Param) != "tool_choice" {
		t.Errorf("a tool that is not there: %d %s", got.status, got.body)
	}
}

func TestChatJSON(t *testing.T) {
	s := start(t, Config{})
	for _, format := range []string{
		`{"type":"json_object"}`,
		`{"type":"json_schema","json_schema":{"name":"n","strict":true,"schema":{"type":"object","properties":{"k":{"type":"string"},"n":{"type":"integer"}}}}}`,
	} {
		got := s.must("POST", "/v1/chat/completions", `{"model":"m","response_format":`+format+`,"messages":[{"role":"user","content":"a"}]}`)
		var object map[string]any
		if err := json.Unmarshal([]byte(got.text(t)), &object); err != nil || !strings.Contains(got.text(t), PromptKey("a")) {
			t.Errorf("%s: %v %s", format, err, got.body)
		}
		if strings.Contains(format, "schema") && object["n"] != 1.0 {
			t.Errorf("does not fit the schema: %s", got.body)
		}
	}
	got := s.must("POST", "/v1/chat/completions", `{"model":"m","response_format":{"type":"text"},"messages":[{"role":"user","content":"a"}]}`)
	if got.text(t) != Answer("a") {
		t.Errorf("text: %s", got.body)
	}
}

func TestErrors(t *testing.T) {
	s := start(t, Config{})
	const user = `"messages":[{"role":"user","content":"a"}]`
	for _, c := range []struct {
		method, path, body string
		status             int
		kind, param, code  string
	}{
		{"POST", "/v1/chat/completions", `{"model":`, 400, openAIInvalid, "null", "null"},
		{"POST", "/v1/chat/completions", ``, 400, openAIInvalid, "null", "null"},
		{"POST", "/v1/chat/completions", `{` + user + `}`, 400, openAIInvalid, "null", "null"},
		{"POST", "/v1/chat/completions", `{"model":"m"}`, 400, openAIInvalid, "messages", "missing_required_parameter"},
		{"POST", "/v1/chat/completions", `{"model":"m","messages":[]}`, 400, openAIInvalid, "messages", "empty_array"},
		{"POST", "/v1/chat/completions", `{"model":7,` + user + `}`, 400, openAIInvalid, "model", "invalid_type"},
		{"POST", "/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":7}]}`, 400, openAIInvalid, "messages[0].content", "invalid_type"},
		{"POST", "/v1/chat/completions", `{"model":"m","stream":true,` + user + `}`, 400, openAIInvalid, "stream", "unsupported_value"},
		{"POST", "/v1/chat/completions", `{"model":"m","max_tokens":0,` + user + `}`, 400, openAIInvalid, "max_tokens", "integer_below_min_value"},
		{"POST", "/v1/chat/completions", `{"model":"no-such-1",` + user + `}`, 404, openAIInvalid, "null", "model_not_found"},
		{"GET", "/v1/chat/completions", ``, 405, openAIInvalid, "null", "method_not_supported"},
		{"POST", "/v1/embeddings", `{"model":"m"}`, 400, openAIInvalid, "input", "missing_required_parameter"},
		{"POST", "/v1/embeddings", `{"model":"m","input":[]}`, 400, openAIInvalid, "input", "null"},
		{"GET", "/v1/models/no-such-1", ``, 404, openAIInvalid, "model", "model_not_found"},
		{"GET", "/v1/nothing", ``, 404, openAIInvalid, "null", "null"},
		{"GET", "/", ``, 404, openAIInvalid, "null", "null"},
	} {
		got := s.must(c.method, c.path, c.body)
		e := got.complaint(t)
		if got.status != c.status || e.Type != c.kind || deref(e.Param) != c.param || deref(e.Code) != c.code {
			t.Errorf("%s %s %s: %d %s", c.method, c.path, c.body, got.status, got.body)
		}
		if got.header.Get("X-Request-Id") == "" {
			t.Errorf("%s %s %s: no x-request-id", c.method, c.path, c.body)
		}
	}
	if st := s.Stats(); st.Requests != 12 || st.Errors != 12 {
		t.Errorf("only what asks for an answer counts: %+v", st)
	}
}

func TestMissingCredential(t *testing.T) {
	s := start(t, Config{})
	for _, value := range []string{"", "Bearer", "Bearer ", "Basic abc"} {
		r, err := http.NewRequest(http.MethodPost, s.url+"/v1/chat/completions", strings.NewReader(chatBody("a")))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", value)
		res, err := s.web.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%q: %d", value, res.StatusCode)
		}
	}
}

func TestModels(t *testing.T) {
	s := start(t, Config{})
	var list struct {
		Object string
		Data   []struct {
			ID, Object string
			Created    int64
			OwnedBy    string `json:"owned_by"`
		}
	}
	strict(t, s.must("GET", "/v1/models", "").body, &list)
	if list.Object != "list" || len(list.Data) != len(openAIModels) || list.Data[0].Object != "model" {
		t.Errorf("%+v", list)
	}
	one := s.must("GET", "/v1/models/any/thing", "")
	if one.status != 200 || !strings.HasPrefix(one.body, `{"id":"any/thing","object":"model",`) {
		t.Errorf("%d %s", one.status, one.body)
	}
}

func TestEmbeddings(t *testing.T) {
	s := start(t, Config{})
	var out struct {
		Object, Model string
		Data          []struct {
			Object    string
			Index     int
			Embedding [8]float32
		}
		Usage map[string]int
	}
	strict(t, s.must("POST", "/v1/embeddings", `{"model":"e","input":["one","two"]}`).body, &out)
	if out.Object != "list" || len(out.Data) != 2 || out.Data[1].Index != 1 || out.Data[0].Embedding == out.Data[1].Embedding || out.Usage["total_tokens"] != 2 {
		t.Errorf("%+v", out)
	}
	var length float64
	for _, x := range out.Data[0].Embedding {
		length += float64(x) * float64(x)
	}
	if math.Abs(length-1) > 1e-5 {
		t.Errorf("length %v", length)
	}
	var packed struct{ Data []struct{ Embedding string } }
	if err := json.Unmarshal([]byte(s.must("POST", "/v1/embeddings", `{"model":"e","input":"one","encoding_format":"base64"}`).body), &packed); err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(packed.Data[0].Embedding)
	if err != nil || len(raw) != 32 {
		t.Fatalf("%v, %d bytes", err, len(raw))
	}
	if got := math.Float32frombits(binary.LittleEndian.Uint32(raw)); got != out.Data[0].Embedding[0] {
		t.Errorf("base64 says %v, numbers say %v", got, out.Data[0].Embedding[0])
	}
	if got := s.PromptStats("one\ntwo"); got.Answered != 1 {
		t.Errorf("inputs joined are the prompt: %+v", got)
	}
}
