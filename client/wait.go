package client

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
)

// Wait follows a job until it is settled, over lost connections and restarts of
// the service, and returns its last state: COMPLETED, FAILED or CANCELLED, with
// counts that no longer change. A job that FAILED is no error; GetJob knows the
// reason.
//
// see, unless it is nil, is called with the state now and each one that follows,
// the last too, in order, in the caller's goroutine; the service sends at most 4
// a second, and a slow see misses those between. The states are the caller's to
// keep. ctx ends the wait; the job goes on.
//
// Errors: NOT_FOUND; UNAUTHENTICATED.
func (c *Client) Wait(ctx context.Context, jobID string, see func(*promptforgev1.GetJobStatusResponse)) (*promptforgev1.GetJobStatusResponse, error) {
	if see == nil {
		see = func(*promptforgev1.GetJobStatusResponse) {}
	}
	w := watch{client: c, jobID: jobID, see: see, retry: c.newRetry()}
	for {
		last, err := w.once(ctx)
		if err == nil {
			return last, nil
		}
		if err = w.retry.after(ctx, err); err != nil {
			return nil, err
		}
	}
}

// watch is one Wait, over however many streams it takes.
type watch struct {
	client *Client
	jobID  string
	see    func(*promptforgev1.GetJobStatusResponse)
	retry  *retry
	seen   string // the event id of the last state that see was called with
}

// once follows one stream. Without an error it has seen the settled state.
func (w *watch) once(ctx context.Context) (*promptforgev1.GetJobStatusResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := w.client.jobs.WatchJob(ctx, &promptforgev1.WatchJobRequest{JobId: w.jobID})
	if err != nil {
		return nil, err
	}
	opened := time.Now()
	defer func() { w.retry.stood(opened) }()
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			err = errEndedEarly
		}
		if err != nil {
			return nil, err
		}
		w.retry.progress()
		if event.GetEventId() != w.seen { // a new stream begins with the state now
			w.seen = event.GetEventId()
			w.see(event.GetStatus())
		}
		if event.GetSettled() {
			return event.GetStatus(), nil
		}
	}
}

// errEndedEarly is as good as a lost connection.
var errEndedEarly = status.Error(codes.Unavailable, "The service ended the watch before the job was settled.")
