package server

import (
	"context"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/server/problem"
)

// DeleteJob refuses: the store cannot forget a job yet.
func (s *service) DeleteJob(ctx context.Context, req *promptforgev1.DeleteJobRequest) (*promptforgev1.DeleteJobResponse, error) {
	if _, err := s.job(ctx, req.GetJobId()); err != nil {
		return nil, err
	}
	return nil, problem.New(problem.MethodNotAllowed, "Jobs cannot be deleted yet; deletion comes with a later version. Cancel the job to stop it.")
}
