package client

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync/atomic"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
)

// Run is the whole job: Submit, then Results from the first outcome on. When it
// ends without an error, every prompt of the file has had its outcome.
//
// An error comes alone, with a nil outcome, and is the last; it is a *[RunError],
// which has what is needed to go on. A job that ended FAILED or CANCELLED is
// such an error. Breaking off ends the stream, and the job goes on; its id is
// then known to nobody here, so a caller that means to break off uses Submit and
// Results. Nothing happens before the first range; there is only one, since
// prompts is read by it.
func (c *Client) Run(ctx context.Context, req *promptforgev1.InitJobRequest, prompts io.Reader) iter.Seq2[*promptforgev1.Outcome, error] {
	var begun atomic.Bool
	return func(yield func(*promptforgev1.Outcome, error) bool) {
		if begun.Swap(true) {
			yield(nil, &RunError{Err: errors.New("a job is run once; call Run again for another one")})
			return
		}
		jobID, err := c.Submit(ctx, req, prompts)
		if err != nil {
			yield(nil, &RunError{JobID: jobID, Err: err})
			return
		}
		var last int64
		for outcome, err := range c.Results(ctx, jobID, 0) {
			if err != nil {
				yield(nil, &RunError{JobID: jobID, Offset: last, Err: err})
				return
			}
			last = outcome.GetOffset()
			if !yield(outcome, nil) {
				return
			}
		}
		if end := c.ended(ctx, jobID); end != nil {
			end.JobID, end.Offset = jobID, last
			yield(nil, end)
		}
	}
}

// ended is nil for a job that COMPLETED, and else says how it ended, or why that
// is not known.
func (c *Client) ended(ctx context.Context, jobID string) *RunError {
	for retry := c.newRetry(); ; {
		resp, err := c.jobs.GetJob(ctx, &promptforgev1.GetJobRequest{JobId: jobID})
		if err != nil {
			if err = retry.after(ctx, err); err != nil {
				return &RunError{Err: err}
			}
			continue
		}
		j := resp.GetJob()
		if j.GetStatus() == promptforgev1.Job_COMPLETED {
			return nil
		}
		why := j.GetFailureReason()
		if why == "" {
			why = "The job ended before all of its prompts had an outcome."
		}
		return &RunError{Status: j.GetStatus(), Err: errors.New(why)}
	}
}
