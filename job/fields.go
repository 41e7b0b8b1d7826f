package job

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// prompt checks every field and makes the prompt of them.
func (f *fields) prompt(number int64) (*Prompt, error) {
	raw, ok := f.values["prompt_id"]
	if !ok {
		return nil, invalid(PromptID{}, "The line has no prompt_id.")
	}
	id, err := ParsePromptID(raw)
	if err != nil {
		return nil, invalid(PromptID{}, "prompt_id "+err.Error()+".")
	}
	if len(f.unknown) > 0 {
		return nil, invalid(id, unknownField(f.unknown[0]))
	}
	p := &Prompt{Line: number, ID: id}
	for _, read := range []func(*fields, *Prompt) error{readPrompt, readSampling, readShapes} {
		if err := read(f, p); err != nil {
			return nil, invalid(id, err.Error())
		}
	}
	return p, nil
}

func unknownField(name string) string {
	if len(name) > 64 {
		name = strings.ToValidUTF8(name[:64], "") + "…"
	}
	if guess := misspelt(name); guess != "" {
		return fmt.Sprintf("Unknown field %q; did you mean %q?", name, guess)
	}
	return fmt.Sprintf("Unknown field %q; parameters of the provider's own go into extra_body.", name)
}

// set returns a field's value unless it is left out or null.
func (f *fields) set(name string) (jsontext.Value, bool) {
	v, ok := f.values[name]
	if !ok || v.Kind() == 'n' {
		return nil, false
	}
	return v, true
}

func (f *fields) text(name string) (string, bool, error) {
	v, ok := f.set(name)
	if !ok {
		return "", false, nil
	}
	if v.Kind() != '"' {
		return "", false, sentence(fmt.Sprintf("%s must be a string, not %s.", name, kindName(v)))
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1 : len(v)-1]), true, nil // one copy, of up to 10 MiB, and not two
	}
	s, err := jsontext.AppendUnquote(nil, v)
	return string(s), true, err
}

func readPrompt(f *fields, p *Prompt) error {
	text, hasText, err := f.text("prompt")
	if err != nil {
		return err
	}
	messages, hasMessages := f.set("messages")
	switch {
	case hasText && hasMessages:
		return sentence("The line has both prompt and messages; one of them is meant.")
	case !hasText && !hasMessages:
		return sentence("The line has no prompt.")
	case hasText && strings.TrimSpace(text) == "":
		return sentence("The prompt is empty.")
	}
	p.Text = text
	if hasMessages {
		if p.Messages, err = readMessages(messages); err != nil {
			return err
		}
	}
	p.System, _, err = f.text("system")
	return err
}

func readSampling(f *fields, p *Prompt) error {
	var err error
	if p.Temperature, err = f.number("temperature"); err != nil {
		return err
	}
	if p.TopP, err = f.number("top_p"); err != nil {
		return err
	}
	if p.MaxTokens, err = f.integer("max_tokens"); err != nil {
		return err
	}
	if p.MaxTokens != nil && *p.MaxTokens < 1 {
		return sentence("max_tokens must be 1 or more.")
	}
	if p.Seed, err = f.integer("seed"); err != nil {
		return err
	}
	stop, ok := f.set("stop")
	if !ok {
		return nil
	}
	if stop.Kind() == '"' {
		s, _, err := f.text("stop")
		p.Stop = []string{s}
		return err
	}
	if json.Unmarshal(stop, &p.Stop) != nil || len(p.Stop) == 0 {
		return sentence("stop must be a string or a list of strings.")
	}
	return nil
}

func readShapes(f *fields, p *Prompt) error {
	for _, s := range []struct {
		name  string
		into  *jsontext.Value
		kinds string
		want  string
	}{
		{"response_format", &p.ResponseFormat, "{", "an object"},
		{"tools", &p.Tools, "[", "a list of objects"},
		{"tool_choice", &p.ToolChoice, `"{`, "a string or an object"},
		{"extra_body", &p.ExtraBody, "{", "an object"},
		{"metadata", &p.Metadata, "{", "an object"},
	} {
		v, ok := f.set(s.name)
		if !ok {
			continue
		}
		if !strings.ContainsRune(s.kinds, rune(v.Kind())) {
			return sentence(fmt.Sprintf("%s must be %s, not %s.", s.name, s.want, kindName(v)))
		}
		if bytes.ContainsRune(v, '\r') {
			// Legal white space in JSON, but a line break to half of the
			// readers of a JSON Lines file that it would come back in.
			v = slices.Clone(v)
			if err := v.Compact(); err != nil {
				return err
			}
		}
		*s.into = v
	}
	return nil
}

func (f *fields) number(name string) (*float64, error) {
	v, ok := f.set(name)
	if !ok {
		return nil, nil
	}
	n, err := strconv.ParseFloat(string(v), 64)
	if v.Kind() != '0' || err != nil {
		return nil, sentence(fmt.Sprintf("%s must be a number, not %s.", name, kindName(v)))
	}
	return &n, nil
}

func (f *fields) integer(name string) (*int64, error) {
	v, ok := f.set(name)
	if !ok {
		return nil, nil
	}
	n, err := strconv.ParseInt(string(v), 10, 64)
	if v.Kind() != '0' || err != nil {
		return nil, sentence(fmt.Sprintf("%s must be a whole number.", name))
	}
	return &n, nil
}

var roles = []string{"system", "developer", "user", "assistant", "tool"}

// wireMessage is a message as OpenAI's chat completions take it.
type wireMessage struct {
	Role       string         `json:"role"`
	Content    jsontext.Value `json:"content"`
	Name       string         `json:"name"`
	ToolCalls  jsontext.Value `json:"tool_calls"`
	ToolCallID string         `json:"tool_call_id"`
	Refusal    jsontext.Value `json:"refusal"`
}

type wirePart struct {
	Type     string  `json:"type"`
	Text     *string `json:"text"`
	ImageURL *struct {
		URL    string `json:"url"`
		Detail string `json:"detail"`
	} `json:"image_url"`
}

func readMessages(v jsontext.Value) ([]Message, error) {
	var raws []jsontext.Value
	if v.Kind() != '[' || json.Unmarshal(v, &raws) != nil {
		return nil, sentence("messages must be a list of objects with role and content.")
	}
	if len(raws) == 0 {
		return nil, sentence("messages is empty.")
	}
	out := make([]Message, len(raws))
	for i, raw := range raws {
		m, err := readMessage(raw)
		if err != nil {
			return nil, sentence(fmt.Sprintf("messages[%d] %s", i, err))
		}
		out[i] = m
	}
	return out, nil
}

func readMessage(raw jsontext.Value) (Message, error) {
	var w wireMessage
	if raw.Kind() != '{' || json.Unmarshal(raw, &w, json.RejectUnknownMembers(true)) != nil {
		return Message{}, sentence("must be an object with role and content (and name, tool_calls or tool_call_id).")
	}
	if !slices.Contains(roles, w.Role) {
		return Message{}, sentence("has no role out of " + strings.Join(roles, ", ") + ".")
	}
	m := Message{Role: w.Role, Raw: raw}
	switch {
	case w.Content == nil || w.Content.Kind() == 'n':
		if w.Role != "assistant" || w.ToolCalls == nil {
			return Message{}, sentence("has no content.")
		}
	case w.Content.Kind() == '"':
		s, err := jsontext.AppendUnquote(nil, w.Content)
		m.Text = string(s)
		return m, err
	default:
		var parts []wirePart
		if json.Unmarshal(w.Content, &parts, json.RejectUnknownMembers(true)) != nil || len(parts) == 0 {
			return Message{}, sentence("has a content that is neither a string nor a list of text and image_url parts.")
		}
		for _, part := range parts {
			switch {
			case part.Type == "text" && part.Text != nil:
				m.Parts = append(m.Parts, Part{Text: *part.Text})
			case part.Type == "image_url" && part.ImageURL != nil && part.ImageURL.URL != "":
				m.Parts = append(m.Parts, Part{ImageURL: part.ImageURL.URL, Detail: part.ImageURL.Detail})
			default:
				return Message{}, sentence("has a part that is neither {type: text, text} nor {type: image_url, image_url: {url}}.")
			}
		}
	}
	return m, nil
}

func kindName(v jsontext.Value) string {
	switch v.Kind() {
	case '"':
		return "a string"
	case '0':
		return "a number"
	case 't', 'f':
		return "a boolean"
	case '[':
		return "a list"
	case '{':
		return "an object"
	default:
		return "null"
	}
}

// sentence is an error that a person reads as it stands.
type sentence string

func (s sentence) Error() string { return string(s) }
