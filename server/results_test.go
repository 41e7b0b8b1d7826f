package server

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// manyResults is a store whose jobs look as if 6 million prompts had results.
type manyResults struct{ storage.Store }

func (m manyResults) Job(ctx context.Context, client string, id job.ID) (*job.Job, error) {
	j, err := m.Store.Job(ctx, client, id)
	if err == nil {
		j.PromptCount, j.CompletedCount = 6_000_000, 6_000_000
	}
	return j, err
}

func TestResultPages(t *testing.T) {
	e := start(t, func(c *Config) { c.Store = manyResults{c.Store} })
	id := string(e.completed(1))
	var names []string
	req := &promptforgev1.GetJobResultsRequest{JobId: id}
	for pages := 1; ; pages++ {
		resp, err := e.api.GetJobResults(e.as(e.key), req)
		must(t, err)
		for _, f := range resp.GetFiles() {
			names = append(names, f.GetFilename())
		}
		if resp.NextPageToken == nil {
			if pages != 2 {
				t.Errorf("%d pages", pages)
			}
			break
		}
		req.PageToken = resp.GetNextPageToken()
	}
	if len(names) != 1201 || names[0] != "results_part_0001.jsonl" || names[1199] != "results_part_1200.jsonl" || names[1200] != "errors.jsonl" {
		t.Errorf("%d names, from %s to %s", len(names), names[0], names[len(names)-1])
	}
	if r := e.rest("GET", "/v1/jobs/"+id+"/results", ""); !strings.Contains(r.body, `"next_page_token":"`) {
		t.Error("REST's first page has no next_page_token")
	}
	if r := e.rest("GET", "/v1/jobs/"+id+"/results?view=full&page_token="+req.GetPageToken(), ""); r.status != http.StatusBadRequest {
		t.Errorf("the token of another view: %d %s", r.status, r.body)
	}
}

// TestPartialResults: every state but AWAITING_UPLOAD lists what is finished.
func TestPartialResults(t *testing.T) {
	e := start(t)
	id := e.claimed(9)
	path := func(id job.ID) string { return "/v1/jobs/" + string(id) + "/results" }
	if r := e.rest("GET", path(id), ""); r.status != http.StatusConflict || !strings.Contains(r.body, "?partial=true") {
		t.Errorf("while PROCESSING: %d %s", r.status, r.body)
	}
	list := func(id job.ID) string {
		t.Helper()
		resp, err := e.api.GetJobResults(e.as(e.key), &promptforgev1.GetJobResultsRequest{JobId: string(id), Partial: true})
		must(t, err)
		names := []string{resp.GetStatus().String()}
		for _, f := range resp.GetFiles() {
			names = append(names, f.GetFilename())
		}
		return strings.Join(names, " ")
	}
	if got := list(id); got != "PROCESSING errors.jsonl" {
		t.Error(got)
	}
	e.record(id, 1, 3)
	if got := list(id); got != "PROCESSING results_part_001.jsonl errors.jsonl" {
		t.Error(got)
	}
	e.finish(id, job.Failed, "The key was refused.")
	if got := list(id); got != "FAILED results_part_001.jsonl errors.jsonl" {
		t.Error(got)
	}
	waiting := job.ID(e.init().GetJobId())
	if r := e.rest("GET", path(waiting)+"?partial=true", ""); r.status != http.StatusConflict {
		t.Errorf("while AWAITING_UPLOAD: %d %s", r.status, r.body)
	}
	e.rest("POST", "/v1/jobs/"+string(waiting)+"/cancel", "")
	if got := list(waiting); got != "CANCELLED errors.jsonl" {
		t.Errorf("a job that never had a file: %s", got)
	}
	for _, query := range []string{"?view=half", "?partial=1", "?partial", "?page_token=x"} {
		if r := e.rest("GET", path(id)+query, ""); r.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", query, r.status, r.body)
		}
	}
	if r := e.rest("GET", path(id)+"?partial=true", ""); r.status != http.StatusOK || strings.Contains(r.body, "next_page_token") {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// TestOutcomeOf: what a public line says, its message says.
func TestOutcomeOf(t *testing.T) {
	result := job.Result{
		PromptID: job.StringID("7"), Text: "a \"b\" \u2028", Model: "m", FinishReason: "tool_calls", Attempts: 2, LatencyMS: 5,
		ToolCalls: []byte(`[{"n":1.00}]`), Metadata: []byte(`{"a":12345678901234567890}`),
	}
	unusable := job.UnusableLine(4, &job.LineError{Code: job.CodeInvalidLine, Message: "The line is not valid JSON."})
	for _, c := range []struct {
		outcome *job.Outcome
		want    *promptforgev1.Outcome
	}{
		{&job.Outcome{Public: result.AppendJSON(nil)}, &promptforgev1.Outcome{
			Offset: 1, PromptId: &promptforgev1.Outcome_StringId{StringId: "7"},
			Outcome: &promptforgev1.Outcome_Result{Result: &promptforgev1.Result{
				Result: "a \"b\" \u2028", Model: "m", FinishReason: "tool_calls", Attempts: 2, LatencyMs: 5,
				ToolCallsJson: new(`[{"n":1.00}]`), MetadataJson: new(`{"a":12345678901234567890}`),
			}},
		}},
		{unusable, &promptforgev1.Outcome{
			Offset: 1, Outcome: &promptforgev1.Outcome_Error{Error: &promptforgev1.PromptError{
				Error: "invalid_line", Message: "The line is not valid JSON.", Line: new(int32(4)),
			}},
		}},
		{outcome(2), &promptforgev1.Outcome{
			Offset: 1, PromptId: &promptforgev1.Outcome_Int64Id{Int64Id: 2},
			Outcome: &promptforgev1.Outcome_Result{Result: &promptforgev1.Result{
				Result: "said 2", Model: "gpt-4o-mini-2024-07-18", TokensUsed: new(int64(7)), PromptTokens: new(int64(3)), CompletionTokens: new(int64(4)),
				FinishReason: "stop", Attempts: 1, LatencyMs: 12,
			}},
		}},
	} {
		got, err := outcomeOf(1, c.outcome)
		if err != nil || !proto.Equal(got, c.want) {
			t.Errorf("%s:\n%v, %v\nwant %v", c.outcome.Public, got, err, c.want)
		}
	}
	if _, err := outcomeOf(1, &job.Outcome{Public: []byte(`{"prompt_id":`)}); err == nil {
		t.Error("a damaged line is no error")
	}
}

// TestPaceOnlyWhileProcessing: what a holder told last means nothing later.
func TestPaceOnlyWhileProcessing(t *testing.T) {
	j := &job.Job{Status: job.Processing, Pace: job.Pace{
		CurrentRPM: 59.6, LearnedRPM: 500, BoundBy: "rpm", HoldReason: "The provider is down.", HeldSince: testNow, EstimatedCompletionAt: testNow,
	}}
	got := jobOf(j)
	if got.GetCurrentRpm() != 60 || got.GetLearnedRpm() != 500 || got.LearnedTpm != nil || got.GetBoundBy() != "rpm" ||
		got.GetHoldReason() == "" || got.GetHeldSince().GetNanos() != 0 || got.HeldUntil != nil || got.EstimatedCompletionAt == nil {
		t.Errorf("while PROCESSING: %v", got)
	}
	j.Status = job.Completed
	got = jobOf(j)
	if got.CurrentRpm != nil || got.LearnedRpm != nil || got.BoundBy != nil || got.HoldReason != nil || got.HeldSince != nil || got.EstimatedCompletionAt != nil {
		t.Errorf("when COMPLETED: %v", got)
	}
}
