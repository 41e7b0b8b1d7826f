package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// The fields that the API takes at each place; any other is refused with 422.
// Source: Mistral's API reference, "Chat Completion API".
var (
	mistralFields = setOf(
		"model", "messages", "temperature", "top_p", "max_tokens", "stream", "stop", "random_seed", "metadata", "response_format",
		"tools", "tool_choice", "presence_penalty", "frequency_penalty", "n", "prediction", "parallel_tool_calls", "prompt_mode",
		"reasoning_effort", "guardrails", "safe_prompt", "prompt_cache_key",
	)
	mistralRoleFields = map[string]map[string]bool{
		"system":    setOf("role", "content"),
		"user":      setOf("role", "content"),
		"assistant": setOf("role", "content", "tool_calls", "prefix"),
		"tool":      setOf("role", "content", "tool_call_id", "name"),
	}
	mistralToolFields     = setOf("type", "function")
	mistralFunctionFields = setOf("name", "description", "strict", "parameters")
)

// mistralChat is as much of a body as the simulator heeds.
type mistralChat struct {
	openAIChat
	Messages []json.RawMessage `json:"messages"`
	Tools    []json.RawMessage `json:"tools"`
}

// unfit is a 422 about the field at the end of a path.
func unfit(kind, message string, path ...any) *failure {
	loc, _ := json.Marshal(append([]any{"body"}, path...)) // strings and numbers
	return &failure{kind: badRequest, code: kind, message: message, param: string(loc)}
}

func extra(path ...any) *failure {
	return unfit("extra_forbidden", "Extra inputs are not permitted", path...)
}

func (mistral) parse(_ *http.Request, _ string, _ operation, body []byte) (request, *failure) {
	var in mistralChat
	if err := json.Unmarshal(body, &in); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) && wrong.Field != "" {
			return request{}, unfit("type_error", "Input should be a valid "+wrong.Type.String(), wrong.Field)
		}
		return request{}, &failure{kind: badJSON}
	}
	if name, unknown := stranger(body, mistralFields); unknown {
		return request{}, extra(name)
	}
	if f := in.check(); f != nil {
		return request{}, f
	}
	rq := request{model: in.Model}
	if in.MaxTokens != nil {
		rq.maxTokens = *in.MaxTokens
	}
	f := in.readMessages(&rq)
	if f == nil {
		rq.tool, f = in.choose()
	}
	if format := in.ResponseFormat; format != nil && f == nil {
		switch {
		case format.Type == "json_schema" && format.JSONSchema.Name == "":
			return request{}, unfit("missing", "Field required", "response_format", "json_schema", "name")
		case strings.HasPrefix(format.Type, "json_"):
			rq.json, rq.schema = true, format.JSONSchema.Schema
		}
	}
	return rq, f
}

func (in *mistralChat) check() *failure {
	switch {
	case in.Model == "":
		return unfit("missing", "Field required", "model")
	case in.Messages == nil:
		return unfit("missing", "Field required", "messages")
	case len(in.Messages) == 0:
		return &failure{kind: badRequest, message: "Conversation must have at least one message", code: "3230"}
	case in.Stream:
		return &failure{kind: badRequest, message: "This simulator does not stream."}
	case in.MaxTokens != nil && *in.MaxTokens < 0:
		return unfit("greater_than_equal", "Input should be greater than or equal to 0", "max_tokens")
	case in.Temperature != nil && (*in.Temperature < 0 || *in.Temperature > 1.5):
		return unfit("less_than_equal", "Input should be from 0 to 1.5", "temperature")
	case in.TopP != nil && !isShare(*in.TopP):
		return unfit("less_than_equal", "Input should be from 0 to 1", "top_p")
	}
	return nil
}

// readMessages sets the prompt and its tokens.
func (in *mistralChat) readMessages(rq *request) *failure {
	var user []string
	last := ""
	for i, raw := range in.Messages {
		var m struct {
			Role    string          `json:"role"`
			Content json.RawMessage `json:"content"`
			Prefix  bool            `json:"prefix"`
		}
		if json.Unmarshal(raw, &m) != nil {
			return unfit("model_attributes_type", "Input should be a valid dictionary", "messages", i)
		}
		known := mistralRoleFields[m.Role]
		if known == nil {
			return unfit("union_tag_invalid", fmt.Sprintf("Input tag '%s' found using 'role' does not match any of the expected tags: 'assistant', 'system', 'tool', 'user'", m.Role), "messages", i)
		}
		if name, unknown := stranger(raw, known); unknown {
			return extra("messages", i, m.Role, name)
		}
		text, err := openAIText(m.Content)
		if err != nil {
			return unfit("string_type", "Input should be a valid string", "messages", i, m.Role, "content")
		}
		rq.promptTokens += tokensIn(text)
		if m.Role == "user" {
			user = append(user, text)
		}
		last = m.Role
		if m.Prefix {
			last = "user" // the answer goes on from it
		}
	}
	if last != "user" && last != "tool" {
		return &failure{kind: badRequest, code: "3230", message: "Expected last role User or Tool (or Assistant with prefix True) for serving but got " + last}
	}
	rq.prompt = strings.Join(user, "\n")
	return nil
}

// choose is the tool that tool_choice makes the model call: the first for "any"
// and "required", the named one for a function; nil for anything else.
func (in *mistralChat) choose() (*tool, *failure) {
	var tools []tool
	for i, raw := range in.Tools {
		var t struct {
			Type     string          `json:"type"`
			Function json.RawMessage `json:"function"`
		}
		if json.Unmarshal(raw, &t) != nil {
			return nil, unfit("model_attributes_type", "Input should be a valid dictionary", "tools", i)
		}
		if t.Type != "" && t.Type != "function" {
			continue // a connector of Mistral's own
		}
		if name, unknown := stranger(raw, mistralToolFields); unknown {
			return nil, extra("tools", i, name)
		}
		if name, unknown := stranger(t.Function, mistralFunctionFields); unknown {
			return nil, extra("tools", i, "function", name)
		}
		var f struct {
			Name       string          `json:"name"`
			Parameters json.RawMessage `json:"parameters"`
		}
		if len(t.Function) == 0 || json.Unmarshal(t.Function, &f) != nil || f.Name == "" {
			return nil, unfit("missing", "Field required", "tools", i, "function", "name")
		}
		if len(f.Parameters) == 0 {
			return nil, unfit("missing", "Field required", "tools", i, "function", "parameters")
		}
		tools = append(tools, tool{f.Name, f.Parameters})
	}
	var word string
	var choice struct {
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	switch {
	case len(in.ToolChoice) == 0 || string(in.ToolChoice) == "null":
		return nil, nil
	case json.Unmarshal(in.ToolChoice, &word) == nil:
		switch word {
		case "auto", "none":
			return nil, nil
		case "any", "required":
			if len(tools) > 0 {
				return &tools[0], nil
			}
		default:
			return nil, unfit("enum", "Input should be 'auto', 'none', 'any' or 'required'", "tool_choice")
		}
	case json.Unmarshal(in.ToolChoice, &choice) == nil:
		for i := range tools {
			if tools[i].name == choice.Function.Name {
				return &tools[i], nil
			}
		}
	}
	return nil, &failure{kind: badRequest, message: "The tool that tool_choice names is not among the tools"}
}
