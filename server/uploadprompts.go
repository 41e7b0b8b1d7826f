package server

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
)

type uploadStream = grpc.ClientStreamingServer[promptforgev1.UploadPromptsRequest, promptforgev1.UploadPromptsResponse]

// UploadPrompts takes the prompts file of a job of the calling client.
func (s *service) UploadPrompts(stream uploadStream) error {
	ctx := stream.Context()
	first, err := receivePiece(stream)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if _, ok := first.GetPayload().(*promptforgev1.UploadPromptsRequest_JobId); !ok {
		return badRequest("The first message of an upload must carry job_id.")
	}
	j, err := s.job(ctx, first.GetJobId())
	if err != nil {
		return err
	}
	if j, err = s.upload(ctx, j, stream); err != nil {
		return err
	}
	return stream.SendAndClose(&promptforgev1.UploadPromptsResponse{
		JobId: string(j.ID), Status: protoStatus(j.Status), PromptCount: clamp32(j.PromptCount),
	})
}

// upload pipes the stream's data into the transfer.
func (s *service) upload(ctx context.Context, j *job.Job, stream uploadStream) (*job.Job, error) {
	r, w := io.Pipe()
	// A stream whose key was revoked ends while nothing comes, too.
	defer context.AfterFunc(ctx, func() { w.CloseWithError(context.Cause(ctx)) })()
	received := make(chan error, 1)
	go func() {
		err := receivePieces(stream, w, s.transfers.IdleTimeout)
		received <- err // first, so that it is there when the transfer fails by it
		w.CloseWithError(err)
	}()
	j, err := s.transfers.Upload(ctx, clientOf(ctx), j.ID, "", r)
	// Where the upload was refused early, the rest of the file is not wanted:
	// receivePieces ends at its next write, or with the stream, which ends with
	// this call.
	r.CloseWithError(errRefused)
	select {
	case own := <-received:
		if err != nil && own != nil && !errors.Is(own, errRefused) {
			return nil, own
		}
	default:
	}
	return j, err
}

var errRefused = errors.New("the upload was refused")

// receivePieces writes the data of all further messages to w. Its error is a
// mistake of the caller's, a broken stream, or w's. When idle passes without a
// message w is closed, which ends the upload, and with it the stream.
func receivePieces(stream uploadStream, w *io.PipeWriter, idle time.Duration) error {
	dead := time.AfterFunc(idle, func() {
		w.CloseWithError(badRequest("The upload was cut since nothing came for too long; send it again."))
	})
	defer dead.Stop()
	for {
		dead.Reset(idle)
		piece, err := receivePiece(stream)
		dead.Stop() // what is written takes the time that it takes
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		data, ok := piece.GetPayload().(*promptforgev1.UploadPromptsRequest_Data)
		if !ok {
			return badRequest("Only the first message of an upload carries job_id; all others carry data.")
		}
		if len(data.Data) == 0 {
			continue
		}
		if _, err := w.Write(data.Data); err != nil {
			return err
		}
	}
}

// receivePiece is Recv with a sentence for a message that is too large.
func receivePiece(stream uploadStream) (*promptforgev1.UploadPromptsRequest, error) {
	piece, err := stream.Recv()
	if status.Code(err) == codes.ResourceExhausted {
		return nil, badRequest("A message of an upload may have at most 4 MiB; cut the file into smaller pieces.")
	}
	return piece, err
}
