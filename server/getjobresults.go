package server

import (
	"context"
	"strconv"
	"time"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage/results"
)

// maxFilesOnPage is how many files one answer lists.
const maxFilesOnPage = 1000

// GetJobResults lists the files of a job.
func (s *service) GetJobResults(ctx context.Context, req *promptforgev1.GetJobResultsRequest) (*promptforgev1.GetJobResultsResponse, error) {
	full, err := fullView(req.GetView())
	if err != nil {
		return nil, err
	}
	j, err := s.job(ctx, req.GetJobId())
	if err != nil {
		return nil, err
	}
	scope := []string{"results", j.Client, string(j.ID), strconv.FormatBool(full)}
	first, err := s.pages.open(ctx, req.GetPageToken(), scope...)
	if err != nil {
		return nil, err
	}
	if err := hasResults(j, req.GetPartial()); err != nil {
		return nil, err
	}
	resp := &promptforgev1.GetJobResultsResponse{JobId: string(j.ID), Status: protoStatus(j.Status)}
	names := results.FileNames(j)
	first = min(first, uint64(len(names)-1)) // errors.jsonl is always there to list
	end := min(first+maxFilesOnPage, uint64(len(names)))
	expires := s.expiry(s.resultsURLTTL)
	for _, name := range names[first:end] {
		resp.Files = append(resp.Files, s.file(j, name, full, expires))
	}
	if end < uint64(len(names)) {
		token, err := s.pages.seal(ctx, end, scope...)
		if err != nil {
			return nil, err
		}
		resp.NextPageToken = &token
	}
	return resp, nil
}

func (s *service) file(j *job.Job, name string, full bool, expires time.Time) *promptforgev1.GetJobResultsResponse_File {
	return &promptforgev1.GetJobResultsResponse_File{
		Filename:  name,
		Url:       s.signer.DownloadURL(j.Client, j.ID, name, full, expires),
		ExpiresAt: protoTime(expires),
	}
}

func fullView(view string) (bool, error) {
	switch view {
	case "":
		return false, nil
	case "full":
		return true, nil
	default:
		return false, badRequest("The view is not known; leave it out, or give full for the provider's whole answers.")
	}
}

// hasResults refuses a job whose files are not to be listed yet.
func hasResults(j *job.Job, partial bool) error {
	switch {
	case j.Status == job.AwaitingUpload:
		return wrongState(j, "it has results once its prompts file is uploaded.")
	case j.Status != job.Completed && !partial:
		return wrongState(j, "only a COMPLETED job has all its results; ?partial=true lists what is finished so far.")
	}
	return nil
}
