package job

import (
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// publicLine has the fields of both kinds of public line.
type publicLine struct {
	PromptID         jsontext.Value `json:"prompt_id"`
	Result           string         `json:"result"`
	Model            string         `json:"model"`
	TokensUsed       *int64         `json:"tokens_used"`
	PromptTokens     *int64         `json:"prompt_tokens"`
	CompletionTokens *int64         `json:"completion_tokens"`
	FinishReason     string         `json:"finish_reason"`
	LatencyMS        int64          `json:"latency_ms"`
	ToolCalls        jsontext.Value `json:"tool_calls"`
	Error            string         `json:"error"`
	Attempts         int            `json:"attempts"`
	Message          string         `json:"message"`
	Line             int64          `json:"line"`
	Metadata         jsontext.Value `json:"metadata"`
}

var errBadLine = errors.New("the public line of an outcome can't be read")

// DecodeLine reads an outcome's public line back into its fields: a Result, or
// a Failure where o.Failed. It is the inverse of their AppendJSON.
func DecodeLine(o *Outcome) (*Result, *Failure, error) {
	var l publicLine
	// What a provider called with may be as loose as it likes: it is carried, not read.
	err := json.Unmarshal(o.Public, &l, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err != nil || l.PromptID == nil {
		return nil, nil, errBadLine // the parser's own text may quote an answer
	}
	var id PromptID
	if l.PromptID.Kind() != 'n' {
		var err error
		if id, err = ParsePromptID(l.PromptID); err != nil {
			return nil, nil, errBadLine
		}
	}
	if o.Failed {
		return nil, &Failure{
			PromptID: id, Code: l.Error, Attempts: l.Attempts, Message: l.Message,
			Line: l.Line, Metadata: l.Metadata,
		}, nil
	}
	return &Result{
		PromptID: id, Text: l.Result, Model: l.Model,
		PromptTokens: l.PromptTokens, CompletionTokens: l.CompletionTokens, TokensUsed: l.TokensUsed,
		FinishReason: l.FinishReason, Attempts: l.Attempts, LatencyMS: l.LatencyMS,
		ToolCalls: l.ToolCalls, Metadata: l.Metadata,
	}, nil, nil
}
