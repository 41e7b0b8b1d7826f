package server

import (
	"context"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/problem"
)

// DeleteJob hides a job for good, cancelling it first if it is not final, and
// answers when nothing more is sent for it. What it left on the disk goes once
// it is settled.
func (s *service) DeleteJob(ctx context.Context, req *promptforgev1.DeleteJobRequest) (*promptforgev1.DeleteJobResponse, error) {
	id, err := job.ParseID(req.GetJobId())
	if err != nil {
		return nil, notFound()
	}
	changed, stop := s.store.Watch(id)
	defer stop()
	j, err := s.store.Delete(ctx, clientOf(ctx), id, s.now().UTC())
	if err != nil {
		return nil, problem.FromStore(err)
	}
	resp := &promptforgev1.DeleteJobResponse{JobId: string(j.ID), Status: protoStatus(j.Status)}
	return resp, s.holderStopped(ctx, j, changed)
}
