package client

import (
	"context"
	"crypto/rand"
	"errors"
	"io"

	"google.golang.org/grpc/metadata"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
)

const idempotencyMetadata = "idempotency-key"

// Submit creates a job and uploads its prompts file, JSON Lines that are not
// compressed; see [Client.Upload] for what becomes of the reader. With
// req.ContinueFrom the new job has that job's file; prompts is not read then and
// may be nil.
//
// It returns when the job is on its way: the file is durable and counted. A
// file without one usable line makes the job FAILED, which Wait tells, and is
// no error here.
//
// Init is repeated when its answer is lost, and yet makes one job, since each
// call of Submit has an idempotency key of its own. A caller that must not make
// two jobs over its own restarts either puts `idempotency-key` into the context's
// outgoing metadata.
//
// Where the job was created and its upload failed, the job's id is returned with
// the error: it awaits its upload, and Upload may be called again. Errors:
// INVALID_ARGUMENT, with [ReasonProviderNotOffered] or [ReasonModelNotOffered]
// where that is why; FAILED_PRECONDITION with [ReasonJobState] when the job in
// continue_from is not settled; those of Upload.
func (c *Client) Submit(ctx context.Context, req *promptforgev1.InitJobRequest, prompts io.Reader) (jobID string, err error) {
	uploads := req.GetContinueFrom() == ""
	if uploads && prompts == nil {
		return "", errors.New("there are no prompts to submit; only a job with continue_from needs none")
	}
	if jobID, err = c.init(ctx, req); err != nil || !uploads {
		return jobID, err
	}
	_, err = c.Upload(ctx, jobID, prompts)
	return jobID, err
}

// init creates one job, however often it has to ask.
func (c *Client) init(ctx context.Context, req *promptforgev1.InitJobRequest) (jobID string, err error) {
	call := ctx
	if md, _ := metadata.FromOutgoingContext(ctx); len(md.Get(idempotencyMetadata)) == 0 {
		call = metadata.AppendToOutgoingContext(ctx, idempotencyMetadata, rand.Text())
	}
	for retry := c.newRetry(); ; {
		resp, err := c.jobs.InitJob(call, req)
		if err == nil {
			return resp.GetJobId(), nil
		}
		if err = retry.after(ctx, err); err != nil {
			return "", err
		}
	}
}
