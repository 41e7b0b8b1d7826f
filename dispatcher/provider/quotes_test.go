package provider

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What a provider says when it refuses a credential is shown to every job of
// the lane, so a prompt that it quotes is left out.
func TestARefusalQuotesNoPrompt(t *testing.T) {
	for _, c := range []struct {
		name, line, said string
		status           int
		want             string
	}{
		{"words of its own", `{"prompt_id":1,"prompt":"q"}`, "Incorrect API key provided.", 401, "It said: Incorrect API key provided."},
		{"the prompt", `{"prompt_id":1,"prompt":"my secret plan for tomorrow morning"}`, "No: my secret plan for tomorrow morning", 401, "set TEST_KEY to a valid key."},
		{"a part of it", `{"prompt_id":1,"prompt":"my secret plan for tomorrow morning"}`, "No: …secret plan for tomorrow m…", 402, "add credit or raise the limit there."},
		{"very many words", `{"prompt_id":1,"prompt":"q"}`, strings.Repeat("No, ", 1<<18), 402, "No, No"},
		{"a refusal that is like no other", `{"prompt_id":1,"prompt":"my secret plan for tomorrow morning"}`, "my secret plan for tomorrow morning", 301, "redirects (301)"},
		{"a short prompt", `{"prompt_id":1,"prompt":"my secret plan"}`, "No: my secret plan.", 402, "add credit or raise the limit there."},
		{"the system prompt", `{"prompt_id":1,"prompt":"q","system":"my secret plan for tomorrow morning"}`, "No: my secret plan for tomorrow morning", 402, "add credit or raise the limit there."},
		{"a message", `{"prompt_id":1,"messages":[{"role":"user","content":"my secret plan for tomorrow morning"}]}`, "No: my secret plan for tomorrow morning", 402, "add credit or raise the limit there."},
	} {
		client := newTestClient(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) {
			text, err := json.Marshal(c.said)
			if err != nil {
				t.Error(err)
			}
			w.WriteHeader(c.status)
			fmt.Fprintf(w, `{"error":{"message":%s}}`, text)
		})
		client.endpoint.KeyName = "TEST_KEY"
		a, _ := client.Send(t.Context(), parse(t, c.line))
		if len(a.Message) > longestRefusal+len("…") {
			t.Errorf("%s: %d bytes", c.name, len(a.Message))
		}
		if a.Class != Fatal || !strings.Contains(a.Message, c.want) || strings.Contains(a.Message, "secret") {
			t.Errorf("%s: %s %q", c.name, a.Class, a.Message)
		}
	}
}
