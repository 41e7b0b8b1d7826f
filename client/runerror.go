package client

import (
	"strings"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
)

// RunError says why Run ended before every prompt had its outcome.
type RunError struct {
	// JobID is the job; empty where none was created.
	JobID string
	// Offset is that of the last outcome that Run gave: Results goes on behind
	// it, where the job itself is well.
	Offset int64
	// Status is FAILED or CANCELLED where the job ended so, and
	// STATUS_UNSPECIFIED where something else went wrong. Such a job is finished
	// by another, with continue_from.
	Status promptforgev1.Job_Status
	// Err is the cause; a sentence, where the job ended.
	Err error
}

// Error names the job, how it ended and the cause.
func (e *RunError) Error() string {
	var b strings.Builder
	if e.JobID != "" {
		b.WriteString("job " + e.JobID)
		if e.Status != promptforgev1.Job_STATUS_UNSPECIFIED {
			b.WriteString(" " + e.Status.String())
		}
		b.WriteString(": ")
	}
	b.WriteString(e.Err.Error())
	return b.String()
}

// Unwrap returns the cause.
func (e *RunError) Unwrap() error { return e.Err }
