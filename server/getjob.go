package server

import (
	"context"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
)

// GetJob answers the whole job.
func (s *service) GetJob(ctx context.Context, req *promptforgev1.GetJobRequest) (*promptforgev1.GetJobResponse, error) {
	j, err := s.job(ctx, req.GetJobId())
	if err != nil {
		return nil, err
	}
	return &promptforgev1.GetJobResponse{Job: jobOf(j)}, nil
}
