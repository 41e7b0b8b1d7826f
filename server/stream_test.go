package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
)

// ends are the ways to each final state of a job that is PROCESSING; each
// settles it.
var ends = []struct {
	state job.Status
	end   func(e *env, id job.ID)
}{
	{job.Completed, func(e *env, id job.ID) { e.record(id, 1, 3); e.finish(id, job.Completed, "") }},
	{job.Failed, func(e *env, id job.ID) { e.finish(id, job.Failed, "The key was refused."); e.settle(id) }},
	{job.Cancelled, func(e *env, id job.ID) {
		_, err := e.store.Cancel(e.ctx(), "acme", id, e.clock.Now())
		must(e.t, err)
		e.settle(id)
	}},
}

// sse reads events off a stream.
type sse struct {
	t    testing.TB
	resp *http.Response
	in   *bufio.Reader
}

func (e *env) events(id job.ID, header ...string) *sse {
	e.t.Helper()
	resp := e.send("GET", "/v1/jobs/"+string(id)+"/events", nil, append([]string{"X-API-Key", e.key}, header...)...)
	return &sse{e.t, resp, bufio.NewReader(resp.Body)}
}

// next is the next event; ok is false at the stream's end.
func (s *sse) next() (id, data string, ok bool) {
	s.t.Helper()
	for {
		line, err := s.in.ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" {
			return "", "", false
		}
		must(s.t, err)
		switch name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); name {
		case "id":
			id = value
		case "data":
			data = value
		case "":
			if data != "" {
				return id, data, true
			}
		default:
			s.t.Fatalf("an unknown line in the stream: %q", line)
		}
	}
}

func (s *sse) close() { s.resp.Body.Close() }

// TestWatchSeesTheEnd: SSE and WatchJob show the state now first, the settled
// final state last, and end.
func TestWatchSeesTheEnd(t *testing.T) {
	for _, c := range ends {
		t.Run(c.state.String(), func(t *testing.T) {
			e := start(t)
			id := e.claimed(3)
			watch, err := e.api.WatchJob(e.as(e.key), &promptforgev1.WatchJobRequest{JobId: string(id)})
			must(t, err)
			first, err := watch.Recv()
			must(t, err)
			events := e.events(id)
			defer events.close()
			firstID, data, _ := events.next()
			if first.GetEventId() != firstID || first.GetSettled() || data != e.rest("GET", "/v1/jobs/"+string(id)+"/status", "").body {
				t.Errorf("first: %v, and %s %s", first, firstID, data)
			}
			c.end(e, id)

			var last *promptforgev1.WatchJobResponse
			for {
				m, err := watch.Recv()
				if errors.Is(err, io.EOF) {
					break
				}
				must(t, err)
				last = m
			}
			if last.GetStatus().GetStatus() != protoStatus(c.state) || !last.GetSettled() {
				t.Errorf("WatchJob's last: %v", last)
			}
			var lastID, lastData string
			for {
				id, data, ok := events.next()
				if !ok {
					break
				}
				lastID, lastData = id, data
			}
			if lastID != last.GetEventId() || lastData != e.rest("GET", "/v1/jobs/"+string(id)+"/status", "").body {
				t.Errorf("the last event: %s %s", lastID, lastData)
			}
			if h := events.resp.Header; h.Get("Content-Type") != "text/event-stream" || h.Get("X-Accel-Buffering") != "no" {
				t.Errorf("headers %v", h)
			}

			again := e.events(id, "Last-Event-ID", lastID)
			defer again.close()
			if again.resp.StatusCode != http.StatusNoContent {
				t.Errorf("with the last event's id: %d", again.resp.StatusCode)
			}
			other := e.events(id, "Last-Event-ID", firstID)
			defer other.close()
			if id, _, ok := other.next(); !ok || id != lastID {
				t.Errorf("with the first event's id: %s %v", id, ok)
			}
		})
	}
}

// TestWatchMerges: changes that come thick become one, of the newest state.
func TestWatchMerges(t *testing.T) {
	e := start(t)
	id := e.claimed(100)
	watch, err := e.api.WatchJob(e.as(e.key), &promptforgev1.WatchJobRequest{JobId: string(id)})
	must(t, err)
	_, err = watch.Recv()
	must(t, err)
	begin := time.Now()
	for line := int64(1); line <= 100; line++ {
		e.record(id, line, line)
	}
	e.finish(id, job.Completed, "")
	messages := 0
	for err == nil {
		_, err = watch.Recv()
		messages++
	}
	if most := 2 + int(time.Since(begin)/watchInterval) + 4; !errors.Is(err, io.EOF) || messages > most {
		t.Errorf("%d messages, then %v", messages, err)
	}
}

func TestCancelWaitsForTheHolder(t *testing.T) {
	e := start(t)
	id := e.claimed(3)
	asked := make(chan error, 1)
	go func() {
		_, err := e.api.CancelJob(e.as(e.key), &promptforgev1.CancelJobRequest{JobId: string(id)})
		asked <- err
	}()
	changed, stop := e.store.Watch(id)
	defer stop()
	for {
		j, err := e.store.Job(e.ctx(), "acme", id)
		must(t, err)
		if j.Status == job.Cancelled {
			break
		}
		<-changed
	}
	select {
	case err := <-asked:
		t.Fatalf("the answer came before the holder stopped: %v", err)
	default:
	}
	must(t, e.store.Acknowledge(e.ctx(), e.leases[id].Term, id))
	must(t, <-asked)
	if r := e.rest("POST", "/v1/jobs/"+string(id)+"/cancel", ""); r.status != http.StatusConflict {
		t.Errorf("again: %d %s", r.status, r.body)
	}
}

func TestUploadPrompts(t *testing.T) {
	e := start(t)
	id := job.ID(e.init().GetJobId())
	for range 2 { // the same bytes again are the same answer
		resp, err := e.upload(id, prompts(5)+"nonsense\n\n")
		must(t, err)
		if resp.GetStatus() != promptforgev1.Job_QUEUED || resp.GetPromptCount() != 6 || resp.GetJobId() != string(id) {
			t.Errorf("%v", resp)
		}
	}
	piece := func(text string) *promptforgev1.UploadPromptsRequest {
		return &promptforgev1.UploadPromptsRequest{Payload: &promptforgev1.UploadPromptsRequest_Data{Data: []byte(text)}}
	}
	named := func(id string) *promptforgev1.UploadPromptsRequest {
		return &promptforgev1.UploadPromptsRequest{Payload: &promptforgev1.UploadPromptsRequest_JobId{JobId: id}}
	}
	waiting := e.init().GetJobId()
	for name, c := range map[string]struct {
		code   codes.Code
		pieces []*promptforgev1.UploadPromptsRequest
	}{
		"nothing":      {codes.InvalidArgument, nil},
		"no job_id":    {codes.InvalidArgument, []*promptforgev1.UploadPromptsRequest{piece(prompts(1))}},
		"two job_ids":  {codes.InvalidArgument, []*promptforgev1.UploadPromptsRequest{named(waiting), piece(prompts(1)), named(waiting)}},
		"an empty one": {codes.InvalidArgument, []*promptforgev1.UploadPromptsRequest{named(waiting), {}}},
		"unknown job":  {codes.NotFound, []*promptforgev1.UploadPromptsRequest{named(string(job.NewID())), piece(prompts(1))}},
	} {
		stream, err := e.api.UploadPrompts(e.as(e.key))
		must(t, err)
		for _, p := range c.pieces {
			_ = stream.Send(p) // a refusal may come first; it is what CloseAndRecv returns
		}
		if _, err := stream.CloseAndRecv(); status.Code(err) != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(e.as(e.key))
	stream, err := e.api.UploadPrompts(ctx)
	must(t, err)
	must(t, stream.Send(named(waiting)))
	must(t, stream.Send(piece(`{"prompt_id":1,`)))
	cancel()
	if _, err := stream.CloseAndRecv(); status.Code(err) != codes.Canceled {
		t.Errorf("cancelled: %v", err)
	}
	if j, err := e.store.Job(e.ctx(), "acme", job.ID(waiting)); err != nil || j.Status != job.AwaitingUpload {
		t.Errorf("after broken uploads the job is %v, %v", j, err)
	}
}

// TestStreamResultsResumes: a stream that is taken up at an offset repeats and
// skips nothing, and ends when the job is settled.
func TestStreamResultsResumes(t *testing.T) {
	e := start(t)
	id := e.claimed(9)
	e.record(id, 1, 4)
	open := func(offset int64) (grpc.ServerStreamingClient[promptforgev1.StreamResultsResponse], context.CancelFunc) {
		ctx, cancel := context.WithCancel(e.as(e.key))
		stream, err := e.api.StreamResults(ctx, &promptforgev1.StreamResultsRequest{JobId: string(id), Offset: offset})
		must(t, err)
		return stream, cancel
	}
	expect := func(stream grpc.ServerStreamingClient[promptforgev1.StreamResultsResponse], first, last int64) {
		t.Helper()
		for line := first; line <= last; line++ {
			m, err := stream.Recv()
			must(t, err)
			o := m.GetOutcome()
			if o.GetOffset() != line || o.GetInt64Id() != line || (o.GetError() != nil) != (line%3 == 0) || (o.GetResult() != nil) != (line%3 != 0) {
				t.Fatalf("outcome %d: %v", line, o)
			}
		}
	}
	stream, cancel := open(0)
	expect(stream, 1, 3)
	cancel()
	stream, cancel = open(3)
	defer cancel()
	expect(stream, 4, 4)
	e.record(id, 5, 7)
	expect(stream, 5, 7)
	e.record(id, 8, 9)
	e.finish(id, job.Completed, "")
	expect(stream, 8, 9)
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end: %v", err)
	}
	for _, c := range []struct {
		offset int64
		code   codes.Code
	}{{9, codes.OK}, {1000, codes.OK}, {-1, codes.InvalidArgument}} {
		stream, cancel := open(c.offset)
		_, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if status.Code(err) != c.code {
			t.Errorf("offset %d: %v", c.offset, err)
		}
		cancel()
	}
}

// TestGracefulStop: streams of running jobs and of health end at once, and
// what does not end by itself is cut at the deadline.
func TestGracefulStop(t *testing.T) {
	t.Run("streams end", func(t *testing.T) {
		e := start(t, func(c *Config) { c.DrainTimeout = time.Minute })
		id := string(e.claimed(3))
		watch, err := e.api.WatchJob(e.as(e.key), &promptforgev1.WatchJobRequest{JobId: id})
		must(t, err)
		_, err = watch.Recv()
		must(t, err)
		events := e.events(job.ID(id))
		defer events.close()
		events.next()
		healthStream, err := grpc_health_v1.NewHealthClient(e.conn).Watch(e.ctx(), &grpc_health_v1.HealthCheckRequest{})
		must(t, err)
		_, err = healthStream.Recv()
		must(t, err)
		begin := time.Now()
		e.stop()
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("the stop took %s", took)
		}
		if _, err = watch.Recv(); status.Code(err) != codes.Unavailable {
			t.Errorf("the watch ended with %v", err)
		}
		if _, _, ok := events.next(); ok {
			t.Error("an event came after the stop")
		}
	})
	t.Run("an upload is cut", func(t *testing.T) {
		e := start(t, func(c *Config) { c.DrainTimeout = 50 * time.Millisecond })
		stream, err := e.api.UploadPrompts(e.as(e.key))
		must(t, err)
		must(t, stream.Send(&promptforgev1.UploadPromptsRequest{Payload: &promptforgev1.UploadPromptsRequest_JobId{JobId: e.init().GetJobId()}}))
		e.stop()
		if _, err := stream.CloseAndRecv(); err == nil {
			t.Error("the upload was not cut")
		}
	})
}

func TestDeadListenerStopsEverything(t *testing.T) {
	e := start(t)
	must(t, e.grpcListener.Close())
	// The stop that follows returns the error of the listener that died.
	served := e.served
	if err := <-served; err == nil || !strings.Contains(err.Error(), "--grpc-addr") {
		t.Errorf("Serve: %v", err)
	}
	served <- nil // for the harness
	if _, err := http.Get(e.url("/healthz")); err == nil {
		t.Error("HTTP is still served")
	}
}

// TestSweep: a job whose upload URL expired unused is cancelled, but not while
// an upload is running.
func TestSweep(t *testing.T) {
	e := start(t)
	idle, busy := e.init().GetJobId(), e.init().GetJobId()
	body, w := io.Pipe()
	renewed, err := e.api.RenewUploadUrl(e.as(e.key), &promptforgev1.RenewUploadUrlRequest{JobId: busy})
	must(t, err)
	done := make(chan reply, 1)
	go func() {
		resp := e.send("PUT", renewed.GetUploadUrl(), body)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Error(err)
		}
		done <- reply{resp.StatusCode, resp.Header, string(b)}
	}()
	_, err = io.WriteString(w, prompts(1))
	must(t, err)
	// More than the sockets hold: when it is written, the server reads, and so
	// has looked at the expiry.
	blank := strings.Repeat(" ", 1023) + "\n"
	_, err = io.WriteString(w, strings.Repeat(blank, 16<<10))
	must(t, err)
	if !e.transfers.Busy(job.ID(busy)) {
		t.Error("a running upload does not hold the sweep off")
	}
	e.clock.Advance(time.Hour)
	e.expireUploads(e.ctx())
	e.promote(e.ctx())
	must(t, w.Close())
	if r := <-done; r.status != http.StatusOK {
		t.Errorf("the running upload: %d %s", r.status, r.body)
	}
	for id, want := range map[string]job.Status{idle: job.Cancelled, busy: job.Queued} {
		if j, err := e.store.Job(e.ctx(), "acme", job.ID(id)); err != nil || j.Status != want {
			t.Errorf("%s: %v, want %s", id, j, want)
		}
	}
}
