package client

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
)

// pieceBytes is how much of a file goes into one message. The service takes at
// most 4 MiB.
const pieceBytes = 256 << 10

// Upload sends the prompts file of a job that awaits it, and returns when the
// file is durable and counted. prompts is read to its end, and stays the
// caller's to close. A Read that blocks holds Upload up, also after ctx ended.
//
// After a lost connection the file is sent again from where prompts stood, if
// it is an io.Seeker that can seek, or was not read yet; otherwise that is an
// error. After any error, also one of Read, no part of the file counts: the job
// still awaits its upload, unless only the answer was lost, and then the same
// bytes may be sent again.
//
// Errors: FAILED_PRECONDITION with [ReasonJobState], when the job has another
// file already or awaits none; RESOURCE_EXHAUSTED with [ReasonUploadTooLarge];
// NOT_FOUND; UNAUTHENTICATED; and Read's own, wrapped.
func (c *Client) Upload(ctx context.Context, jobID string, prompts io.Reader) (*promptforgev1.UploadPromptsResponse, error) {
	source := newSource(prompts)
	for retry := c.newRetry(); ; {
		resp, err := c.uploadOnce(ctx, jobID, source)
		if err == nil {
			return resp, nil
		}
		if source.err != nil && ctx.Err() == nil {
			return nil, fmt.Errorf("read the prompts: %w", source.err)
		}
		if lost(err) && !source.repeatable() {
			return nil, fmt.Errorf("the connection was lost during the upload, and the prompts cannot be read again: %w", err)
		}
		if err = retry.after(ctx, err); err != nil {
			return nil, err
		}
		if err := source.rewind(); err != nil {
			return nil, fmt.Errorf("read the prompts again: %w", err)
		}
	}
}

func (c *Client) uploadOnce(ctx context.Context, jobID string, source *source) (*promptforgev1.UploadPromptsResponse, error) {
	// The stream is broken off, and not ended, where the source fails: half a
	// file must not pass for a whole one.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.jobs.UploadPrompts(ctx)
	if err != nil {
		return nil, err
	}
	if err := send(stream, jobID, source); err != nil {
		return nil, err
	}
	return stream.CloseAndRecv()
}

type uploadStream = grpc.ClientStreamingClient[promptforgev1.UploadPromptsRequest, promptforgev1.UploadPromptsResponse]

// send sends the whole file, or as much as the service wants: nil where it has
// ended the stream, whose answer says why.
func send(stream uploadStream, jobID string, source *source) error {
	err := stream.Send(&promptforgev1.UploadPromptsRequest{
		Payload: &promptforgev1.UploadPromptsRequest_JobId{JobId: jobID},
	})
	for err == nil {
		// A new one each time: a message that was sent is gRPC's.
		piece := make([]byte, pieceBytes)
		n, readErr := io.ReadFull(source, piece)
		if n > 0 {
			err = stream.Send(&promptforgev1.UploadPromptsRequest{
				Payload: &promptforgev1.UploadPromptsRequest_Data{Data: piece[:n]},
			})
		}
		if source.err != nil {
			// Asked first: a reader that was cut says io.ErrUnexpectedEOF, and so
			// does ReadFull where all is well.
			return source.err
		}
		if readErr != nil {
			return nil // the end of the file; if Send failed, the answer says why
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
