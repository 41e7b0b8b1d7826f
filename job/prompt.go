package job

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Prompt is a usable line of a prompts file. Raw values are complete, valid
// JSON and alias the parsed line.
type Prompt struct {
	Line int64 // physical line in the upload, from 1
	ID   PromptID

	Text     string    // the prompt; empty where Messages is set
	System   string    // empty: none
	Messages []Message // instead of Text

	Temperature    *float64
	TopP           *float64
	MaxTokens      *int64
	Stop           []string
	Seed           *int64
	ResponseFormat jsontext.Value // an object
	Tools          jsontext.Value // a list of objects
	ToolChoice     jsontext.Value // a string or an object
	ExtraBody      jsontext.Value // an object laid over the provider's request
	Metadata       jsontext.Value // an object that comes back with the outcome
}

// Message is one turn of a conversation in OpenAI's shape.
type Message struct {
	Role  string // system, developer, user, assistant or tool
	Text  string // the content where it is a string, or where it has text alone
	Parts []Part // the content where it is a list
	Raw   jsontext.Value
}

// Part is one piece of a message's content.
type Part struct {
	Text     string
	ImageURL string // https://… or data:…; empty for a text part
	Detail   string // an image's detail: auto, low, high, or empty
}

// UserText is all text that a user said in the prompt, turns joined by a line
// break.
func (p *Prompt) UserText() string {
	if p.Messages == nil {
		return p.Text
	}
	var turns []string
	for _, m := range p.Messages {
		if m.Role != "user" {
			continue
		}
		if m.Parts == nil {
			turns = append(turns, m.Text)
		}
		for _, part := range m.Parts {
			if part.ImageURL == "" {
				turns = append(turns, part.Text)
			}
		}
	}
	return strings.Join(turns, "\n")
}

// Bytes is about what the prompt weighs in memory and on the wire.
func (p *Prompt) Bytes() int {
	n := len(p.Text) + len(p.System) + len(p.ResponseFormat) + len(p.Tools) + len(p.ToolChoice) + len(p.ExtraBody) + len(p.Metadata) + 256
	for _, m := range p.Messages {
		n += len(m.Raw)
	}
	return n
}
