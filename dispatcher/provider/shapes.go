package provider

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/promptforge/promptforge/job"
)

// Lines hold tools, tool choices, formats and tool calls in OpenAI's shape.
// What follows reads them for the dialects that say them otherwise. Errors are
// sentences that name the field.

// lacks is the sentence for a field that a dialect cannot say.
func lacks(dialect, field string) error {
	return sentence(fmt.Sprintf("%s has no %s; leave it out.", dialect, field))
}

// tool is a function that a model may call.
type tool struct {
	Name        string         `json:"name"`
	Description string         `json:"description"`
	Parameters  jsontext.Value `json:"parameters"` // a JSON schema; nil: none
	Strict      *bool          `json:"strict"`
}

func readTools(v jsontext.Value) ([]tool, error) {
	if v == nil {
		return nil, nil
	}
	var list []struct {
		Type     string `json:"type"`
		Function *tool  `json:"function"`
	}
	if json.Unmarshal(v, &list) != nil {
		return nil, sentence("tools is no list of {type: function, function: {name, description, parameters}}.")
	}
	out := make([]tool, len(list))
	for i, t := range list {
		if (t.Type != "" && t.Type != "function") || t.Function == nil || t.Function.Name == "" {
			return nil, sentence(fmt.Sprintf("tools[%d] is no function with a name; only functions can be said here.", i))
		}
		if k := t.Function.Parameters.Kind(); k != '{' {
			if k != 'n' && k != 0 {
				return nil, sentence(fmt.Sprintf("tools[%d].function.parameters is no object.", i))
			}
			t.Function.Parameters = nil
		}
		out[i] = *t.Function
	}
	return out, nil
}

// toolChoice is auto, none, required, or the name of a function.
type toolChoice struct{ mode, function string }

func readToolChoice(v jsontext.Value) (toolChoice, error) {
	switch v.Kind() {
	case 0:
		return toolChoice{}, nil
	case '"':
		switch s := plain(v); s {
		case "auto", "none", "required":
			return toolChoice{mode: s}, nil
		case "any": // Mistral's word for it
			return toolChoice{mode: "required"}, nil
		}
	case '{':
		var c struct {
			Type     string `json:"type"`
			Function struct {
				Name string `json:"name"`
			} `json:"function"`
		}
		if json.Unmarshal(v, &c) == nil && c.Type == "function" && c.Function.Name != "" {
			return toolChoice{function: c.Function.Name}, nil
		}
	}
	return toolChoice{}, sentence(`tool_choice is none of "auto", "none", "required" and {type: function, function: {name}}.`)
}

// format is how an answer must look: text, json_object or json_schema.
type format struct {
	Type       string `json:"type"`
	JSONSchema *struct {
		Schema jsontext.Value `json:"schema"`
	} `json:"json_schema"`
}

func readFormat(v jsontext.Value) (format, error) {
	f := format{Type: "text"}
	if v == nil {
		return f, nil
	}
	f.Type = ""
	if json.Unmarshal(v, &f) != nil {
		return f, sentence("response_format is none of {type: text}, {type: json_object} and {type: json_schema, json_schema: {schema}}.")
	}
	switch f.Type {
	case "text", "json_object":
		return f, nil
	case "json_schema":
		if f.JSONSchema != nil && f.JSONSchema.Schema.Kind() == '{' {
			return f, nil
		}
		return f, sentence("response_format.json_schema has no schema.")
	}
	return f, sentence(fmt.Sprintf("response_format.type %q is none of text, json_object and json_schema.", f.Type))
}

// toolCall is a call as an assistant's turn holds it.
type toolCall struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string         `json:"name"`
		Arguments jsontext.Value `json:"arguments"` // a string that holds JSON
	} `json:"function"`
	// What Gemini wants back with a call that it made.
	ExtraContent struct {
		Google struct {
			ThoughtSignature string `json:"thought_signature"`
		} `json:"google"`
	} `json:"extra_content"`
}

// arguments are a call's arguments as an object.
func (c *toolCall) arguments() (jsontext.Value, bool) {
	v := c.Function.Arguments
	if v.Kind() == '"' {
		v = jsontext.Value(strings.TrimSpace(plain(v)))
	}
	if len(v) == 0 || v.Kind() == 'n' {
		return jsontext.Value("{}"), true
	}
	return v, v.IsValid() && v.Kind() == '{'
}

// turn is a message with what only its raw form holds.
type turn struct {
	*job.Message
	where string // its place in the line, for sentences
	name  string
	calls []toolCall
	call  string // the call that a tool's turn answers
}

// turns are a prompt's messages; a plain prompt is one of the user.
func turns(p *job.Prompt) ([]turn, error) {
	if p.Messages == nil {
		return []turn{{Message: &job.Message{Role: "user", Text: p.Text}, where: "prompt"}}, nil
	}
	out := make([]turn, len(p.Messages))
	for i := range p.Messages {
		t := turn{Message: &p.Messages[i], where: fmt.Sprintf("messages[%d]", i)}
		var w struct {
			Name       string         `json:"name"`
			ToolCalls  jsontext.Value `json:"tool_calls"`
			ToolCallID string         `json:"tool_call_id"`
			Refusal    jsontext.Value `json:"refusal"`
		}
		if json.Unmarshal(t.Raw, &w) != nil {
			return nil, sentence(t.where + " cannot be read.")
		}
		t.name, t.call = w.Name, w.ToolCallID
		if k := w.ToolCalls.Kind(); k != 0 && k != 'n' {
			if t.Role != "assistant" || json.Unmarshal(w.ToolCalls, &t.calls) != nil {
				return nil, sentence(t.where + ".tool_calls is no list of an assistant's {id, type: function, function: {name, arguments}}.")
			}
		}
		for j := range t.calls {
			c := &t.calls[j]
			if (c.Type != "" && c.Type != "function") || c.Function.Name == "" {
				return nil, sentence(fmt.Sprintf("%s.tool_calls[%d] is no call of a function with a name.", t.where, j))
			}
			if _, ok := c.arguments(); !ok {
				return nil, sentence(fmt.Sprintf("%s.tool_calls[%d].function.arguments is no JSON object.", t.where, j))
			}
		}
		if t.Role == "tool" && t.call == "" {
			return nil, sentence(t.where + " is a tool's and has no tool_call_id.")
		}
		if refusal := plain(w.Refusal); refusal != "" && t.Text == "" && t.Parts == nil {
			said := *t.Message
			said.Text = refusal
			t.Message = &said
		}
		out[i] = t
	}
	return out, nil
}

// parts are a turn's content as a list; empty text is left out.
func (t *turn) parts() []job.Part {
	if t.Parts != nil {
		return t.Parts
	}
	if t.Text == "" {
		return nil
	}
	return []job.Part{{Text: t.Text}}
}

// textAlone is a turn's content where it may hold no image.
func (t *turn) textAlone(dialect string) (string, error) {
	if t.Parts == nil {
		return t.Text, nil
	}
	var b strings.Builder
	for _, part := range t.Parts {
		if part.ImageURL != "" {
			return "", sentence(fmt.Sprintf("%s takes no image in a message of role %s (%s).", dialect, t.Role, t.where))
		}
		b.WriteString(part.Text)
	}
	return b.String(), nil
}

// instructions joins the line's system text and the messages of the system and
// of the developer, for dialects that take them apart from the conversation;
// rest are the other turns.
func instructions(dialect string, p *job.Prompt) (system string, rest []turn, err error) {
	all, err := turns(p)
	if err != nil {
		return "", nil, err
	}
	var texts []string
	if p.System != "" {
		texts = append(texts, p.System)
	}
	for i := range all {
		t := &all[i]
		if t.name != "" && t.Role != "tool" {
			return "", nil, lacks(dialect, t.where+".name")
		}
		if t.Role != "system" && t.Role != "developer" {
			rest = append(rest, *t)
			continue
		}
		text, err := t.textAlone(dialect)
		if err != nil {
			return "", nil, err
		}
		if text != "" {
			texts = append(texts, text)
		}
	}
	if len(rest) == 0 {
		return "", nil, sentence(dialect + " needs a message that is not the system's.")
	}
	return strings.Join(texts, "\n\n"), rest, nil
}

// image is a data: URL in its parts; data stays in base64.
type image struct{ mediaType, data string }

// readDataURL reads a data: URL; ok is false for any other.
func readDataURL(url string) (img image, ok bool, err error) {
	rest, ok := strings.CutPrefix(url, "data:")
	if !ok {
		return image{}, false, nil
	}
	head, data, found := strings.Cut(rest, ",")
	mediaType, coding, _ := strings.Cut(head, ";")
	if !found || mediaType == "" || !strings.HasSuffix(coding, "base64") {
		return image{}, true, sentence("image_url is a data: URL, but not data:<media type>;base64,<data>.")
	}
	if _, err := base64.StdEncoding.DecodeString(data); err != nil {
		return image{}, true, sentence("image_url is a data: URL whose base64 cannot be read.")
	}
	return image{mediaType, data}, true, nil
}

// list is a JSON list being built.
type list struct{ b []byte }

func (l *list) add(v jsontext.Value) {
	if l.b == nil {
		l.b = append(l.b, '[')
	} else {
		l.b = append(l.b, ',')
	}
	l.b = append(l.b, v...)
}

func (l *list) empty() bool { return l.b == nil }

func (l *list) value() jsontext.Value {
	if l.b == nil {
		return jsontext.Value("[]")
	}
	return append(bytes.Clone(l.b), ']')
}

// callsAsOpenAI appends calls in OpenAI's shape; nil where there are none.
type callsAsOpenAI struct{ list }

// add takes a call's arguments as a JSON object; without an id it gets one of
// its place.
func (c *callsAsOpenAI) add(n int, id, name string, arguments jsontext.Value, extra jsontext.Value) {
	if id == "" {
		id = fmt.Sprintf("call_%d", n)
	}
	if arguments.Kind() != '"' {
		if len(arguments) == 0 || arguments.Kind() == 'n' {
			arguments = jsontext.Value("{}")
		}
		arguments = quote(string(arguments))
	}
	var function, call body
	function.text("name", name)
	function.raw("arguments", arguments)
	call.text("id", id)
	call.text("type", "function")
	call.object("function", &function)
	call.raw("extra_content", extra)
	c.list.add(call.bytes())
}

func (c *callsAsOpenAI) value() jsontext.Value {
	if c.empty() {
		return nil
	}
	return c.list.value()
}
