package server

import (
	"context"
	"errors"

	"google.golang.org/grpc"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage/files"
	"github.com/promptforge/promptforge/storage/results"
)

type resultsStream = grpc.ServerStreamingServer[promptforgev1.StreamResultsResponse]

// StreamResults sends the outcomes behind an offset, and those that come, until
// the job is settled.
func (s *service) StreamResults(req *promptforgev1.StreamResultsRequest, stream resultsStream) error {
	ctx := stream.Context()
	offset := req.GetOffset()
	if offset < 0 {
		return badRequest("The offset must not be negative; it is how many outcomes to pass over.")
	}
	id, err := job.ParseID(req.GetJobId())
	if err != nil {
		return notFound()
	}
	end, err := s.quotas.Stream(ctx, clientOf(ctx))
	if err != nil {
		return err
	}
	defer end()
	changed, stop := s.store.Watch(id)
	defer stop()
	for {
		// Before the outcomes are read: once it is settled, none is missed.
		j, err := s.job(ctx, req.GetJobId())
		if err != nil {
			return err
		}
		if j.Outcomes() > offset {
			if offset, err = s.sendAfter(ctx, id, offset, stream); err != nil {
				return err
			}
		}
		if j.Settled() {
			return nil
		}
		if err := wait(ctx, s.stopping, changed); err != nil {
			return err
		}
	}
}

// sendAfter sends what is recorded behind the offset, and returns the offset of
// the last it sent.
func (s *service) sendAfter(ctx context.Context, id job.ID, offset int64, stream resultsStream) (int64, error) {
	for item, err := range results.After(ctx, s.store, s.files, id, offset) {
		if err != nil {
			return offset, readProblem(err)
		}
		if s.stopping.Err() != nil {
			return offset, errStopping()
		}
		out, err := outcomeOf(item.Offset, item.Outcome)
		if err != nil {
			return offset, readProblem(err)
		}
		if err := stream.Send(&promptforgev1.StreamResultsResponse{Outcome: out}); err != nil {
			return offset, err
		}
		offset = item.Offset
	}
	return offset, nil
}

// readProblem tells a damaged file, which no repeating mends, from a store that
// cannot answer now.
func readProblem(err error) error {
	var damaged *files.DamagedError
	if errors.As(err, &damaged) || errors.Is(err, job.ErrBadOutcome) {
		return problem.New(problem.Internal, "What was recorded of this job cannot be read; the operator's log says more.").Because(err)
	}
	return problem.FromStore(err)
}
