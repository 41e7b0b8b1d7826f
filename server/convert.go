package server

import (
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
)

// This file is the one place where a job becomes what callers see.

var statusToProto = map[job.Status]promptforgev1.Job_Status{
	job.AwaitingUpload: promptforgev1.Job_AWAITING_UPLOAD,
	job.Queued:         promptforgev1.Job_QUEUED,
	job.Pending:        promptforgev1.Job_PENDING,
	job.Processing:     promptforgev1.Job_PROCESSING,
	job.Completed:      promptforgev1.Job_COMPLETED,
	job.Failed:         promptforgev1.Job_FAILED,
	job.Cancelled:      promptforgev1.Job_CANCELLED,
}

// protoStatus panics for a word that is no status: the store is then damaged.
func protoStatus(s job.Status) promptforgev1.Job_Status {
	v, ok := statusToProto[s]
	if !ok {
		panic(fmt.Sprintf("server: a job with the status %q", string(s)))
	}
	return v
}

// protoTime cuts to whole seconds, so that gRPC and REST say the same; nil for
// the zero time.
func protoTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return &timestamppb.Timestamp{Seconds: t.Unix()}
}

// protoCount is a count that means nothing before the file is parsed.
func protoCount(j *job.Job, n int64) *int32 {
	if !j.Parsed {
		return nil
	}
	return new(clamp32(n))
}

func clamp32(n int64) int32 {
	return int32(min(max(n, math.MinInt32), math.MaxInt32)) //nolint:gosec // clamped
}

// orNil is nil for the zero value.
func orNil[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}

// statusOf makes the ten fields.
func statusOf(j *job.Job) *promptforgev1.GetJobStatusResponse {
	return &promptforgev1.GetJobStatusResponse{
		JobId:               string(j.ID),
		Status:              protoStatus(j.Status),
		Provider:            j.Provider,
		Model:               j.Model,
		PromptCount:         protoCount(j, j.PromptCount),
		CompletedCount:      protoCount(j, j.CompletedCount),
		FailedCount:         protoCount(j, j.FailedCount),
		CreatedAt:           protoTime(j.CreatedAt),
		StartedProcessingAt: protoTime(j.StartedAt),
		CompletedAt:         protoTime(j.CompletedAt),
	}
}

// jobOf makes the whole job.
func jobOf(j *job.Job) *promptforgev1.Job {
	out := &promptforgev1.Job{
		JobId:               string(j.ID),
		Status:              protoStatus(j.Status),
		Provider:            j.Provider,
		Model:               j.Model,
		PromptCount:         protoCount(j, j.PromptCount),
		CompletedCount:      protoCount(j, j.CompletedCount),
		FailedCount:         protoCount(j, j.FailedCount),
		CreatedAt:           protoTime(j.CreatedAt),
		StartedProcessingAt: protoTime(j.StartedAt),
		CompletedAt:         protoTime(j.CompletedAt),
		FailureReason:       orNil(j.FailureReason),
		SettledAt:           protoTime(j.SettledAt),
		MaxRetries:          clamp32(int64(j.MaxRetries)),
		Rpm:                 orNil(int64(j.RPM)),
		Tpm:                 orNil(int64(j.TPM)),
		PromptTokens:        j.PromptTokens,
		CompletionTokens:    j.CompletionTokens,
		TokensUsed:          j.PromptTokens + j.CompletionTokens,
		RequestsSent:        j.RequestsSent,
		PossiblyRepaid:      j.PossiblyRepaid,
		ContinueFrom:        orNil(string(j.ContinueFrom)),
		Metadata:            j.Metadata,
		WebhookUrl:          orNil(j.WebhookURL),
		WebhookState:        orNil(string(j.Delivery.State)),
		WebhookAttempts:     clamp32(int64(j.Delivery.Attempts)),
		WebhookError:        orNil(j.Delivery.Error),
	}
	if j.Status == job.Processing {
		addPace(out, &j.Pace)
	}
	return out
}

// addPace adds what means something only while a job is PROCESSING.
func addPace(out *promptforgev1.Job, p *job.Pace) {
	out.CurrentRpm = orNil(whole(p.CurrentRPM))
	out.LearnedRpm = orNil(whole(p.LearnedRPM))
	out.LearnedTpm = orNil(whole(p.LearnedTPM))
	out.LearnedConcurrency = orNil(clamp32(whole(p.LearnedConcurrency)))
	out.BoundBy = orNil(p.BoundBy)
	out.EstimatedCompletionAt = protoTime(p.EstimatedCompletionAt)
	out.EstimatedCompletionEarliest = protoTime(p.EstimatedEarliest)
	out.EstimatedCompletionLatest = protoTime(p.EstimatedLatest)
	if p.HoldReason != "" {
		out.HoldReason = &p.HoldReason
		out.HeldSince = protoTime(p.HeldSince)
		out.HeldUntil = protoTime(p.HeldUntil)
	}
}

// whole rounds to a whole number; 0 for what is none.
func whole(f float64) int64 {
	if math.IsNaN(f) || math.Abs(f) > math.MaxInt64/2 {
		return 0
	}
	return int64(math.Round(f))
}
