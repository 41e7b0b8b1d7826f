package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/promptforge/promptforge/simulator"
)

// shape is one way of saying a prompt, with all that a line can hold.
type shape struct {
	name string
	// line has %[1]q for the prompt's text, and EXTRA for what the dialect has
	// of its own.
	line string
	// lacks are the dialects that have no words for it, with the field that
	// their error record names.
	lacks map[string]string
	want  func(prompt string, r *resultLine) bool
}

type resultLine struct {
	PromptID     string `json:"prompt_id"`
	Result       string `json:"result"`
	FinishReason string `json:"finish_reason"`
	Model        string `json:"model"`
	TokensUsed   int    `json:"tokens_used"`
	PromptTokens int    `json:"prompt_tokens"`
	Completion   int    `json:"completion_tokens"`
	ToolCalls    []struct {
		ID, Type string
		Function struct{ Name, Arguments string }
	} `json:"tool_calls"`
	Metadata struct{ Shape string }

	// Of an error.
	Error    string
	Message  string
	Attempts int
}

func plainAnswer(prompt string, r *resultLine) bool {
	return r.Result == simulator.Answer(prompt) && r.FinishReason == "stop" && len(r.ToolCalls) == 0
}

// fitting is a JSON object with the prompt's key under a name.
func fitting(name, prompt string) string {
	return `{"` + name + `":"` + simulator.PromptKey(prompt) + `"}`
}

func jsonAnswer(name string) func(string, *resultLine) bool {
	return func(prompt string, r *resultLine) bool {
		return r.Result == fitting(name, prompt) && r.FinishReason == "stop"
	}
}

func called(function string) func(string, *resultLine) bool {
	return func(prompt string, r *resultLine) bool {
		return r.FinishReason == "tool_calls" && r.Result == "" && len(r.ToolCalls) == 1 && r.ToolCalls[0].Type == "function" && r.ToolCalls[0].ID != "" &&
			r.ToolCalls[0].Function.Name == function && r.ToolCalls[0].Function.Arguments == fitting("city", prompt)
	}
}

const (
	lineSchema = `{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`
	lineTools  = `"tools":[{"type":"function","function":{"name":"find","description":"d","parameters":` + lineSchema + `}},{"type":"function","function":{"name":"look","parameters":` + lineSchema + `}}]`
	lineFormat = `"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":` + lineSchema + `}}`
	lineImages = `{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}},{"type":"image_url","image_url":{"url":"https://example.com/y.png"}}`
)

var shapes = []shape{
	{"prompt", `"prompt":%[1]q`, nil, plainAnswer},
	{"system", `"system":"Be brief.","prompt":%[1]q`, nil, plainAnswer},
	{"sampling", `"prompt":%[1]q,"temperature":0.5,"top_p":0.25,"max_tokens":4096,"stop":["~~","^^"]`, nil, plainAnswer},
	{"stop", `"prompt":%[1]q,"stop":"~~"`, nil, plainAnswer},
	{"cut", `"prompt":%[1]q,"max_tokens":20`, nil, func(prompt string, r *resultLine) bool {
		return r.FinishReason == "length" && r.Result != "" && strings.HasPrefix(simulator.Answer(prompt), r.Result) && r.Completion <= 20
	}},
	{"seed", `"prompt":%[1]q,"seed":7`, map[string]string{"anthropic": "seed"}, plainAnswer},
	{"messages", `"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":%[1]q}]`, nil, plainAnswer},
	{"images", `"messages":[{"role":"user","content":[{"type":"text","text":%[1]q},` + lineImages + `]}]`, nil, plainAnswer},
	{"conversation", `"messages":[{"role":"user","content":%[1]q},{"role":"assistant","content":"Well."},{"role":"user","content":"And?"}]`, nil, func(prompt string, r *resultLine) bool {
		return plainAnswer(prompt+"\nAnd?", r)
	}},
	{"tools", `"prompt":%[1]q,` + lineTools + `,"tool_choice":"auto"`, nil, plainAnswer},
	{"forced", `"prompt":%[1]q,` + lineTools + `,"tool_choice":"required"`, nil, called("find")},
	{"named", `"prompt":%[1]q,` + lineTools + `,"tool_choice":{"type":"function","function":{"name":"look"}}`, nil, called("look")},
	{"called", `"messages":[{"role":"user","content":%[1]q},{"role":"assistant","tool_calls":[{"id":"call12345","type":"function","function":{"name":"find","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call12345","content":"7"}],` + lineTools, nil, plainAnswer},
	{"schema", `"prompt":%[1]q,` + lineFormat, nil, jsonAnswer("city")},
	{"json_object", `"prompt":%[1]q,"response_format":{"type":"json_object"}`, map[string]string{"anthropic": "json_object"}, jsonAnswer("key")},
	{"extra_body", `"prompt":%[1]q,"extra_body":EXTRA`, nil, plainAnswer},
	{"everything", `"system":"Be brief.","messages":[{"role":"user","content":[{"type":"text","text":%[1]q},` + lineImages + `]}],"temperature":0.5,"top_p":1,"max_tokens":4096,"stop":["~~"],` + lineFormat + `,` + lineTools + `,"tool_choice":"none","extra_body":EXTRA`, nil, jsonAnswer("city")},
}

// The same 500 prompts with every line field go through each dialect, and each
// prompt has its own answer, as it was asked for.
func TestRunSaysEveryFieldInEveryDialect(t *testing.T) {
	t.Parallel()
	const n = 500
	for _, c := range []struct{ dialect, model, extra string }{
		{"openai", "gpt-4o", `{"presence_penalty":0.5}`},
		{"anthropic", "claude-sonnet-4-5", `{"top_k":5}`},
		{"gemini", "gemini-2.5-flash", `{"generationConfig":{"topK":5}}`},
		{"mistral", "mistral-large-latest", `{"safe_prompt":true}`},
	} {
		t.Run(c.dialect, func(t *testing.T) {
			t.Parallel()
			sim := simulate(t, simulator.Config{Headers: true, Errors: 0.02, Resets: 0.005, Seed: 3})
			root := strings.TrimSuffix(sim.url, "/v1")
			e := env{
				"OPENAI_BASE_URL": root + "/v1", "OPENAI_API_KEY": "any", "ANTHROPIC_BASE_URL": root, "ANTHROPIC_API_KEY": "any",
				"GEMINI_BASE_URL": root, "GEMINI_API_KEY": "any", "MISTRAL_BASE_URL": root, "MISTRAL_API_KEY": "any",
			}
			var b strings.Builder
			for i := range n {
				s := &shapes[i%len(shapes)]
				line := strings.ReplaceAll(fmt.Sprintf(s.line, promptOf(i)), "EXTRA", c.extra)
				fmt.Fprintf(&b, `{"prompt_id":"%d",%s,"metadata":{"shape":%q}}`+"\n", i, line, s.name)
			}
			dir := t.TempDir()
			file, out := filepath.Join(dir, "p.jsonl"), filepath.Join(dir, "out")
			write(t, file, b.String())
			exec(t, e, "run", file, "--provider", c.dialect, "--model", c.model, "--out", out, "--max-retries", "10", "--retry-base", "10ms").want(t, 0)

			seen := map[string]bool{}
			sent := int64(0)
			for _, name := range []string{"results_part_001.jsonl", "errors.jsonl"} {
				for _, line := range lines(t, filepath.Join(out, name)) {
					var r resultLine
					if err := json.Unmarshal([]byte(line), &r); err != nil {
						t.Fatalf("%v: %s", err, line)
					}
					var i int
					if _, err := fmt.Sscan(r.PromptID, &i); err != nil || seen[r.PromptID] {
						t.Fatalf("%v, or a second outcome: %s", err, line)
					}
					seen[r.PromptID] = true
					s := &shapes[i%len(shapes)]
					if r.Metadata.Shape != s.name {
						t.Errorf("another's metadata: %s", line)
					}
					if field, lacks := s.lacks[c.dialect]; lacks {
						if r.Error != "invalid_request" || r.Attempts != 0 || !strings.Contains(r.Message, field) {
							t.Errorf("%s is lacking, yet: %s", s.name, line)
						}
						continue
					}
					sent++
					if r.Error != "" || !s.want(promptOf(i), &r) || r.Model != c.model || r.PromptTokens == 0 || r.TokensUsed != r.PromptTokens+r.Completion {
						t.Errorf("%s: %s", s.name, line)
					}
				}
			}
			if len(seen) != n {
				t.Errorf("%d of %d prompts have an outcome", len(seen), n)
			}
			if st := sim.Stats(); st.ByDialect[c.dialect].Answered != sent || st.Answered != sent || st.AnsweredMoreThanOnce != 0 {
				t.Errorf("%d prompts were answered in the dialect, want %d: %+v", st.ByDialect[c.dialect].Answered, sent, st)
			}
		})
	}
}
