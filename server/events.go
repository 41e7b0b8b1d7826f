package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/server/pjson"
)

const (
	// eventsComment is how often a quiet stream shows that it is alive.
	eventsComment = 15 * time.Second
	// eventsWriteTimeout is how long a reader may take nothing.
	eventsWriteTimeout = time.Minute
)

// events serves GET /v1/jobs/{job_id}/events: WatchJob as server-sent events.
// Nothing is written before the first message, so that an error still has its
// status.
func (g *gateway) events(w http.ResponseWriter, r *http.Request, params map[string]string) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	ctx, err := runtime.AnnotateContext(ctx, g.mux, r, promptforgev1.JobService_WatchJob_FullMethodName,
		runtime.WithHTTPPathPattern(eventsPattern))
	if err != nil {
		gatewayError(ctx, g.mux, nil, w, r, err)
		return
	}
	watch, err := g.client.WatchJob(ctx, &promptforgev1.WatchJobRequest{
		JobId: params["job_id"], LastEventId: r.Header.Get("Last-Event-Id"),
	})
	if err != nil {
		gatewayError(ctx, g.mux, nil, w, r, err)
		return
	}
	first, err := watch.Recv()
	switch {
	case errors.Is(err, io.EOF):
		w.WriteHeader(http.StatusNoContent)
		return
	case err != nil:
		gatewayError(ctx, g.mux, nil, w, r, err)
		return
	}
	newest := make(chan *promptforgev1.WatchJobResponse, 1)
	received := make(chan struct{})
	go func() {
		defer close(received)
		receiveNewest(watch, newest)
	}()
	writeEvents(w, first, newest)
	cancel()
	<-received
}

// receiveNewest keeps in newest, which it closes at the stream's end, the one
// message that came last, so that a slow reader gets no stale ones.
func receiveNewest(watch promptforgev1.JobService_WatchJobClient, newest chan *promptforgev1.WatchJobResponse) {
	defer close(newest)
	for {
		m, err := watch.Recv()
		if err != nil {
			return // after the last event an error cannot be told; a browser connects again
		}
		select {
		case <-newest:
		default:
		}
		newest <- m
	}
}

func writeEvents(w http.ResponseWriter, first *promptforgev1.WatchJobResponse, newest <-chan *promptforgev1.WatchJobResponse) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	noStore(w)
	out := http.NewResponseController(w)
	defer out.SetWriteDeadline(time.Time{}) //nolint:errcheck // the connection may serve another request
	write := func(b []byte) bool {
		if out.SetWriteDeadline(time.Now().Add(eventsWriteTimeout)) != nil {
			return false
		}
		_, err := w.Write(b)
		return err == nil && out.Flush() == nil
	}
	comment := time.NewTicker(eventsComment)
	defer comment.Stop()
	for m := first; ; {
		body, err := event(m)
		if err != nil || !write(body) {
			return
		}
		for m = nil; m == nil; {
			select {
			case next, more := <-newest:
				if !more {
					return
				}
				m = next
			case <-comment.C:
				if !write([]byte(": still here\n\n")) {
					return
				}
			}
		}
	}
}

// event is a message as server-sent events write it.
func event(m *promptforgev1.WatchJobResponse) ([]byte, error) {
	body, err := pjson.Marshaler{}.Marshal(m.GetStatus())
	if err != nil {
		return nil, err
	}
	b := append([]byte("id: "), m.GetEventId()...)
	b = append(append(b, "\ndata: "...), body...)
	return append(b, "\n\n"...), nil
}
