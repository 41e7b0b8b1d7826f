package provider

import (
	"net/http"
	"regexp"
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
	b.integer(maxTokensField(e, model), maxTokens(e, p))
	b.texts("stop", p.Stop)
	b.integer("seed", p.Seed)
	b.raw("response_format", p.ResponseFormat)
	b.raw("tools", p.Tools)
	b.raw("tool_choice", p.ToolChoice)
	if err := b.overlay(model, p.ExtraBody); err != nil {
		return "", nil, err
	}
	return chatPath, b.bytes(), nil
}

// maxTokens is a line's limit, or the operator's where it gives none.
func maxTokens(e *Endpoint, p *job.Prompt) *int64 {
	if p.MaxTokens == nil && e.DefaultMaxTokens > 0 {
		return &e.DefaultMaxTokens
	}
	return p.MaxTokens
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
	if reasoning.MatchString(model) && (e.Provider == "openai" || hostEnds(e, "openai.com") || hostEnds(e, "openai.azure.com")) {
		return "max_completion_tokens"
	}
	return "max_tokens"
}

// reasoning are the models of the o series and of gpt-5 and later, fine-tuned
// ones too.
var reasoning = regexp.MustCompile(`^(ft:)?(o[0-9]+|gpt-([5-9]|[1-9][0-9]+))($|[-.:])`)

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
	Object  string `json:"object"`
	Model   string `json:"model"`
	Choices []struct {
		FinishReason string `json:"finish_reason"`
		Message      *struct {
			Content   jsontext.Value `json:"content"`
			Refusal   jsontext.Value `json:"refusal"`
			ToolCalls jsontext.Value `json:"tool_calls"`
		} `json:"message"`
		Error jsontext.Value `json:"error"`
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
	a.PromptTokens, a.CompletionTokens, a.TotalTokens = sum(u.PromptTokens), sum(u.CompletionTokens), sum(u.TotalTokens)
	if a.TotalTokens == nil {
		a.addUp()
	}
}

// Answer reads an answer of any status.
func (OpenAI) Answer(e *Endpoint, status int, h http.Header, body []byte) Answer {
	a := Answer{RequestID: requestID(h), Limits: openAILimits(e, h)}
	readCompletion(e, &a, openAIVerdicts, status, h, body)
	return a
}

// readCompletion reads the answer of a server with OpenAI's shapes, whose
// errors mean what a table says.
func readCompletion(e *Endpoint, a *Answer, table []verdict, status int, h http.Header, body []byte) {
	if status < http.StatusOK || status >= http.StatusMultipleChoices {
		classify(e, a, table, status, h, readOpenAIError(body))
		return
	}
	var c completion
	if json.Unmarshal(body, &c, json.JoinOptions(lenient...)) != nil {
		broken(a, "The provider's answer is not the JSON of a chat completion.")
		return
	}
	if len(c.Choices) == 0 {
		// OpenRouter answers 200 with the upstream's error in the body.
		if found := readOpenAIError(body); c.Error.Kind() == '{' || c.Object == "error" {
			classify(e, a, table, openAIStatus(found), h, found)
			return
		}
		broken(a, "The provider's answer holds no choice.")
		return
	}
	choice := c.Choices[0]
	if choice.Message == nil {
		broken(a, "The provider's answer holds no message.")
		return
	}
	text, ok := contentText(choice.Message.Content)
	if !ok {
		broken(a, "The provider's answer has a content that is no text.")
		return
	}
	var calls jsontext.Value
	if v := choice.Message.ToolCalls; v.Kind() == '[' && string(v) != "[]" {
		calls = v
	}
	if choice.Error.Kind() == '{' && text == "" && calls == nil {
		// OpenRouter's upstream failed half-way.
		found := readOpenAIError([]byte(`{"error":` + string(choice.Error) + `}`))
		classify(e, a, table, openAIStatus(found), h, found)
		return
	}
	a.Class, a.Text, a.Model, a.FinishReason, a.ToolCalls = Done, text, c.Model, finishReason(choice.FinishReason), calls
	c.usage(a)
	if refusal, _ := contentText(choice.Message.Refusal); refusal != "" || a.FinishReason == "content_filter" {
		withheld(a, refusal)
	}
}

// withheld makes an answer that a filter or the model itself kept back an error
// record, unless it has something to show.
func withheld(a *Answer, refusal string) {
	if a.Text != "" || a.ToolCalls != nil {
		return
	}
	a.Class, a.Code = Terminal, job.CodeContentFiltered
	a.Message = "The provider withheld the answer."
	if refusal != "" {
		a.Message = "The model refused: " + refusal
	}
}

func broken(a *Answer, message string) {
	a.Class, a.Code, a.Message = Broken, job.CodeBadResponse, message
}

// contentText is a message's content as text: a string, null, or (from servers
// that answer in parts) the text of its parts. What a model thought is no part
// of it.
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
