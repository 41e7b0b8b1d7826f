package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
)

// Results iterates over a job's outcomes, results and errors, in the order in
// which they were recorded, also while the job runs, and ends when the job is
// settled. offset is how many outcomes to pass over, which is Outcome.Offset of
// the last one that the caller has dealt with; 0 begins with the first. However
// often the connection is lost or the service restarted, every outcome behind
// offset comes once.
//
// That it ends does not say that the job COMPLETED: see Wait, or Run. An error
// comes alone, with a nil outcome, and is the last. The outcomes are the
// caller's to keep. Breaking off ends the stream, and the job goes on. Each
// range over the iterator begins at offset again.
//
// Errors: NOT_FOUND; UNAUTHENTICATED; INVALID_ARGUMENT for a negative offset.
func (c *Client) Results(ctx context.Context, jobID string, offset int64) iter.Seq2[*promptforgev1.Outcome, error] {
	return func(yield func(*promptforgev1.Outcome, error) bool) {
		o := outcomes{client: c, jobID: jobID, offset: offset, yield: yield, retry: c.newRetry()}
		for {
			err := o.once(ctx)
			if err == nil {
				return
			}
			if err = o.retry.after(ctx, err); err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// outcomes is one range over Results, over however many streams it takes.
type outcomes struct {
	client *Client
	jobID  string
	offset int64 // of the last outcome that was yielded
	yield  func(*promptforgev1.Outcome, error) bool
	retry  *retry
}

// once follows one stream. Without an error nothing is left to yield, or nothing
// is wanted any more.
func (o *outcomes) once(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := o.client.jobs.StreamResults(ctx, &promptforgev1.StreamResultsRequest{JobId: o.jobID, Offset: o.offset})
	if err != nil {
		return err
	}
	opened := time.Now()
	for {
		resp, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			o.retry.stood(opened)
			return err
		}
		outcome := resp.GetOutcome()
		if outcome.GetOffset() != o.offset+1 {
			return fmt.Errorf("the service sent outcome %d where %d was due; outcomes would be lost or repeated", outcome.GetOffset(), o.offset+1)
		}
		o.offset++
		o.retry.progress()
		if !o.yield(outcome, nil) {
			return nil
		}
	}
}
