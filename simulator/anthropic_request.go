package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// anthropicFields are those that the API takes without a beta header; any other
// is refused. Source: Anthropic's API reference, "Create a Message".
var (
	anthropicFields = setOf(
		"cache_control", "container", "diagnostics", "inference_geo", "max_tokens", "messages", "metadata", "model", "output_config",
		"service_tier", "speed", "stop_sequences", "stream", "system", "temperature", "thinking", "tool_choice", "tools", "top_k", "top_p",
	)
	anthropicMessageFields = setOf("role", "content")
	anthropicToolFields    = setOf(
		"name", "description", "input_schema", "type", "cache_control", "strict", "eager_input_streaming", "defer_loading",
		"allowed_callers", "input_examples",
	)
)

// anthropicChat is as much of a body as the simulator heeds.
type anthropicChat struct {
	Model         string            `json:"model"`
	MaxTokens     *int              `json:"max_tokens"`
	Messages      []json.RawMessage `json:"messages"`
	System        json.RawMessage   `json:"system"`
	StopSequences []string          `json:"stop_sequences"`
	Stream        bool              `json:"stream"`
	Temperature   *float64          `json:"temperature"`
	TopP          *float64          `json:"top_p"`
	Tools         []json.RawMessage `json:"tools"`
	ToolChoice    *struct {
		Type string `json:"type"`
		Name string `json:"name"`
	} `json:"tool_choice"`
	OutputConfig struct {
		Format *struct {
			Type   string          `json:"type"`
			Schema json.RawMessage `json:"schema"`
		} `json:"format"`
	} `json:"output_config"`
}

// refused is a 400 in a dialect's own sentence.
func refused(format string, args ...any) *failure {
	return &failure{kind: badRequest, message: fmt.Sprintf(format, args...)}
}

func (anthropic) parse(r *http.Request, _ string, _ operation, body []byte) (request, *failure) {
	if r.Header.Get(versionHeader) == "" {
		return request{}, refused("anthropic-version: header is required")
	}
	var in anthropicChat
	if err := json.Unmarshal(body, &in); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return request{}, refused("%s: Input should be a valid %s", wrong.Field, wrong.Type)
		}
		return request{}, &failure{kind: badJSON}
	}
	if name, unknown := stranger(body, anthropicFields); unknown {
		return request{}, refused("%s: Extra inputs are not permitted", name)
	}
	if f := in.check(); f != nil {
		return request{}, f
	}
	rq := request{model: in.Model, maxTokens: *in.MaxTokens}
	f := in.readSystem(&rq)
	if f == nil {
		f = in.readMessages(&rq)
	}
	if f == nil {
		rq.tool, f = in.chosen()
	}
	if format := in.OutputConfig.Format; format != nil && f == nil {
		if format.Type != "json_schema" || len(format.Schema) == 0 {
			return request{}, refused("output_config.format.schema: Field required")
		}
		rq.json, rq.schema = true, format.Schema
	}
	return rq, f
}

func (in *anthropicChat) check() *failure {
	switch {
	case in.Model == "":
		return refused("model: Field required")
	case in.MaxTokens == nil:
		return refused("max_tokens: Field required")
	case *in.MaxTokens < 1:
		return refused("max_tokens: Input should be greater than or equal to 1")
	case in.Messages == nil:
		return refused("messages: Field required")
	case len(in.Messages) == 0:
		return refused("messages: at least one message is required")
	case in.Stream:
		return refused("stream: this simulator does not stream")
	case in.Temperature != nil && !isShare(*in.Temperature):
		return refused("temperature: range: 0..1")
	case in.TopP != nil && !isShare(*in.TopP):
		return refused("top_p: range: 0..1")
	}
	for i, stop := range in.StopSequences {
		if strings.TrimSpace(stop) == "" {
			return refused("stop_sequences.%d: each stop sequence must contain non-whitespace", i)
		}
	}
	return nil
}

func (in *anthropicChat) readSystem(rq *request) *failure {
	if len(in.System) == 0 || string(in.System) == "null" {
		return nil
	}
	text, _, f := anthropicText("system", in.System)
	rq.promptTokens += tokensIn(text)
	return f
}

// readMessages sets the prompt, which is the user's own text, and the tokens of
// all texts.
func (in *anthropicChat) readMessages(rq *request) *failure {
	var user []string
	var called map[string]bool // by the message before
	for i, raw := range in.Messages {
		at := fmt.Sprintf("messages.%d", i)
		var m struct {
			Role    string          `json:"role"`
			Content json.RawMessage `json:"content"`
		}
		if json.Unmarshal(raw, &m) != nil {
			return refused("%s: Input should be a valid dictionary", at)
		}
		if name, unknown := stranger(raw, anthropicMessageFields); unknown {
			return refused("%s.%s: Extra inputs are not permitted", at, name)
		}
		switch {
		case m.Role == "system":
			return refused(`messages: Unexpected role "system". The Messages API accepts a top-level %ssystem%s parameter, not "system" as an input message role.`, "`", "`")
		case m.Role != "user" && m.Role != "assistant":
			return refused("%s.role: Input should be 'user' or 'assistant'", at)
		case len(m.Content) == 0 || string(m.Content) == "null":
			return refused("%s.content: Field required", at)
		case i == 0 && m.Role == "assistant":
			return refused(`messages: first message must use the "user" role`)
		}
		text, blocks, f := anthropicText(at+".content", m.Content)
		if f != nil {
			return f
		}
		now, result := map[string]bool{}, false
		for j, b := range blocks {
			if b.Type == "tool_use" {
				now[b.ID] = true
			}
			result = result || b.Type == "tool_result"
			if b.Type == "tool_result" && !called[b.ToolUseID] {
				return refused("%s.content.%d: unexpected `tool_use_id` found in `tool_result` blocks: %s. Each `tool_result` block must have a corresponding `tool_use` block in the previous message.", at, j, b.ToolUseID)
			}
		}
		called = now
		rq.promptTokens += tokensIn(text)
		// What a tool answered is a message of its own in other dialects.
		if m.Role == "user" && (text != "" || !result) {
			user = append(user, text)
		}
	}
	rq.prompt = strings.Join(user, "\n")
	return nil
}

// anthropicBlock is a part of a message's content.
type anthropicBlock struct {
	Type      string `json:"type"`
	Text      string `json:"text"`
	ID        string `json:"id"`
	ToolUseID string `json:"tool_use_id"`
	Source    *struct {
		Type      string `json:"type"`
		MediaType string `json:"media_type"`
		Data      []byte `json:"data"`
		URL       string `json:"url"`
	} `json:"source"`
}

// anthropicText is the text of a content (the string, or its text blocks joined
// by newlines) and its blocks.
func anthropicText(at string, raw json.RawMessage) (string, []anthropicBlock, *failure) {
	var whole string
	if json.Unmarshal(raw, &whole) == nil {
		if strings.TrimSpace(whole) == "" {
			return "", nil, refused("messages: text content blocks must contain non-whitespace text")
		}
		return whole, nil, nil
	}
	var blocks []anthropicBlock
	if json.Unmarshal(raw, &blocks) != nil {
		return "", nil, refused("%s: Input should be a valid list", at)
	}
	if len(blocks) == 0 {
		return "", nil, refused("%s: all messages must have non-empty content except for the optional final assistant message", at)
	}
	var texts []string
	for i, b := range blocks {
		at := fmt.Sprintf("%s.%d", at, i)
		switch b.Type {
		case "text":
			if strings.TrimSpace(b.Text) == "" {
				return "", nil, refused("messages: text content blocks must contain non-whitespace text")
			}
			texts = append(texts, b.Text)
		case "image":
			if f := b.checkImage(at); f != nil {
				return "", nil, f
			}
		case "tool_use", "tool_result", "document", "thinking", "redacted_thinking", "search_result":
		default:
			return "", nil, refused("%s: Input tag '%s' found using 'type' does not match any of the expected tags: 'document', 'image', 'redacted_thinking', 'search_result', 'text', 'thinking', 'tool_result', 'tool_use'", at, b.Type)
		}
	}
	return strings.Join(texts, "\n"), blocks, nil
}

func (b *anthropicBlock) checkImage(at string) *failure {
	switch s := b.Source; {
	case s == nil:
		return refused("%s.image.source: Field required", at)
	case s.Type == "url" && s.URL == "":
		return refused("%s.image.source.url.url: Field required", at)
	case s.Type == "url", s.Type == "file":
		return nil
	case s.Type != "base64":
		return refused("%s.image.source: Input tag '%s' found using 'type' does not match any of the expected tags: 'base64', 'file', 'url'", at, s.Type)
	case len(s.Data) == 0:
		return refused("%s.image.source.base64.data: Field required", at)
	}
	switch b.Source.MediaType {
	case "image/jpeg", "image/png", "image/gif", "image/webp":
		return nil
	}
	return refused("%s.image.source.base64.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'", at)
}

// chosen is the tool that tool_choice makes the model call: the first for
// "any", the named one for "tool"; nil for anything else.
func (in *anthropicChat) chosen() (*tool, *failure) {
	var tools []tool
	for i, raw := range in.Tools {
		var t struct {
			Type   string          `json:"type"`
			Name   string          `json:"name"`
			Schema json.RawMessage `json:"input_schema"`
		}
		if json.Unmarshal(raw, &t) != nil {
			return nil, refused("tools.%d: Input should be a valid dictionary", i)
		}
		if t.Type != "" && t.Type != "custom" {
			// One of Anthropic's own, such as web_search.
			tools = append(tools, tool{name: t.Name})
			continue
		}
		if name, unknown := stranger(raw, anthropicToolFields); unknown {
			return nil, refused("tools.%d.custom.%s: Extra inputs are not permitted", i, name)
		}
		var s schema
		switch {
		case t.Name == "":
			return nil, refused("tools.%d.custom.name: Field required", i)
		case len(t.Schema) == 0:
			return nil, refused("tools.%d.custom.input_schema: Field required", i)
		case json.Unmarshal(t.Schema, &s) != nil || string(s.Type) != `"object"`:
			return nil, refused("tools.%d.custom.input_schema.type: Input should be 'object'", i)
		}
		tools = append(tools, tool{t.Name, t.Schema})
	}
	switch c := in.ToolChoice; {
	case c == nil:
		return nil, nil
	case len(tools) == 0:
		return nil, refused("tool_choice: may only be specified while providing `tools`.")
	case c.Type == "auto", c.Type == "none":
		return nil, nil
	case c.Type == "any":
		return &tools[0], nil
	case c.Type == "tool":
		for i := range tools {
			if tools[i].name == c.Name {
				return &tools[i], nil
			}
		}
		return nil, refused("Tool '%s' not found in provided tools", c.Name)
	}
	return nil, refused("tool_choice: Input tag '%s' found using 'type' does not match any of the expected tags: 'auto', 'any', 'tool', 'none'", in.ToolChoice.Type)
}
