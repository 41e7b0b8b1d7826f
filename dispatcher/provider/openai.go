package provider

import (
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/promptforge/promptforge/job"
)

// OpenAI is the dialect of OpenAI's chat completions, which vLLM, Ollama,
// llama.cpp, LM Studio, Groq, Together, OpenRouter and others speak too.
// Source: OpenAI's API reference, "Create chat completion".
type OpenAI struct{}

// Name is openai.
func (OpenAI) Name() string { return "openai" }

// Authorize sends the key as a bearer token.
func (OpenAI) Authorize(e *Endpoint, h http.Header) {
	if e.Key != "" {
		h.Set("Authorization", "Bearer "+e.Key)
	}
}

const chatPath = "/chat/completions"

// Request says a prompt in full: OpenAI lacks nothing that a line can hold.
func (OpenAI) Request(e *Endpoint, model string, p *job.Prompt) (string, []byte, error) {
	var b body
	b.text("model", model)
	b.raw("messages", openAIMessages(p))
	b.number("temperature", p.Temperature)
	b.number("top_p", p.TopP)
	b.integer(maxTokensField(e, model), p.MaxTokens)
	b.texts("stop", p.Stop)
	b.integer("seed", p.Seed)
	b.raw("response_format", p.ResponseFormat)
	b.raw("tools", p.Tools)
	b.raw("tool_choice", p.ToolChoice)
	if err := b.overlay(p.ExtraBody); err != nil {
		return "", nil, err
	}
	return chatPath, b.bytes(), nil
}

// Canary asks for one token.
func (OpenAI) Canary(e *Endpoint, model string) (string, []byte) {
	one := int64(1)
	var b body
	b.text("model", model)
	b.raw("messages", jsontext.Value(`[{"role":"user","content":"ping"}]`))
	b.integer(maxTokensField(e, model), &one)
	return chatPath, b.bytes()
}

// maxTokensField is the name that a model takes its limit by: OpenAI's own
// reasoning models refuse max_tokens, and other servers do not all know
// max_completion_tokens. Source: OpenAI's API reference, max_completion_tokens.
func maxTokensField(e *Endpoint, model string) string {
	if e.Provider != "openai" {
		return "max_tokens"
	}
	for _, family := range []string{"o1", "o3", "o4", "gpt-5"} {
		if model == family || strings.HasPrefix(model, family+"-") || strings.HasPrefix(model, family+".") {
			return "max_completion_tokens"
		}
	}
	return "max_tokens"
}

func openAIMessages(p *job.Prompt) jsontext.Value {
	v := []byte{'['}
	if p.System != "" {
		v = append(append(append(v, `{"role":"system","content":`...), quote(p.System)...), "},"...)
	}
	if p.Messages == nil {
		v = append(append(append(v, `{"role":"user","content":`...), quote(p.Text)...), '}')
	}
	for i, m := range p.Messages {
		if i > 0 {
			v = append(v, ',')
		}
		v = append(v, m.Raw...)
	}
	return append(v, ']')
}

// completion is what of an answer is read; the whole of it is kept beside.
type completion struct {
	Model   string `json:"model"`
	Choices []struct {
		FinishReason string `json:"finish_reason"`
		Message      *struct {
			Content   jsontext.Value `json:"content"`
			Refusal   jsontext.Value `json:"refusal"`
			ToolCalls jsontext.Value `json:"tool_calls"`
		} `json:"message"`
	} `json:"choices"`
	// What an answer is good without is read apart: other servers shape it in
	// their own ways, and an answer that was paid for is not thrown away for it.
	Usage jsontext.Value `json:"usage"`
	Error jsontext.Value `json:"error"`
}

// usage is what was billed; nil where it is not told, or not as a number.
func (c *completion) usage(a *Answer) {
	var u struct {
		PromptTokens     *float64 `json:"prompt_tokens"`
		CompletionTokens *float64 `json:"completion_tokens"`
		TotalTokens      *float64 `json:"total_tokens"`
	}
	if c.Usage.Kind() != '{' || json.Unmarshal(c.Usage, &u, json.JoinOptions(lenient...)) != nil {
		return
	}
	for _, n := range []struct {
		from *float64
		into **int64
	}{{u.PromptTokens, &a.PromptTokens}, {u.CompletionTokens, &a.CompletionTokens}, {u.TotalTokens, &a.TotalTokens}} {
		if n.from != nil && *n.from >= 0 && *n.from < 1e15 {
			whole := int64(*n.from)
			*n.into = &whole
		}
	}
}

// Answer reads an answer of any status.
func (OpenAI) Answer(e *Endpoint, status int, h http.Header, body []byte) Answer {
	a := Answer{RequestID: firstHeader(h, "x-request-id", "request-id", "x-ms-request-id"), Limits: openAILimits(h)}
	if status < http.StatusOK || status >= http.StatusMultipleChoices {
		classifyOpenAI(e, &a, status, h, body)
		return a
	}
	var c completion
	if json.Unmarshal(body, &c, json.JoinOptions(lenient...)) != nil {
		return broken(a, "The provider's answer is not the JSON of a chat completion.")
	}
	if c.Error.Kind() == '{' && len(c.Choices) == 0 {
		// OpenRouter answers 200 with the upstream's error in the body.
		found := readOpenAIError(body)
		classifyOpenAI(e, &a, found.status(), h, body)
		return a
	}
	if len(c.Choices) == 0 || c.Choices[0].Message == nil {
		return broken(a, "The provider's answer holds no choice.")
	}
	choice := c.Choices[0]
	text, ok := contentText(choice.Message.Content)
	if !ok {
		return broken(a, "The provider's answer has a content that is no text.")
	}
	a.Class, a.Text, a.Model, a.FinishReason = Done, text, c.Model, finishReason(choice.FinishReason)
	if v := choice.Message.ToolCalls; v.Kind() == '[' && string(v) != "[]" {
		a.ToolCalls = v
	}
	c.usage(&a)
	refusal, _ := contentText(choice.Message.Refusal)
	if text == "" && a.ToolCalls == nil && (refusal != "" || a.FinishReason == "content_filter") {
		a.Class, a.Code = Terminal, job.CodeContentFiltered
		a.Message = "The provider withheld the answer."
		if refusal != "" {
			a.Message = "The model refused: " + refusal
		}
	}
	return a
}

func broken(a Answer, message string) Answer {
	a.Class, a.Code, a.Message = Broken, job.CodeBadResponse, message
	return a
}

// contentText is a message's content as text: a string, null, or (from servers
// that answer in parts) the text of its parts.
func contentText(v jsontext.Value) (string, bool) {
	switch v.Kind() {
	case 'n', 0:
		return "", true
	case '"':
		s, err := jsontext.AppendUnquote(nil, v)
		return string(s), err == nil || s != nil
	case '[':
		var parts []struct {
			Type string `json:"type"`
			Text string `json:"text"`
		}
		if json.Unmarshal(v, &parts, json.JoinOptions(lenient...)) != nil {
			return "", false
		}
		var b strings.Builder
		for _, p := range parts {
			if p.Type == "text" {
				b.WriteString(p.Text)
			}
		}
		return b.String(), true
	default:
		return "", false
	}
}

func finishReason(s string) string {
	switch s {
	case "stop", "length", "content_filter", "tool_calls":
		return s
	case "function_call":
		return "tool_calls"
	case "model_length", "max_tokens":
		return "length"
	default:
		return "other"
	}
}

func firstHeader(h http.Header, names ...string) string {
	for _, n := range names {
		if v := h.Get(n); v != "" {
			return v
		}
	}
	return ""
}
