package server

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/proto"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

const (
	defaultPageSize = 100
	maxPageSize     = 1000
	// maxPageBytes ends a page early, so that a gRPC client with the usual
	// limit of 4 MiB can read every page.
	maxPageBytes = 3 << 20
)

// ListJobs answers a page of the client's jobs, newest first.
func (s *service) ListJobs(ctx context.Context, req *promptforgev1.ListJobsRequest) (*promptforgev1.ListJobsResponse, error) {
	q := storage.ListQuery{Client: clientOf(ctx), Limit: defaultPageSize}
	if req.PageSize != nil {
		q.Limit = int(req.GetPageSize())
	}
	if q.Limit < 1 || q.Limit > maxPageSize {
		return nil, badRequest(fmt.Sprintf("The page_size must be between 1 and %d.", maxPageSize))
	}
	var err error
	if q.Statuses, err = statusFilter(req.GetStatus()); err != nil {
		return nil, err
	}
	scope := []string{"jobs", q.Client, req.GetStatus().String()}
	if q.Before, err = s.pages.open(ctx, req.GetPageToken(), scope...); err != nil {
		return nil, err
	}
	page, more, err := s.store.ListJobs(ctx, q)
	if err != nil {
		return nil, problem.FromStore(err)
	}
	resp, last, cut := listOf(page)
	if more || cut {
		resp.NextPageToken, err = s.pages.seal(ctx, last, scope...)
	}
	return resp, err
}

// statusFilter is empty for every state.
func statusFilter(given promptforgev1.Job_Status) ([]job.Status, error) {
	if given == promptforgev1.Job_STATUS_UNSPECIFIED {
		return nil, nil
	}
	for word, number := range statusToProto {
		if number == given {
			return []job.Status{word}, nil
		}
	}
	return nil, badRequest("The status is none of the seven states.")
}

// listOf converts jobs until they fill a page; last is the Seq of the last one
// on it.
func listOf(page []*job.Job) (resp *promptforgev1.ListJobsResponse, last uint64, cut bool) {
	resp = &promptforgev1.ListJobsResponse{}
	size := 0
	for _, j := range page {
		out := jobOf(j)
		if size += proto.Size(out); size > maxPageBytes && len(resp.Jobs) > 0 {
			return resp, last, true
		}
		resp.Jobs, last = append(resp.Jobs, out), j.Seq
	}
	return resp, last, false
}
