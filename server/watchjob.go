package server

import (
	"context"
	"time"

	"google.golang.org/grpc"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
)

// watchInterval is the least time between two messages of a watch.
const watchInterval = 250 * time.Millisecond

// WatchJob sends the state now and after each change, until the job is settled.
func (s *service) WatchJob(req *promptforgev1.WatchJobRequest, stream grpc.ServerStreamingServer[promptforgev1.WatchJobResponse]) error {
	return s.watch(stream.Context(), req, nil, func(state *watchState) error { return stream.Send(state.message) })
}

// watch calls send with the state now and after each change, and with nil at
// each tick of idle while there is none. Each watcher has a rhythm of its own,
// so that a thousand of them do not all write at the same moment; what they
// write is made once.
func (s *service) watch(ctx context.Context, req *promptforgev1.WatchJobRequest, idle <-chan time.Time, send func(*watchState) error) error {
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
	defer s.watched.hold(id)()
	last := ""
	for {
		j, err := s.job(ctx, req.GetJobId())
		if err != nil {
			return err
		}
		state, err := s.watched.of(j)
		if err != nil {
			return err
		}
		if j.Settled() && last == "" && state.message.GetEventId() == req.GetLastEventId() {
			return nil
		}
		if state.message.GetEventId() != last {
			if err := send(state); err != nil {
				return err
			}
			last = state.message.GetEventId()
		}
		if j.Settled() {
			return nil
		}
		if err := s.nextChange(ctx, changed, idle, send); err != nil {
			return err
		}
	}
}

// nextChange waits for a change, and at least watchInterval, so that changes
// that come thick become one.
func (s *service) nextChange(ctx context.Context, changed <-chan struct{}, idle <-chan time.Time, send func(*watchState) error) error {
	pause := time.NewTimer(watchInterval)
	defer pause.Stop()
	if err := wait(ctx, s.stopping, pause.C); err != nil {
		return err
	}
	for {
		select {
		case <-changed:
			return nil
		case <-idle:
			if err := send(nil); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		case <-s.stopping.Done():
			return errStopping()
		}
	}
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
