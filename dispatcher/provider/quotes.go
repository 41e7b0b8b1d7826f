package provider

import (
	"fmt"
	"strings"

	"github.com/promptforge/promptforge/job"
)

// quoted is how much of a prompt, in bytes, a sentence must have in common with
// it to count as quoting it.
const quoted = 24

// longestRefusal is how long, in bytes, such a sentence may be.
const longestRefusal = 1 << 10

// withoutPrompt keeps a prompt out of a refusal of the credential, the account
// or the model, which every job of a lane shows, whoever's it is.
func withoutPrompt(e *Endpoint, a *Answer, p *job.Prompt) {
	if a.Class != Fatal {
		return
	}
	if len(a.Message) > longestRefusal {
		a.Message = strings.ToValidUTF8(a.Message[:longestRefusal], "") + "…"
	}
	if !quotes(a.Message, p) {
		return
	}
	ours, _, found := strings.Cut(a.Message, " It said: ") // as fatalSentence puts it
	if !found {
		ours = fmt.Sprintf("%s refused (%d).", e.Provider, a.HTTPStatus)
	}
	a.Message = ours
}

func quotes(message string, p *job.Prompt) bool {
	texts := []string{p.Text, p.System}
	for _, m := range p.Messages {
		texts = append(texts, string(m.Raw))
	}
	for _, text := range texts {
		if len(text) > quoted/2 && len(text) < quoted && strings.Contains(message, text) {
			return true
		}
		for i := 0; i+quoted <= len(message); i++ {
			if strings.Contains(text, message[i:i+quoted]) {
				return true
			}
		}
	}
	return false
}
