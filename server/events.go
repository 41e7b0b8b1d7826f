package server

import (
	"context"
	"net/http"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
)

const (
	// eventsComment is how often a quiet stream shows that it is alive.
	eventsComment = 15 * time.Second
	// eventsWriteTimeout is how long a reader may take nothing.
	eventsWriteTimeout = time.Minute
)

// events serves GET /v1/jobs/{job_id}/events: WatchJob as server-sent events. It
// passes the interceptors as a call does, and then has the same watch, without a
// stream of gRPC for each of a thousand readers.
type events struct {
	jobs  *service
	chain grpc.StreamServerInterceptor
}

var watchInfo = &grpc.StreamServerInfo{FullMethod: promptforgev1.JobService_WatchJob_FullMethodName, IsServerStream: true}

// callOf is a call in process: of a stream it has the context alone.
type callOf struct {
	grpc.ServerStream // nil
	ctx               context.Context
}

func (c callOf) Context() context.Context { return c.ctx }

// serve is the route's handler. Nothing is written before the first event, so
// that an error still has its status.
func (e *events) serve(w http.ResponseWriter, r *http.Request, params map[string]string) {
	ctx := metadata.NewIncomingContext(r.Context(), metadata.Pairs(apiKeyMetadata, r.Header.Get(apiKeyHeader)))
	req := &promptforgev1.WatchJobRequest{JobId: params["job_id"], LastEventId: r.Header.Get("Last-Event-Id")}
	out := &eventWriter{w: w, control: http.NewResponseController(w)}
	comment := time.NewTicker(eventsComment)
	defer comment.Stop()
	err := e.chain(nil, callOf{ctx: ctx}, watchInfo, func(_ any, call grpc.ServerStream) error {
		return e.jobs.watch(call.Context(), req, comment.C, out.send)
	})
	switch {
	case out.begun:
		// After the first event an error cannot be told; a browser connects again.
		out.control.SetWriteDeadline(time.Time{}) //nolint:errcheck // the connection may serve another request
	case err != nil:
		gatewayError(ctx, nil, nil, w, r, err)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// eventWriter writes events. While a reader takes nothing it waits, and the
// watch behind it passes over what changes meanwhile.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

var stillHere = []byte(": still here\n\n")

// send writes a state, or a comment where there is none.
func (e *eventWriter) send(state *watchState) error {
	if !e.begun {
		e.begun = true
		h := e.w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("X-Accel-Buffering", "no")
		noStore(e.w)
	}
	event := stillHere
	if state != nil {
		event = state.event
	}
	if err := e.control.SetWriteDeadline(time.Now().Add(eventsWriteTimeout)); err != nil {
		return err
	}
	if _, err := e.w.Write(event); err != nil {
		return err
	}
	return e.control.Flush()
}
