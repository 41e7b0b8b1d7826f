package server

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"google.golang.org/grpc"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/pjson"
)

// watchInterval is the least time between two messages of a watch.
const watchInterval = 250 * time.Millisecond

// WatchJob sends the state now and after each change, until the job is settled.
func (s *service) WatchJob(req *promptforgev1.WatchJobRequest, stream grpc.ServerStreamingServer[promptforgev1.WatchJobResponse]) error {
	ctx := stream.Context()
	id, err := job.ParseID(req.GetJobId())
	if err != nil {
		return notFound()
	}
	end, err := s.quotas.Stream(ctx, clientOf(ctx))
	if err != nil {
		return err
	}
	defer end()
	// Before the state is read that is sent first: what changes after that is
	// signalled.
	changed, stop := s.store.Watch(id)
	defer stop()
	last := ""
	for {
		j, err := s.job(ctx, req.GetJobId())
		if err != nil {
			return err
		}
		state, err := watchState(j)
		if err != nil {
			return err
		}
		if state.Settled && last == "" && state.EventId == req.GetLastEventId() {
			return nil
		}
		if state.EventId != last {
			if err := stream.Send(state); err != nil {
				return err
			}
			last = state.EventId
		}
		if state.Settled {
			return nil
		}
		if err := s.nextChange(ctx, changed); err != nil {
			return err
		}
	}
}

// nextChange waits for a change, and at least watchInterval, so that changes
// that come thick become one.
func (s *service) nextChange(ctx context.Context, changed <-chan struct{}) error {
	pause := time.NewTimer(watchInterval)
	defer pause.Stop()
	if err := wait(ctx, s.stopping, pause.C); err != nil {
		return err
	}
	return wait(ctx, s.stopping, changed)
}

// wait waits for a signal, or for a reason not to.
func wait[T any](ctx, stopping context.Context, signal <-chan T) error {
	select {
	case <-signal:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-stopping.Done():
		return errStopping()
	}
}

func watchState(j *job.Job) (*promptforgev1.WatchJobResponse, error) {
	status := statusOf(j)
	id, err := eventID(status, j.Settled())
	return &promptforgev1.WatchJobResponse{EventId: id, Status: status, Settled: j.Settled()}, err
}

// eventID names a state by what it shows, so that the same state has the same
// id after a restart and in every process.
func eventID(status *promptforgev1.GetJobStatusResponse, settled bool) (string, error) {
	body, err := pjson.Marshaler{}.Marshal(status)
	if err != nil {
		return "", fmt.Errorf("write a status: %w", err)
	}
	if settled {
		body = append(body, " settled"...)
	}
	sum := sha256.Sum256(body)
	return base64.RawURLEncoding.EncodeToString(sum[:12]), nil
}
