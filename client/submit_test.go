package client_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/promptforge/promptforge/client"
	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
)

// The answers to the first two inits are lost; there is one job all the same.
func TestInitWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	s := start(t, gated)
	inits := 0
	c := s.dial(t, intercept(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		err := invoke(ctx, method, req, reply, cc, opts...)
		if strings.HasSuffix(method, "/InitJob") {
			if inits++; inits < 3 {
				return status.Error(codes.Unavailable, "error reading from server: EOF")
			}
		}
		return err
	}))
	id, err := c.Submit(t.Context(), request, strings.NewReader(prompts(2)))
	must(t, err)
	other, err := c.Submit(t.Context(), request, strings.NewReader(prompts(2)))
	must(t, err)
	list, err := c.Jobs().ListJobs(t.Context(), &promptforgev1.ListJobsRequest{})
	must(t, err)
	if len(list.GetJobs()) != 2 || id == other || inits != 4 {
		t.Errorf("%d inits made %v", inits, list.GetJobs())
	}
}

func TestOwnIdempotencyKey(t *testing.T) {
	t.Parallel()
	c := start(t, gated).dial(t)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "idempotency-key", "mine")
	var ids [2]string
	for i := range ids {
		var err error
		ids[i], err = c.Submit(ctx, request, strings.NewReader(prompts(2)))
		must(t, err)
	}
	if ids[0] != ids[1] {
		t.Errorf("two jobs: %v", ids)
	}
	if _, err := c.Submit(ctx, request, strings.NewReader(prompts(3))); client.Reason(err) != client.ReasonJobState {
		t.Errorf("another file: %v", err)
	}
}

// cutter cuts the proxy once some of the file has gone.
type cutter struct {
	io.Reader
	proxy *proxy
	after int
}

func (c *cutter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p[:min(len(p), 1<<16)])
	if c.after > 0 {
		if c.after -= n; c.after <= 0 {
			c.proxy.cut()
		}
	}
	return n, err
}

type seekingCutter struct {
	cutter
	io.Seeker
}

func TestUploadIsCut(t *testing.T) {
	t.Parallel()
	s := start(t, gated)
	c := s.dial(t)
	const n = 40_000 // more than flow control lets go at once
	text := prompts(n)

	file := strings.NewReader("not of the file" + text)
	_, err := file.Seek(15, io.SeekStart)
	must(t, err)
	id, err := c.Submit(t.Context(), request, &seekingCutter{cutter{file, s.proxy, len(text) / 2}, file})
	must(t, err)
	wantPrompts(t, c, id, n)

	id, err = c.Submit(t.Context(), request, &cutter{strings.NewReader(text), s.proxy, len(text) / 2})
	if id == "" || status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "cannot be read again") {
		t.Fatalf("job %q: %v", id, err)
	}
	wantAwaiting(t, c, id)
	_, err = c.Upload(t.Context(), id, strings.NewReader(text))
	must(t, err)
	wantPrompts(t, c, id, n)
}

// Half a file must never pass for a whole one. A reader that was cut says
// io.ErrUnexpectedEOF, as io.ReadFull does for a file that ends in a piece.
func TestReaderFails(t *testing.T) {
	t.Parallel()
	c := start(t, gated).dial(t)
	text := prompts(30_000)
	for _, broken := range []error{errors.New("the disk is gone"), io.ErrUnexpectedEOF} {
		r := io.MultiReader(strings.NewReader(text[:len(text)/2]), iotest.ErrReader(broken))
		id, err := c.Submit(t.Context(), request, r)
		if id == "" || !errors.Is(err, broken) {
			t.Fatalf("job %q: %v", id, err)
		}
		// The next upload comes after the broken one, on the same connection.
		resp, err := c.Upload(t.Context(), id, strings.NewReader(text))
		must(t, err)
		if resp.GetPromptCount() != 30_000 {
			t.Errorf("%v", resp)
		}
	}
}

// A reader that cannot be read again may still wait for a service that is away.
func TestUploadWaitsForTheService(t *testing.T) {
	t.Parallel()
	s := start(t, gated)
	tries := 0
	c := s.dial(t, client.WithBackoff(func(int) time.Duration {
		if tries++; tries == 2 {
			must(t, s.serve())
		}
		return 5 * time.Millisecond
	}))
	created, err := c.Jobs().InitJob(t.Context(), request)
	must(t, err)
	s.stopServing()
	must(t, s.serving.Wait())
	_, err = c.Upload(t.Context(), created.GetJobId(), iotest.OneByteReader(strings.NewReader(prompts(3))))
	must(t, err)
	wantPrompts(t, c, created.GetJobId(), 3)
}

func wantPrompts(t *testing.T, c *client.Client, id string, n int32) {
	t.Helper()
	got, err := c.Jobs().GetJobStatus(t.Context(), &promptforgev1.GetJobStatusRequest{JobId: id})
	must(t, err)
	if got.GetPromptCount() != n {
		t.Errorf("%d prompts, want %d: %v", got.GetPromptCount(), n, got)
	}
}

func wantAwaiting(t *testing.T, c *client.Client, id string) {
	t.Helper()
	got, err := c.Jobs().GetJobStatus(t.Context(), &promptforgev1.GetJobStatusRequest{JobId: id})
	must(t, err)
	if got.GetStatus() != promptforgev1.Job_AWAITING_UPLOAD {
		t.Errorf("the job is %v", got)
	}
}
