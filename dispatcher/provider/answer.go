package provider

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/promptforge/promptforge/dispatcher/rate"
	"github.com/promptforge/promptforge/job"
)

// Answer is what came back for one request.
type Answer struct {
	Class Class

	// With Done.
	Text             string
	Model            string         // as the provider named it
	FinishReason     string         // stop, length, content_filter, tool_calls or other
	ToolCalls        jsontext.Value // OpenAI's shape; nil: none
	PromptTokens     *int64         // nil where the provider reports none
	CompletionTokens *int64
	TotalTokens      *int64

	// With every other class.
	Code    string // the code of the error record that this class ends in
	Message string // the provider's own words, or a sentence; no credential, no prompt of ours

	Response   []byte // the whole body as one line of JSON; nil where it was none
	HTTPStatus int    // 0: no answer came
	// ContentType is the media type of a Broken answer, without parameters;
	// empty: none was named, or none that is one.
	ContentType string
	RequestID   string
	RetryAfter  time.Duration // with SlowDown and UsedUp; 0: not named
	Senseless   bool          // RetryAfter is ours: what was named could not be meant
	DayEnds     time.Duration // with UsedUp: when by the provider's documentation a day's quota is there again; 0: not known
	Limits      rate.Limits
	Latency     time.Duration
}

// Pause is how long the provider asked everybody to wait; 0: it did not, or
// named what cannot be meant. One prompt waits for RetryAfter all the same.
func (a *Answer) Pause() time.Duration {
	if a.Senseless {
		return 0
	}
	return a.RetryAfter
}

// Result is the answer as the outcome of a prompt. The class must be Done.
func (a *Answer) Result(p *job.Prompt, attempts int) *job.Outcome {
	r := job.Result{
		PromptID: p.ID, Text: a.Text, Model: a.Model,
		PromptTokens: a.PromptTokens, CompletionTokens: a.CompletionTokens, TokensUsed: a.TotalTokens,
		FinishReason: a.FinishReason, Attempts: attempts, LatencyMS: a.Latency.Milliseconds(),
		ToolCalls: a.ToolCalls, Metadata: p.Metadata,
	}
	o := a.outcome(p)
	o.Public = r.AppendJSON(make([]byte, 0, len(a.Text)+512))
	return o
}

// Failure is the answer as the error record of a prompt.
func (a *Answer) Failure(p *job.Prompt, code string, attempts int) *job.Outcome {
	f := job.Failure{PromptID: p.ID, Code: code, Attempts: attempts, Message: a.Message, Metadata: p.Metadata}
	o := a.outcome(p)
	o.Failed = true
	o.Public = f.AppendJSON(nil)
	return o
}

func (a *Answer) outcome(p *job.Prompt) *job.Outcome {
	o := &job.Outcome{Line: p.Line, Response: a.Response, HTTPStatus: a.HTTPStatus, RequestID: a.RequestID}
	if a.PromptTokens != nil {
		o.PromptTokens = *a.PromptTokens
	}
	if a.CompletionTokens != nil {
		o.CompletionTokens = *a.CompletionTokens
	}
	return o
}

// Tokens is what the provider says the request took; 0: it did not say.
func (a *Answer) Tokens() int {
	if a.TotalTokens == nil {
		return 0
	}
	return int(*a.TotalTokens)
}

// Prompt is what of Tokens the prompt took; 0 where the provider reports none.
func (a *Answer) Prompt() int {
	if a.PromptTokens == nil {
		return 0
	}
	return int(*a.PromptTokens)
}
