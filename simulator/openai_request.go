package simulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"
)

// openAIChat is as much of a chat completion's body as the simulator heeds;
// n counts as 1 whatever it says, and the other fields of openAIFields are
// ignored.
type openAIChat struct {
	Model               string          `json:"model"`
	Messages            []openAIMessage `json:"messages"`
	MaxTokens           *int            `json:"max_tokens"`
	MaxCompletionTokens *int            `json:"max_completion_tokens"`
	Temperature         *float64        `json:"temperature"`
	TopP                *float64        `json:"top_p"`
	Stop                json.RawMessage `json:"stop"`
	Stream              bool            `json:"stream"`
	Tools               []openAITool    `json:"tools"`
	ToolChoice          json.RawMessage `json:"tool_choice"`
	ResponseFormat      *struct {
		Type       string `json:"type"`
		JSONSchema struct {
			Name   string          `json:"name"`
			Schema json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	} `json:"response_format"`
}

type openAIMessage struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"` // a string, a list of parts, or null
}

type openAITool struct {
	Type     string `json:"type"`
	Function struct {
		Name       string          `json:"name"`
		Parameters json.RawMessage `json:"parameters"`
	} `json:"function"`
}

// openAIFields are those that the API takes; any other is refused. Source:
// OpenAI's API reference, "Create chat completion".
var openAIFields = setOf(
	"audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "max_completion_tokens", "max_tokens",
	"messages", "metadata", "modalities", "model", "moderation", "n", "parallel_tool_calls", "prediction", "presence_penalty",
	"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning_effort", "response_format",
	"safety_identifier", "seed", "service_tier", "stop", "store", "stream", "stream_options", "temperature", "tool_choice",
	"tools", "top_logprobs", "top_p", "user", "verbosity", "web_search_options",
)

func (openAI) parse(_ *http.Request, _ string, op operation, body []byte) (request, *failure) {
	if op == opEmbed {
		return parseOpenAIEmbedding(body)
	}
	in, ok := (&quick{b: body}).chat()
	if !ok {
		in = openAIChat{}
		if f := decodeOpenAI(body, &in); f != nil {
			return request{}, f
		}
		if name, unknown := stranger(body, openAIFields); unknown {
			return request{}, &failure{kind: badRequest, message: "Unrecognized request argument supplied: " + name}
		}
	}
	return in.request()
}

func (in *openAIChat) request() (request, *failure) {
	switch {
	case in.Model == "":
		return request{}, &failure{kind: badRequest, message: "you must provide a model parameter"}
	case in.Messages == nil:
		return request{}, missing("messages")
	case len(in.Messages) == 0:
		return request{}, &failure{
			kind: badRequest, param: "messages", code: "empty_array",
			message: "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
		}
	case in.Stream:
		return request{}, &failure{
			kind: badRequest, param: "stream", code: "unsupported_value",
			message: "Unsupported value: 'stream' does not support true with this simulator. Only false is supported.",
		}
	}
	rq := request{model: in.Model}
	f := in.checkSampling()
	if f != nil {
		return request{}, f
	}
	if rq.maxTokens, f = in.limit(); f != nil {
		return request{}, f
	}
	if f = in.readMessages(&rq); f != nil {
		return request{}, f
	}
	if rq.tool, f = in.chosen(); f != nil {
		return request{}, f
	}
	if format := in.ResponseFormat; format != nil && strings.HasPrefix(format.Type, "json_") {
		if format.Type == "json_schema" && format.JSONSchema.Name == "" {
			return request{}, missing("response_format.json_schema.name")
		}
		rq.json = true
		rq.schema = format.JSONSchema.Schema
	}
	return rq, nil
}

// readMessages sets the prompt and its tokens: those of every message's text
// count, also the system's, which is not part of the prompt.
func (in *openAIChat) readMessages(rq *request) *failure {
	user := make([]string, 0, 4)
	for i := range in.Messages {
		role := in.Messages[i].Role
		switch role {
		case "system", "developer", "user", "assistant", "tool", "function":
		case "":
			return missing(fmt.Sprintf("messages[%d].role", i))
		default:
			param := fmt.Sprintf("messages[%d].role", i)
			return &failure{
				kind: badRequest, param: param, code: "invalid_value",
				message: fmt.Sprintf("Invalid value: '%s'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'.", role),
			}
		}
		text, err := openAIText(in.Messages[i].Content)
		if err != nil {
			param := fmt.Sprintf("messages[%d].content", i)
			return &failure{
				kind: badRequest, param: param, code: "invalid_type",
				message: fmt.Sprintf("Invalid type for '%s': expected one of a string or array of objects.", param),
			}
		}
		rq.promptTokens += tokensIn(text)
		if role == "user" {
			user = append(user, text)
		}
	}
	rq.prompt = strings.Join(user, "\n")
	return nil
}

// openAIText is the text of a message's content: the string, or its text
// parts joined by newlines.
func openAIText(raw json.RawMessage) (string, error) {
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return "", nil
	case raw[0] == '"':
		// Nearly every prompt without an escape is its own decoding; the
		// scanner has checked the rest already.
		if plain := raw[1 : len(raw)-1]; bytes.IndexByte(plain, '\\') < 0 && utf8.Valid(plain) {
			return string(plain), nil
		}
		var text string
		err := json.Unmarshal(raw, &text)
		return text, err
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil {
		return "", err
	}
	var texts []string
	for _, part := range parts {
		if part.Type == "text" {
			texts = append(texts, part.Text)
		}
	}
	return strings.Join(texts, "\n"), nil
}

// limit is max_completion_tokens, or its deprecated name; 0 for neither.
func (in *openAIChat) limit() (int, *failure) {
	n, name := in.MaxCompletionTokens, "max_completion_tokens"
	if n == nil {
		n, name = in.MaxTokens, "max_tokens"
	}
	switch {
	case n == nil:
		return 0, nil
	case name == "max_tokens" && wantsCompletionTokens(in.Model):
		return 0, &failure{
			kind: badRequest, param: name, code: "unsupported_parameter",
			message: "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
		}
	case *n < 1:
		return 0, &failure{
			kind: badRequest, param: name, code: "integer_below_min_value",
			message: fmt.Sprintf("Invalid '%s': integer below minimum value. Expected a value >= 1, but got %d instead.", name, *n),
		}
	}
	return *n, nil
}

// wantsCompletionTokens is whether a model refuses max_tokens. Source: OpenAI's
// API reference, max_tokens.
func wantsCompletionTokens(model string) bool {
	for _, family := range [...]string{"o1", "o3", "o4", "gpt-5"} {
		if rest, ok := strings.CutPrefix(model, family); ok && (rest == "" || rest[0] == '-' || rest[0] == '.') {
			return true
		}
	}
	return false
}

// checkSampling refuses what no model takes.
func (in *openAIChat) checkSampling() *failure {
	for _, c := range [...]struct {
		name  string
		value *float64
		most  float64
	}{{"temperature", in.Temperature, 2}, {"top_p", in.TopP, 1}} {
		if c.value == nil || *c.value >= 0 && *c.value <= c.most {
			continue
		}
		side, bound := "above_max", fmt.Sprintf("above maximum value. Expected a value <= %v", c.most)
		if *c.value < 0 {
			side, bound = "below_min", "below minimum value. Expected a value >= 0"
		}
		return &failure{
			kind: badRequest, param: c.name, code: "decimal_" + side + "_value",
			message: fmt.Sprintf("Invalid '%s': decimal %s, but got %v instead.", c.name, bound, *c.value),
		}
	}
	var stops []string
	if len(in.Stop) > 0 && in.Stop[0] == '[' && json.Unmarshal(in.Stop, &stops) == nil && len(stops) > 4 {
		return &failure{
			kind: badRequest, param: "stop", code: "array_above_max_length",
			message: fmt.Sprintf("Invalid 'stop': array too long. Expected an array with maximum length 4, but got an array with length %d instead.", len(stops)),
		}
	}
	return nil
}

// chosen is the tool that tool_choice makes the model call: the first for
// "required", the named one for a function; nil for anything else.
func (in *openAIChat) chosen() (*tool, *failure) {
	for i := range in.Tools {
		if t := &in.Tools[i]; t.Type == "function" && t.Function.Name == "" {
			return nil, missing(fmt.Sprintf("tools[%d].function.name", i))
		}
	}
	switch {
	case len(in.ToolChoice) == 0 || string(in.ToolChoice) == "null":
		return nil, nil
	case len(in.Tools) == 0 && string(in.ToolChoice) != `"none"`:
		return nil, &failure{
			kind: badRequest, param: "tool_choice",
			message: "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
		}
	}
	var choice struct {
		Type     string `json:"type"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	required := string(in.ToolChoice) == `"required"`
	if !required {
		if json.Unmarshal(in.ToolChoice, &choice) != nil || choice.Type != "function" {
			return nil, nil
		}
	}
	for i := range in.Tools {
		f := &in.Tools[i].Function
		if required || f.Name == choice.Function.Name {
			return &tool{name: f.Name, schema: f.Parameters}, nil
		}
	}
	return nil, &failure{
		kind: badRequest, param: "tool_choice",
		message: "Invalid value for 'tool_choice': no function of that name was found in the 'tools' parameter.",
	}
}

func parseOpenAIEmbedding(body []byte) (request, *failure) {
	var in struct {
		Model  string          `json:"model"`
		Input  json.RawMessage `json:"input"` // a string, or a list of strings
		Format string          `json:"encoding_format"`
	}
	if f := decodeOpenAI(body, &in); f != nil {
		return request{}, f
	}
	switch {
	case in.Model == "":
		return request{}, &failure{kind: badRequest, message: "you must provide a model parameter"}
	case len(in.Input) == 0:
		return request{}, missing("input")
	}
	rq := request{model: in.Model, base64: in.Format == "base64"}
	if in.Input[0] == '"' {
		rq.inputs = make([]string, 1)
		_ = json.Unmarshal(in.Input, &rq.inputs[0]) // a string, as it was scanned before
	} else if json.Unmarshal(in.Input, &rq.inputs) != nil || len(rq.inputs) == 0 {
		return request{}, &failure{
			kind: badRequest, param: "input",
			message: "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference.",
		}
	}
	rq.prompt = strings.Join(rq.inputs, "\n")
	for _, input := range rq.inputs {
		rq.promptTokens += tokensIn(input)
	}
	return rq, nil
}

func decodeOpenAI(body []byte, into any) *failure {
	err := json.Unmarshal(body, into)
	if err == nil {
		return nil
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return &failure{
			kind: badRequest, param: wrong.Field, code: "invalid_type",
			message: fmt.Sprintf("Invalid type for '%s': got %s instead.", wrong.Field, wrong.Value),
		}
	}
	return &failure{kind: badJSON}
}

func missing(param string) *failure {
	return &failure{
		kind: badRequest, param: param, code: "missing_required_parameter",
		message: "Missing required parameter: '" + param + "'.",
	}
}
