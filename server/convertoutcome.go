package server

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
)

// publicLine is an outcome's public line, of either kind.
type publicLine struct {
	PromptID jsontext.Value `json:"prompt_id"`
	Attempts int64          `json:"attempts"`
	Metadata jsontext.Value `json:"metadata"`

	Result           string         `json:"result"`
	Model            string         `json:"model"`
	TokensUsed       *int64         `json:"tokens_used"`
	PromptTokens     *int64         `json:"prompt_tokens"`
	CompletionTokens *int64         `json:"completion_tokens"`
	FinishReason     string         `json:"finish_reason"`
	LatencyMS        int64          `json:"latency_ms"`
	ToolCalls        jsontext.Value `json:"tool_calls"`

	Error   string `json:"error"`
	Message string `json:"message"`
	Line    int64  `json:"line"`
}

// outcomeOf makes a message of an outcome's public line, which is the only
// record of it. Its error says that the line is damaged.
func outcomeOf(offset int64, o *job.Outcome) (*promptforgev1.Outcome, error) {
	var line publicLine
	err := json.Unmarshal(o.Public, &line, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		return nil, fmt.Errorf("outcome %d: %w", offset, job.ErrBadOutcome)
	}
	out := &promptforgev1.Outcome{Offset: offset}
	if err := setPromptID(out, line.PromptID); err != nil {
		return nil, fmt.Errorf("outcome %d: %w", offset, err)
	}
	if o.Failed {
		out.Outcome = &promptforgev1.Outcome_Error{Error: &promptforgev1.PromptError{
			Error:        line.Error,
			Attempts:     clamp32(line.Attempts),
			Message:      line.Message,
			Line:         orNil(clamp32(line.Line)),
			MetadataJson: rawOrNil(line.Metadata),
		}}
		return out, nil
	}
	out.Outcome = &promptforgev1.Outcome_Result{Result: &promptforgev1.Result{
		Result:           line.Result,
		Model:            line.Model,
		TokensUsed:       line.TokensUsed,
		PromptTokens:     line.PromptTokens,
		CompletionTokens: line.CompletionTokens,
		FinishReason:     line.FinishReason,
		Attempts:         clamp32(line.Attempts),
		LatencyMs:        line.LatencyMS,
		ToolCallsJson:    rawOrNil(line.ToolCalls),
		MetadataJson:     rawOrNil(line.Metadata),
	}}
	return out, nil
}

// setPromptID leaves the id unset where none could be read.
func setPromptID(out *promptforgev1.Outcome, v jsontext.Value) error {
	if v == nil || v.Kind() == 'n' {
		return nil
	}
	id, err := job.ParsePromptID(v)
	if err != nil {
		return job.ErrBadOutcome
	}
	if text, ok := id.Text(); ok {
		out.PromptId = &promptforgev1.Outcome_StringId{StringId: text}
		return nil
	}
	n, _ := id.Int64()
	out.PromptId = &promptforgev1.Outcome_Int64Id{Int64Id: n}
	return nil
}

// rawOrNil is JSON as text, nil where there was none. gRPC carries valid UTF-8
// only.
func rawOrNil(v jsontext.Value) *string {
	if v == nil {
		return nil
	}
	return new(strings.ToValidUTF8(string(v), "\uFFFD"))
}
