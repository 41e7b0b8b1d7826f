package server

import (
	"context"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
)

// GetJobStatus answers the ten fields.
func (s *service) GetJobStatus(ctx context.Context, req *promptforgev1.GetJobStatusRequest) (*promptforgev1.GetJobStatusResponse, error) {
	j, err := s.job(ctx, req.GetJobId())
	if err != nil {
		return nil, err
	}
	return statusOf(j), nil
}
