package sdktest

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/openai/openai-go/v3"
	"google.golang.org/genai"

	"github.com/promptforge/promptforge/simulator"
)

// Every field that an SDK can send is one that the simulator knows: null says
// nothing, so each is taken; a name that the API has not is refused.
func TestFieldsAreKnown(t *testing.T) {
	w := start(t, simulator.Config{})
	post := func(path, body string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"X-Api-Key", "X-Goog-Api-Key"} {
			r.Header.Set(name, key)
		}
		r.Header.Set("Authorization", "Bearer "+key)
		r.Header.Set("Anthropic-Version", "2023-06-01")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res.StatusCode
	}
	for _, c := range []struct {
		name   string
		params any
		path   string
		body   string // with FIELD where a member may stand
		except string
	}{
		{
			"openai",
			openai.ChatCompletionNewParams{},
			"/v1/chat/completions",
			`{"model":"gpt-4o","messages":[{"role":"user","content":"a"}]FIELD}`, "model messages",
		},
		{
			"anthropic",
			anthropic.MessageNewParams{},
			"/v1/messages",
			`{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"a"}]FIELD}`, "model messages max_tokens",
		},
		{
			// Its schema of functions and answers is the SDK's Schema.
			"gemini",
			genai.Schema{},
			"/v1beta/models/m:generateContent",
			`{"contents":[{"parts":[{"text":"a"}]}],"generationConfig":{"responseMimeType":"application/json","responseSchema":{"description":"d"FIELD}}}`, "description",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			kind := reflect.TypeOf(c.params)
			sent := 0
			for i := range kind.NumField() {
				name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
				if name == "" || name == "-" || strings.Contains(" "+c.except+" ", " "+name+" ") {
					continue
				}
				sent++
				if got := post(c.path, strings.Replace(c.body, "FIELD", `,"`+name+`":null`, 1)); got != http.StatusOK {
					t.Errorf("%s: %d", name, got)
				}
			}
			if sent < 15 {
				t.Errorf("the SDK has only %d fields", sent)
			}
			if got := post(c.path, strings.Replace(c.body, "FIELD", `,"no_such_field":null`, 1)); got != http.StatusBadRequest {
				t.Errorf("a field that nobody has: %d", got)
			}
		})
	}
}
