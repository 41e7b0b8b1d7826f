package provider

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/promptforge/promptforge/job"
)

// Anthropic is the dialect of Anthropic's Messages API.
// Source: Anthropic's API reference, "Create a Message".
type Anthropic struct{}

// Name is anthropic.
func (Anthropic) Name() string { return "anthropic" }

const (
	anthropicName    = "Anthropic"
	anthropicVersion = "2023-06-01"
	// anthropicMaxTokens is sent where neither the line nor the operator gives
	// a limit, since the API wants one.
	anthropicMaxTokens = 4096
)

// Authorize sends the key and the version of the API.
func (Anthropic) Authorize(e *Endpoint, h http.Header) {
	h.Set("anthropic-version", anthropicVersion)
	if e.Key != "" {
		h.Set("x-api-key", e.Key)
	}
}

func anthropicPath(e *Endpoint) string { return versioned(e, "/v1", "/messages") }

// versioned is a path below a base URL that may end in the version already.
func versioned(e *Endpoint, version, path string) string {
	if strings.HasSuffix(e.BaseURL, version) {
		return path
	}
	return version + path
}

// Request says a prompt as a message. Anthropic lacks seed, JSON without a
// schema, an image's detail and a speaker's name.
func (Anthropic) Request(e *Endpoint, model string, p *job.Prompt) (string, []byte, error) {
	if p.Seed != nil {
		return "", nil, lacks(anthropicName, "seed")
	}
	system, conversation, err := instructions(anthropicName, p)
	if err != nil {
		return "", nil, err
	}
	messages, err := anthropicMessages(conversation)
	if err != nil {
		return "", nil, err
	}
	limit := maxTokens(e, p)
	if limit == nil {
		n := int64(anthropicMaxTokens)
		limit = &n
	}
	var b body
	b.text("model", model)
	b.integer("max_tokens", limit)
	if system != "" {
		b.text("system", system)
	}
	b.raw("messages", messages)
	b.number("temperature", p.Temperature)
	b.number("top_p", p.TopP)
	b.texts("stop_sequences", p.Stop)
	if err := anthropicTools(&b, p); err != nil {
		return "", nil, err
	}
	if err := b.overlay(model, p.ExtraBody, "output_config"); err != nil {
		return "", nil, err
	}
	return anthropicPath(e), b.bytes(), nil
}

// Canary asks for one token.
func (Anthropic) Canary(e *Endpoint, model string) (string, []byte) {
	one := int64(1)
	var b body
	b.text("model", model)
	b.integer("max_tokens", &one)
	b.raw("messages", jsontext.Value(`[{"role":"user","content":"ping"}]`))
	return anthropicPath(e), b.bytes()
}

// anthropicTools sets tools, tool_choice and the format of the answer.
func anthropicTools(b *body, p *job.Prompt) error {
	tools, err := readTools(p.Tools)
	if err != nil {
		return err
	}
	var defined list
	for _, t := range tools {
		var d body
		d.text("name", t.Name)
		if t.Description != "" {
			d.text("description", t.Description)
		}
		if t.Strict != nil {
			d.raw("strict", fmt.Appendf(nil, "%t", *t.Strict))
		}
		d.raw("input_schema", t.Parameters)
		if t.Parameters == nil {
			d.raw("input_schema", jsontext.Value(`{"type":"object"}`))
		}
		defined.add(d.bytes())
	}
	if p.Tools != nil {
		b.raw("tools", defined.value())
	}
	choice, err := readToolChoice(p.ToolChoice)
	if err != nil {
		return err
	}
	var c body
	switch {
	case choice.function != "":
		c.text("type", "tool")
		c.text("name", choice.function)
	case choice.mode == "required":
		c.text("type", "any")
	case choice.mode != "":
		c.text("type", choice.mode)
	}
	b.object("tool_choice", &c)
	f, err := readFormat(p.ResponseFormat)
	if err != nil {
		return err
	}
	switch f.Type {
	case "json_object":
		return lacks(anthropicName, "response_format json_object (give a json_schema, or ask for JSON in the prompt)")
	case "json_schema":
		var config, output body
		output.text("type", "json_schema")
		output.raw("schema", f.JSONSchema.Schema)
		config.object("format", &output)
		b.object("output_config", &config)
	}
	return nil
}

// anthropicMessages are turns of the user and the assistant. What tools
// answered is the user's, and answers that follow each other go into one turn,
// as the API wants all answers to a turn's calls together.
func anthropicMessages(conversation []turn) (jsontext.Value, error) {
	var messages, results list
	flush := func() {
		if !results.empty() {
			messages.add(anthropicTurn("user", results.value()))
			results = list{}
		}
	}
	for i := range conversation {
		t := &conversation[i]
		if t.Role == "tool" {
			result, err := anthropicResult(t)
			if err != nil {
				return nil, err
			}
			results.add(result)
			continue
		}
		flush()
		if t.Parts == nil && len(t.calls) == 0 {
			messages.add(anthropicTurn(t.Role, quote(t.Text)))
			continue
		}
		if t.Role == "assistant" {
			if _, err := t.textAlone(anthropicName); err != nil {
				return nil, err
			}
		}
		blocks, err := anthropicBlocks(t)
		if err != nil {
			return nil, err
		}
		for j := range t.calls {
			c := &t.calls[j]
			input, _ := c.arguments()
			var use body
			use.text("type", "tool_use")
			use.text("id", c.ID)
			use.text("name", c.Function.Name)
			use.raw("input", input)
			blocks.add(use.bytes())
		}
		messages.add(anthropicTurn(t.Role, blocks.value()))
	}
	flush()
	return messages.value(), nil
}

func anthropicTurn(role string, content jsontext.Value) jsontext.Value {
	var b body
	b.text("role", role)
	b.raw("content", content)
	return b.bytes()
}

func anthropicResult(t *turn) (jsontext.Value, error) {
	var b body
	b.text("type", "tool_result")
	b.text("tool_use_id", t.call)
	if t.Parts == nil {
		b.text("content", t.Text)
		return b.bytes(), nil
	}
	blocks, err := anthropicBlocks(t)
	if err != nil {
		return nil, err
	}
	b.raw("content", blocks.value())
	return b.bytes(), nil
}

// anthropicBlocks are a turn's texts and images.
func anthropicBlocks(t *turn) (*list, error) {
	var blocks list
	for _, part := range t.parts() {
		var block body
		if part.ImageURL == "" {
			block.text("type", "text")
			block.text("text", part.Text)
			blocks.add(block.bytes())
			continue
		}
		if part.Detail != "" && part.Detail != "auto" {
			return nil, lacks(anthropicName, t.where+".image_url.detail")
		}
		source, err := anthropicImage(part.ImageURL)
		if err != nil {
			return nil, err
		}
		block.text("type", "image")
		block.object("source", source)
		blocks.add(block.bytes())
	}
	return &blocks, nil
}

// anthropicMedia are the images that the API takes inline.
var anthropicMedia = []string{"image/jpeg", "image/png", "image/gif", "image/webp"}

func anthropicImage(url string) (*body, error) {
	var source body
	img, inline, err := readDataURL(url)
	switch {
	case err != nil:
		return nil, err
	case inline && !slices.Contains(anthropicMedia, img.mediaType):
		return nil, sentence(fmt.Sprintf("%s takes no image of type %s in image_url; it takes %s.", anthropicName, clip(img.mediaType), strings.Join(anthropicMedia, ", ")))
	case inline:
		source.text("type", "base64")
		source.text("media_type", img.mediaType)
		source.text("data", img.data)
	case strings.HasPrefix(url, "https://"):
		source.text("type", "url")
		source.text("url", url)
	default:
		return nil, sentence(anthropicName + " takes an image_url that is https: or data: alone.")
	}
	return &source, nil
}

// anthropicMessage is what of an answer is read.
type anthropicMessage struct {
	Type    string `json:"type"`
	Model   string `json:"model"`
	Content []struct {
		Type  string         `json:"type"`
		Text  string         `json:"text"`
		ID    string         `json:"id"`
		Name  string         `json:"name"`
		Input jsontext.Value `json:"input"`
	} `json:"content"`
	StopReason  string         `json:"stop_reason"`
	StopDetails jsontext.Value `json:"stop_details"`
	Usage       jsontext.Value `json:"usage"`
	Error       jsontext.Value `json:"error"`
}

// Answer reads an answer of any status. Thinking is no part of the text.
func (Anthropic) Answer(e *Endpoint, status int, h http.Header, body []byte) Answer {
	a := Answer{RequestID: requestID(h), Limits: anthropicLimits(h)}
	if status < http.StatusOK || status >= http.StatusMultipleChoices {
		classify(e, &a, anthropicVerdicts, status, h, readAnthropicError(body))
		return a
	}
	var m anthropicMessage
	switch err := json.Unmarshal(body, &m, json.JoinOptions(lenient...)); {
	case err != nil:
		broken(&a, "The provider's answer is not the JSON of a message.")
		return a
	case m.Type == "error" || m.Error.Kind() == '{':
		found := readAnthropicError(body)
		classify(e, &a, anthropicVerdicts, anthropicStatus(found), h, found)
		return a
	case m.Content == nil:
		broken(&a, "The provider's answer holds no content.")
		return a
	}
	var text strings.Builder
	var calls callsAsOpenAI
	for i, block := range m.Content {
		switch block.Type {
		case "text":
			text.WriteString(block.Text)
		case "tool_use":
			calls.add(i, block.ID, block.Name, block.Input, nil)
		}
	}
	a.Class, a.Text, a.Model, a.ToolCalls = Done, text.String(), m.Model, calls.value()
	a.FinishReason = anthropicFinish(m.StopReason)
	anthropicUsage(&a, m.Usage)
	if a.FinishReason == "content_filter" {
		var details struct {
			Explanation string `json:"explanation"`
		}
		_ = json.Unmarshal(m.StopDetails, &details, json.JoinOptions(lenient...)) // what it does not say is left out
		withheld(&a, details.Explanation)
	}
	return a
}

func anthropicFinish(reason string) string {
	switch reason {
	case "end_turn", "stop_sequence":
		return "stop"
	case "max_tokens", "model_context_window_exceeded":
		return "length"
	case "tool_use":
		return "tool_calls"
	case "refusal":
		return "content_filter"
	default:
		return "other"
	}
}

// anthropicUsage counts what was read from a cache or written to one as sent,
// as other providers do. Source: "Prompt caching", "Tracking cache performance".
func anthropicUsage(a *Answer, v jsontext.Value) {
	var u struct {
		Input   *float64 `json:"input_tokens"`
		Created *float64 `json:"cache_creation_input_tokens"`
		Read    *float64 `json:"cache_read_input_tokens"`
		Output  *float64 `json:"output_tokens"`
	}
	if v.Kind() != '{' || json.Unmarshal(v, &u, json.JoinOptions(lenient...)) != nil {
		return
	}
	a.PromptTokens = sum(u.Input, u.Created, u.Read)
	a.CompletionTokens = sum(u.Output)
	if u.Input == nil {
		a.PromptTokens = nil
	}
	a.addUp()
}
