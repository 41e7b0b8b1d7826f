package sdktest

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/simulator"
)

// These are the lines whose fields are said by each SDK in sdk_test.go, under
// the same names.
var lines = map[string]string{
	"prompt":   `{"prompt_id":1,"system":"Be brief.","prompt":"q"}`,
	"sampling": `{"prompt_id":1,"prompt":"q","temperature":0.5,"top_p":0.25,"max_tokens":100,"stop":["x","y"]}`,
	"seed":     `{"prompt_id":1,"prompt":"q","seed":7}`,
	"images": `{"prompt_id":1,"messages":[
		{"role":"system","content":"Be brief."},
		{"role":"user","content":[{"type":"text","text":"one"},{"type":"image_url","image_url":{"url":"data:image/png;base64,` + pixel + `"}},{"type":"image_url","image_url":{"url":"https://example.com/y.png"}}]},
		{"role":"assistant","content":"two"},
		{"role":"user","content":"three"}]}`,
	"tools":  `{"prompt_id":1,"prompt":"q","tools":[` + toolLine + `],"tool_choice":"auto"}`,
	"forced": `{"prompt_id":1,"prompt":"q","tools":[` + toolLine + `],"tool_choice":"required"}`,
	"named":  `{"prompt_id":1,"prompt":"q","tools":[` + toolLine + `],"tool_choice":{"type":"function","function":{"name":"f"}}}`,
	"called": `{"prompt_id":1,"messages":[
		{"role":"user","content":"q"},
		{"role":"assistant","tool_calls":[{"id":"call12345","type":"function","function":{"name":"f","arguments":"{\"city\":\"Paris\"}"}}]},
		{"role":"tool","tool_call_id":"call12345","content":"{\"output\":\"7\"}"}],
		"tools":[` + toolLine + `]}`,
	"schema":      `{"prompt_id":1,"prompt":"q","response_format":{"type":"json_schema","json_schema":{"name":"n","schema":` + cityLine + `}}}`,
	"json_object": `{"prompt_id":1,"prompt":"q","response_format":{"type":"json_object"}}`,
	"extra":       `{"prompt_id":1,"prompt":"q","extra_body":EXTRA}`,
}

const (
	pixel    = "iVBORw0KGgo="
	cityLine = `{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`
	toolLine = `{"type":"function","function":{"name":"f","description":"finds","parameters":` + cityLine + `}}`
)

// extras are what no line field says, for each dialect.
var extras = map[string]string{
	"openai":    `{"presence_penalty":0.5}`,
	"anthropic": `{"top_k":5}`,
	"gemini":    `{"generationConfig":{"topK":5}}`,
	"mistral":   `{"safe_prompt":true}`,
}

// lacking are the lines that a dialect has no words for: nothing is sent, and
// the sentence names the field.
var lacking = map[string]map[string]string{
	"anthropic": {"seed": "seed", "json_object": "json_object"},
}

// defaults bring what the two write differently and mean alike to one form.
var defaults = map[string]func(map[string]any){
	"openai":    func(map[string]any) {},
	"mistral":   mistralDefaults,
	"anthropic": anthropicDefaults,
	"gemini":    geminiDefaults,
}

// mistralDefaults: a turn that only calls has no content, or an empty one.
func mistralDefaults(body map[string]any) {
	messages, _ := body["messages"].([]any)
	for _, m := range messages {
		if message := m.(map[string]any); message["content"] == "" && message["tool_calls"] != nil {
			delete(message, "content")
		}
	}
}

// anthropicDefaults: a string is a list of one text block; is_error is false.
func anthropicDefaults(body map[string]any) {
	blocks := func(in map[string]any, name string) []any {
		if text, ok := in[name].(string); ok {
			in[name] = []any{map[string]any{"type": "text", "text": text}}
		}
		list, _ := in[name].([]any)
		return list
	}
	blocks(body, "system")
	messages, _ := body["messages"].([]any)
	for _, m := range messages {
		for _, b := range blocks(m.(map[string]any), "content") {
			block := b.(map[string]any)
			if block["type"] == "tool_result" {
				blocks(block, "content")
				if block["is_error"] == false {
					delete(block, "is_error")
				}
			}
		}
	}
}

// geminiDefaults: instructions have no role, whatever they say, and an empty
// configuration is none.
func geminiDefaults(body map[string]any) {
	if system, ok := body["systemInstruction"].(map[string]any); ok {
		delete(system, "role")
	}
	if config, ok := body["generationConfig"].(map[string]any); ok && len(config) == 0 {
		delete(body, "generationConfig")
	}
}

var models = map[string]string{"openai": gpt, "anthropic": claude, "gemini": flash, "mistral": large}

// ours sends a line as a job's lane does.
func (w *world) ours(t *testing.T, dialect, line string) (provider.Answer, bool) {
	t.Helper()
	env := map[string]string{
		"OPENAI_BASE_URL": w.url + "/v1", "OPENAI_API_KEY": key,
		"ANTHROPIC_BASE_URL": w.url, "ANTHROPIC_API_KEY": key,
		"GEMINI_BASE_URL": w.url, "GEMINI_API_KEY": key,
		"MISTRAL_BASE_URL": w.url + "/mistral", "MISTRAL_API_KEY": key,
	}
	registry, err := provider.NewRegistry(nil, func(name string) string { return env[name] })
	if err != nil {
		t.Fatal(err)
	}
	prompt, err := new(job.Parser).Parse([]byte(line), 1)
	if err != nil {
		t.Fatal(err)
	}
	client := provider.NewClient(registry.Groups(dialect)[0][0], provider.ClientConfig{InFlight: 1, Timeout: timeout, Model: models[dialect]})
	defer client.Close()
	return client.Send(t.Context(), prompt)
}

// What an SDK sends and what we send mean the same, and the strict simulator
// answers both.
func TestRequestsMeanTheSame(t *testing.T) {
	w := start(t, simulator.Config{})
	for dialect, say := range sayings(w) {
		for _, name := range slices.Sorted(maps.Keys(lines)) {
			t.Run(dialect+"/"+name, func(t *testing.T) {
				line := strings.ReplaceAll(strings.ReplaceAll(lines[name], "EXTRA", extras[dialect]), "\n", "")
				answer, sent := w.ours(t, dialect, line)
				if field, lacks := lacking[dialect][name]; lacks {
					if sent || !strings.Contains(answer.Message, field) {
						t.Errorf("sent is %v: %s", sent, answer.Message)
					}
					return
				}
				if !sent || answer.Class != provider.Done {
					t.Fatalf("ours: sent is %v: %v %s", sent, answer.Class, answer.Message)
				}
				ours := w.take()
				if say[name] == nil {
					t.Fatal("no SDK says it")
				}
				if err := say[name](t); err != nil {
					t.Fatalf("the SDK's: %v", err)
				}
				theirs := w.take()
				if diff := cmp.Diff(meaning(t, dialect, theirs.body), meaning(t, dialect, ours.body)); diff != "" {
					t.Errorf("the SDK's (-), ours (+): %s", diff)
				}
				if ours.path != theirs.path {
					t.Errorf("path %s, the SDK's is %s", ours.path, theirs.path)
				}
				for _, h := range []string{"Authorization", "X-Api-Key", "Anthropic-Version", "X-Goog-Api-Key", "Content-Type"} {
					if got, want := ours.header.Values(h), theirs.header.Values(h); !cmp.Equal(got, want) {
						t.Errorf("%s: %q, the SDK's is %q", h, got, want)
					}
				}
			})
		}
	}
}

func meaning(t *testing.T, dialect string, body []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	defaults[dialect](v)
	return v
}

// Whatever becomes of a prompt, our classifier and the provider's own SDK see
// it from the same bytes; here stands what each class of the simulator is to us.
func TestClassesAreKnown(t *testing.T) {
	w := start(t, simulator.Config{Headers: true})
	usual := map[string]provider.Class{
		"400": provider.Terminal, "context_length": provider.Terminal, "413": provider.Terminal, "blocked": provider.Terminal,
		"too_large": provider.TooLarge, "401": provider.Fatal, "403": provider.Fatal, "unknown_model": provider.Fatal,
		"insufficient_quota": provider.Fatal, "402": provider.Fatal, "spend_limit": provider.Fatal, "day_quota": provider.UsedUp,
		"429": provider.SlowDown, "429_silent": provider.SlowDown,
		"408": provider.Transient, "409": provider.Transient, "500": provider.Transient, "502": provider.Transient,
		"503": provider.Transient, "504": provider.Transient, "529": provider.Transient, "reset": provider.Transient,
		"content_filter": provider.Terminal, "refusal": provider.Terminal, "empty": provider.Done, "answer": provider.Done,
		"garbage": provider.Broken, "truncated": provider.Broken, "empty_body": provider.Broken, "html": provider.Broken,
		"sse_error": provider.Transient, "error_200": provider.Transient,
	}
	// Where a dialect has no way to say it, or says it otherwise.
	other := map[string]map[string]provider.Class{
		"anthropic": {"too_large": provider.SlowDown},
		"gemini":    {"too_large": provider.SlowDown, "refusal": provider.Done},
		"mistral":   {"too_large": provider.SlowDown, "refusal": provider.Done},
	}
	for dialect := range models {
		for _, class := range simulator.Classes() {
			if class == "hang" {
				continue
			}
			want, known := other[dialect][class]
			if !known {
				if want, known = usual[class]; !known {
					t.Errorf("%s: not in the table", class)
				}
			}
			a, sent := w.ours(t, dialect, `{"prompt_id":1,"prompt":"[[simulate:`+class+`]]"}`)
			if !sent || a.Class != want {
				t.Errorf("%s: %s: %v, want %v: %d %s", dialect, class, a.Class, want, a.HTTPStatus, a.Message)
			}
			switch class {
			case "429":
				if a.RetryAfter != time.Second {
					t.Errorf("%s: waits %v", dialect, a.RetryAfter)
				}
			case "context_length":
				if a.Code != job.CodeContextLength {
					t.Errorf("%s: %s", dialect, a.Code)
				}
			case "blocked", "content_filter":
				if a.Code != job.CodeContentFiltered {
					t.Errorf("%s: %s: %s", dialect, class, a.Code)
				}
			}
		}
	}
}
