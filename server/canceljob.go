package server

import (
	"context"
	"errors"
	"time"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

// cancelWait is how long the answer to a cancel waits for the job's holder; by
// then a holder that is silent has lost its lease.
const cancelWait = 15 * time.Second

// CancelJob cancels a job and answers when nothing more is sent for it.
func (s *service) CancelJob(ctx context.Context, req *promptforgev1.CancelJobRequest) (*promptforgev1.CancelJobResponse, error) {
	id, err := job.ParseID(req.GetJobId())
	if err != nil {
		return nil, notFound()
	}
	changed, stop := s.store.Watch(id)
	defer stop()
	j, err := s.store.Cancel(ctx, clientOf(ctx), id, s.now().UTC())
	var state *storage.StateError
	switch {
	case errors.As(err, &state):
		return nil, wrongState(state.Job, "a final job can't be cancelled any more.")
	case err != nil:
		return nil, problem.FromStore(err)
	}
	resp := &promptforgev1.CancelJobResponse{JobId: string(j.ID), Status: protoStatus(j.Status)}
	return resp, s.holderStopped(ctx, j, changed)
}

// holderStopped waits until a cancelled job's holder has said that it sends
// nothing more, or has given it back, or cannot send any more.
func (s *service) holderStopped(ctx context.Context, j *job.Job, changed <-chan struct{}) error {
	lapsed := time.NewTimer(cancelWait)
	defer lapsed.Stop()
	for !j.Acknowledged && !j.Released && !j.Settled() {
		select {
		case <-changed:
		case <-lapsed.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
		now, err := s.store.Job(ctx, "", j.ID)
		if errors.Is(err, storage.ErrNotFound) {
			return nil // it was deleted, and is erased already
		}
		if err != nil {
			return problem.FromStore(err)
		}
		j = now
	}
	return nil
}
