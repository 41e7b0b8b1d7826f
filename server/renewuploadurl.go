package server

import (
	"context"
	"errors"

	"google.golang.org/protobuf/types/known/timestamppb"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

// RenewUploadUrl answers a fresh upload URL while the job awaits its upload.
func (s *service) RenewUploadUrl(ctx context.Context, req *promptforgev1.RenewUploadUrlRequest) (*promptforgev1.RenewUploadUrlResponse, error) {
	id, err := job.ParseID(req.GetJobId())
	if err != nil {
		return nil, notFound()
	}
	j, err := s.store.ExtendUpload(ctx, clientOf(ctx), id, s.expiry(s.uploadURLTTL))
	var state *storage.StateError
	switch {
	case errors.As(err, &state):
		return nil, wrongState(state.Job, "only a job that is AWAITING_UPLOAD has an upload URL.")
	case err != nil:
		return nil, problem.FromStore(err)
	}
	url, expires := s.uploadURL(j)
	return &promptforgev1.RenewUploadUrlResponse{JobId: string(j.ID), UploadUrl: &url, ExpiresAt: expires}, nil
}

// uploadURL signs an upload URL that is good as long as the job waits for it.
func (s *service) uploadURL(j *job.Job) (string, *timestamppb.Timestamp) {
	return s.signer.UploadURL(j.Client, j.ID, j.UploadExpiresAt), protoTime(j.UploadExpiresAt)
}
