package server

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
)

// outcomeOf makes a message of an outcome's public line, which is the only
// record of it. Its error says that the line is damaged.
func outcomeOf(offset int64, o *job.Outcome) (*promptforgev1.Outcome, error) {
	result, failure, err := job.DecodeLine(o)
	if err != nil {
		return nil, fmt.Errorf("outcome %d: %w", offset, job.ErrBadOutcome)
	}
	out := &promptforgev1.Outcome{Offset: offset}
	if failure != nil {
		setPromptID(out, failure.PromptID)
		out.Outcome = &promptforgev1.Outcome_Error{Error: &promptforgev1.PromptError{
			Error:        failure.Code,
			Attempts:     clamp32(int64(failure.Attempts)),
			Message:      failure.Message,
			Line:         orNil(clamp32(failure.Line)),
			MetadataJson: rawOrNil(failure.Metadata),
		}}
		return out, nil
	}
	setPromptID(out, result.PromptID)
	out.Outcome = &promptforgev1.Outcome_Result{Result: &promptforgev1.Result{
		Result:           result.Text,
		Model:            result.Model,
		TokensUsed:       result.TokensUsed,
		PromptTokens:     result.PromptTokens,
		CompletionTokens: result.CompletionTokens,
		FinishReason:     result.FinishReason,
		Attempts:         clamp32(int64(result.Attempts)),
		LatencyMs:        result.LatencyMS,
		ToolCallsJson:    rawOrNil(result.ToolCalls),
		MetadataJson:     rawOrNil(result.Metadata),
	}}
	return out, nil
}

// setPromptID leaves the id unset where none could be read.
func setPromptID(out *promptforgev1.Outcome, id job.PromptID) {
	if text, ok := id.Text(); ok {
		out.PromptId = &promptforgev1.Outcome_StringId{StringId: text}
	} else if n, ok := id.Int64(); ok {
		out.PromptId = &promptforgev1.Outcome_Int64Id{Int64Id: n}
	}
}

// rawOrNil is JSON as text, nil where there was none. gRPC carries valid UTF-8
// only.
func rawOrNil(v jsontext.Value) *string {
	if v == nil {
		return nil
	}
	return new(strings.ToValidUTF8(string(v), "\uFFFD"))
}
