package provider

import (
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// geminiResponse is what of an answer is read.
// Source: Gemini API reference, "GenerateContentResponse".
type geminiResponse struct {
	Candidates []struct {
		Content struct {
			Parts []struct {
				Text             string `json:"text"`
				Thought          bool   `json:"thought"`
				ThoughtSignature string `json:"thoughtSignature"`
				FunctionCall     *struct {
					ID   string         `json:"id"`
					Name string         `json:"name"`
					Args jsontext.Value `json:"args"`
				} `json:"functionCall"`
			} `json:"parts"`
		} `json:"content"`
		FinishReason  string `json:"finishReason"`
		FinishMessage string `json:"finishMessage"`
	} `json:"candidates"`
	PromptFeedback struct {
		BlockReason        string `json:"blockReason"`
		BlockReasonMessage string `json:"blockReasonMessage"`
	} `json:"promptFeedback"`
	Usage        jsontext.Value `json:"usageMetadata"`
	ModelVersion string         `json:"modelVersion"`
	ResponseID   string         `json:"responseId"`
	Error        jsontext.Value `json:"error"`
}

// Answer reads an answer of any status. Thoughts are no part of the text.
func (Gemini) Answer(e *Endpoint, status int, h http.Header, body []byte) Answer {
	a := Answer{RequestID: requestID(h)}
	if status < http.StatusOK || status >= http.StatusMultipleChoices {
		refusedByGemini(e, &a, status, h, readGeminiError(body))
		return a
	}
	var r geminiResponse
	if json.Unmarshal(body, &r, json.JoinOptions(lenient...)) != nil {
		if found := readGeminiError(body); found.status != 0 {
			refusedByGemini(e, &a, found.status, h, found)
			return a
		}
		broken(&a, "The provider's answer is not the JSON of generated content.")
		return a
	}
	a.RequestID = firstOf(a.RequestID, r.ResponseID)
	if r.Error.Kind() == '{' {
		found := readGeminiError(body)
		if found.status == 0 {
			found.status = http.StatusInternalServerError
		}
		refusedByGemini(e, &a, found.status, h, found)
		return a
	}
	a.Model = r.ModelVersion
	geminiUsage(&a, r.Usage)
	if len(r.Candidates) == 0 {
		if r.PromptFeedback.BlockReason == "" {
			broken(&a, "The provider's answer holds no candidate.")
			return a
		}
		withheld(&a, "")
		a.Message = "The prompt was blocked (" + r.PromptFeedback.BlockReason + "). " + r.PromptFeedback.BlockReasonMessage
		a.Message = strings.TrimSpace(a.Message)
		return a
	}
	c := r.Candidates[0]
	if c.FinishReason == "" && len(c.Content.Parts) == 0 {
		broken(&a, "The provider's answer holds neither content nor a reason.")
		return a
	}
	var text strings.Builder
	var calls callsAsOpenAI
	for i, part := range c.Content.Parts {
		switch {
		case part.FunctionCall != nil:
			calls.add(i, part.FunctionCall.ID, part.FunctionCall.Name, part.FunctionCall.Args, geminiSignature(part.ThoughtSignature))
		case !part.Thought:
			text.WriteString(part.Text)
		}
	}
	a.Class, a.Text, a.ToolCalls = Done, text.String(), calls.value()
	a.FinishReason = geminiFinish(c.FinishReason)
	if a.FinishReason == "stop" && a.ToolCalls != nil {
		a.FinishReason = "tool_calls"
	}
	if a.FinishReason == "content_filter" {
		withheld(&a, "")
		if a.Class != Done {
			a.Message = strings.TrimSpace("The answer was withheld (" + c.FinishReason + "). " + c.FinishMessage)
		}
	}
	return a
}

// geminiSignature is a thought's signature where Gemini's own OpenAI face puts
// it, so that a caller can give a call back as it came.
func geminiSignature(s string) jsontext.Value {
	if s == "" {
		return nil
	}
	var google, extra body
	google.text("thought_signature", s)
	extra.object("google", &google)
	return extra.bytes()
}

func geminiFinish(reason string) string {
	switch reason {
	case "STOP":
		return "stop"
	case "MAX_TOKENS":
		return "length"
	case "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII",
		"IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION":
		return "content_filter"
	default:
		return "other"
	}
}

// geminiUsage counts thoughts as completion, since they are billed as such, and
// what tools put in as prompt. Zeros are left out on the wire.
func geminiUsage(a *Answer, v jsontext.Value) {
	var u struct {
		Prompt     *float64 `json:"promptTokenCount"`
		ToolPrompt *float64 `json:"toolUsePromptTokenCount"`
		Candidates *float64 `json:"candidatesTokenCount"`
		Thoughts   *float64 `json:"thoughtsTokenCount"`
		Total      *float64 `json:"totalTokenCount"`
	}
	if v.Kind() != '{' || json.Unmarshal(v, &u, json.JoinOptions(lenient...)) != nil {
		return
	}
	none := 0.0
	a.PromptTokens, a.TotalTokens = sum(u.Prompt, u.ToolPrompt), sum(u.Total)
	a.CompletionTokens = sum(u.Candidates, u.Thoughts)
	if a.PromptTokens != nil && a.CompletionTokens == nil {
		a.CompletionTokens = sum(&none)
	}
	if a.TotalTokens == nil {
		a.addUp()
	}
}
