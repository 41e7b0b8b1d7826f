package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

// pipes is a listener of connections that hold no byte themselves, and whose
// deadlines a synctest bubble can skip to.
type pipes struct {
	dialled chan net.Conn
	closed  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) dial() net.Conn {
	server, client := net.Pipe()
	p.dialled <- server
	return client
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.dialled:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// httpBubble calls dial's user with an HTTP server of the limits, in a bubble
// where time costs nothing.
func httpBubble(t *testing.T, handler http.HandlerFunc, use func(t *testing.T, dial func() net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		server := newHTTPServer(handler, slog.New(slog.DiscardHandler))
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		use(t, l.dial)
		server.Close()
		<-served
	})
}

// cutAfter reads until the other side ends the connection, and tells when.
func cutAfter(t *testing.T, c net.Conn) (read []byte, after time.Duration) {
	t.Helper()
	begin := time.Now()
	read, err := io.ReadAll(c)
	must(t, err)
	return read, time.Since(begin)
}

func write(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	must(t, err)
}

func ok(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("ok")) }

func TestSlowHeadersAreCut(t *testing.T) {
	httpBubble(t, ok, func(t *testing.T, dial func() net.Conn) {
		c := dial()
		go io.Copy(io.Discard, c)
		begin := time.Now()
		var err error
		for _, b := range []byte("GET / HTTP/1.1\r\nHost: " + strings.Repeat("x", 100)) {
			if _, err = c.Write([]byte{b}); err != nil {
				break
			}
			time.Sleep(time.Second) // the bubble's, which passes at once
		}
		if took := time.Since(begin); err == nil || took > readHeaderTimeout+2*time.Second {
			t.Errorf("a header of a byte a second was cut after %s: %v", took, err)
		}
	})
}

func TestIdleConnectionIsClosed(t *testing.T) {
	httpBubble(t, ok, func(t *testing.T, dial func() net.Conn) {
		c := dial()
		write(t, c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if read, after := cutAfter(t, c); !bytes.HasSuffix(read, []byte("ok")) || after != idleTimeout {
			t.Errorf("%q, closed after %s", read, after)
		}
	})
}

// TestBodyThatNeverComes: neither a handler that reads nor one that has refused
// is kept busy by a body.
func TestBodyThatNeverComes(t *testing.T) {
	refuse := func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusUnauthorized) }
	read := func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.ReadAll(r.Body); err == nil {
			t.Error("the body came")
		}
		ok(w, r)
	}
	for name, handler := range map[string]http.HandlerFunc{"refused": refuse, "read": read} {
		for _, length := range []string{"Content-Length: 100", "Transfer-Encoding: chunked"} {
			t.Run(name+" "+length, func(t *testing.T) {
				httpBubble(t, handler, func(t *testing.T, dial func() net.Conn) {
					c := dial()
					write(t, c, "POST / HTTP/1.1\r\nHost: x\r\n"+length+"\r\n\r\n1")
					if _, after := cutAfter(t, c); after < bodyTimeout || after > bodyTimeout+time.Second {
						t.Errorf("closed after %s", after)
					}
				})
			})
		}
	}
}

// TestAnswerThatNobodyTakes: a caller that reads nothing keeps no handler.
func TestAnswerThatNobodyTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Time, 1)
		l := newPipes()
		server := newHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					break
				}
			}
			ended <- time.Now()
		}), slog.New(slog.DiscardHandler))
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		begin := time.Now()
		write(t, l.dial(), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if after := (<-ended).Sub(begin); after != answerTimeout {
			t.Errorf("the handler ended after %s", after)
		}
		server.Close()
		<-served
	})
}

// TestSlowEventReader: a stream of events outlives the limit of an answer, and
// ends a minute after its reader took the last.
func TestSlowEventReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan time.Time, 1)
		l := newPipes()
		stream, id := eventsOf(t, &job.Job{Status: job.Processing})
		server := newHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			stream.serve(w, r, map[string]string{"job_id": id})
			ended <- time.Now()
		}), slog.New(slog.DiscardHandler))
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		c := l.dial()
		write(t, c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		in := bufio.NewReader(c)
		begin := time.Now()
		comments := 0
		for time.Since(begin) < 5*answerTimeout {
			line, err := in.ReadString('\n')
			must(t, err)
			if strings.HasPrefix(line, ": ") {
				comments++
			}
		}
		if want := int(5 * answerTimeout / eventsComment); comments < want-1 || comments > want {
			t.Errorf("%d comments came in %s, want %d", comments, 5*answerTimeout, want)
		}
		stopped := time.Now()
		if after := (<-ended).Sub(stopped); after < eventsWriteTimeout || after > eventsWriteTimeout+eventsComment {
			t.Errorf("the stream ended %s after the reader stopped", after)
		}
		server.Close()
		<-served
	})
}

// oneJob is a store with one job, which is as the test last set it.
type oneJob struct {
	storage.Store
	job     atomic.Pointer[job.Job]
	changed chan struct{}
}

func (o *oneJob) Job(context.Context, string, job.ID) (*job.Job, error) { return o.job.Load(), nil }

func (o *oneJob) Watch(job.ID) (<-chan struct{}, func()) { return o.changed, func() {} }

// eventsOf is the stream of events of a job, for whoever asks.
func eventsOf(t *testing.T, j *job.Job) (*events, string) {
	store := &oneJob{changed: make(chan struct{}, 1)}
	j.ID = job.NewID()
	store.job.Store(j)
	return &events{
		jobs: &service{store: store, watched: newWatchStates(), stopping: t.Context()},
		chain: func(_ any, call grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			return next(nil, callOf{ctx: withClient(call.Context(), "acme")})
		},
	}, string(j.ID)
}

// TestHostileJSON: neither depth nor size of a body gets anywhere.
func TestHostileJSON(t *testing.T) {
	e := start(t)
	half := maxJSONBody / 2
	for name, body := range map[string]string{
		"arrays":            strings.Repeat("[", half),
		"objects":           strings.Repeat(`{"a":`, half/5),
		"arrays in a value": `{"metadata":{"a":` + strings.Repeat("[", half) + `}}`,
		"objects in a null": `{"rpm":` + strings.Repeat(`{"a":`, half/5) + `}`,
		"too much":          `{"model":"` + strings.Repeat("m", maxJSONBody) + `"}`,
		"white space":       strings.Repeat(" ", maxJSONBody) + initBody,
	} {
		if r := e.rest("POST", "/v1/jobs/init", body); r.status != http.StatusBadRequest || len(r.body) > 1<<10 {
			t.Errorf("%s: %d %.200s", name, r.status, r.body)
		}
	}
}

// TestSilentUploadIsCut: an upload over gRPC may be slow, but not dead.
func TestSilentUploadIsCut(t *testing.T) {
	e := start(t)
	e.transfers.IdleTimeout = 50 * time.Millisecond
	id := e.init().GetJobId()
	stream, err := e.api.UploadPrompts(e.as(e.key))
	must(t, err)
	must(t, stream.Send(&promptforgev1.UploadPromptsRequest{Payload: &promptforgev1.UploadPromptsRequest_JobId{JobId: id}}))
	must(t, stream.Send(&promptforgev1.UploadPromptsRequest{Payload: &promptforgev1.UploadPromptsRequest_Data{Data: []byte(prompts(1))}}))
	err = stream.RecvMsg(&promptforgev1.UploadPromptsResponse{})
	checkGRPC(t, problem.BadRequest, err)
	if j, err := e.store.Job(e.ctx(), "acme", job.ID(id)); err != nil || j.Status != job.AwaitingUpload {
		t.Errorf("the job is %v, %v", j, err)
	}
}

func TestHeaderSize(t *testing.T) {
	e := start(t)
	if r := e.rest("GET", "/healthz", "", "X-Filler", strings.Repeat("x", maxHeaderBytes/2)); r.status != http.StatusOK {
		t.Errorf("half of what a header may have: %d", r.status)
	}
	if r := e.rest("GET", "/healthz", "", "X-Filler", strings.Repeat("x", maxHeaderBytes+8<<10)); r.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("more than a header may have: %d", r.status)
	}
	health := grpc_health_v1.NewHealthClient(e.conn)
	if _, err := health.Check(e.as("", "filler", strings.Repeat("x", maxHeaderBytes/2)), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Errorf("gRPC: half of what a header may have: %v", err)
	}
	if _, err := health.Check(e.as("", "filler", strings.Repeat("x", maxHeaderBytes)), &grpc_health_v1.HealthCheckRequest{}); err == nil {
		t.Error("gRPC: more than a header may have is taken")
	}
}

// TestMessageSize: grpc-go refuses what is too large, or no message, before it
// calls anything of ours; the call is over, and the connection goes on.
func TestMessageSize(t *testing.T) {
	e := start(t)
	err := e.initJob(&promptforgev1.InitJobRequest{Provider: strings.Repeat("x", maxMessageBytes)})
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message over the limit: %v", err)
	}
	e.init()
}

// TestUndecodableMessage: it is refused as anything else is, after the key.
func TestUndecodableMessage(t *testing.T) {
	e := start(t)
	call := func(key, method string) error {
		return e.conn.Invoke(e.as(key), method, []byte{0xff}, new([]byte), grpc.ForceCodec(rawCodec{}))
	}
	stream := func(key, method string) error {
		s, err := e.conn.NewStream(e.as(key), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method, grpc.ForceCodec(rawCodec{}))
		must(t, err)
		// io.EOF: the call was refused already; why, the answer says.
		if err := s.SendMsg([]byte{0xff}); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		}
		must(t, s.CloseSend())
		return s.RecvMsg(new([]byte))
	}
	for method, ask := range map[string]func(key, method string) error{
		promptforgev1.JobService_InitJob_FullMethodName:       call,
		promptforgev1.JobService_ListJobs_FullMethodName:      call,
		promptforgev1.JobService_WatchJob_FullMethodName:      stream,
		promptforgev1.JobService_StreamResults_FullMethodName: stream,
		promptforgev1.JobService_UploadPrompts_FullMethodName: stream,
	} {
		t.Run(method, func(t *testing.T) {
			checkGRPC(t, problem.BadRequest, ask(e.key, method))
			checkGRPC(t, problem.Unauthenticated, ask("", method))
		})
	}
	checkGRPC(t, problem.BadRequest, call("", grpc_health_v1.Health_Check_FullMethodName))
	e.init()
}

// rawCodec sends bytes as they are.
type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error)   { return v.([]byte), nil }
func (rawCodec) Unmarshal(b []byte, v any) error { *v.(*[]byte) = b; return nil }
func (rawCodec) Name() string                    { return "proto" }

// frame is a frame of HTTP/2 as RFC 9113 writes it.
type frame struct {
	kind, flags byte
	payload     []byte
}

const (
	frameSettings = 4
	framePing     = 6
	frameGoAway   = 7
)

func (f frame) bytes() []byte {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(f.payload))<<8|uint32(f.kind)) //nolint:gosec // a few bytes
	return append(append(head, f.flags, 0, 0, 0, 0), f.payload...)
}

func readFrame(r io.Reader) (frame, error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	f := frame{kind: head[3], flags: head[4], payload: make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))}
	_, err := io.ReadFull(r, f.payload)
	return f, err
}

const clientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// TestGRPCSettings: what the server tells a connection of its limits, and that
// a caller who pings too often is sent away.
func TestGRPCSettings(t *testing.T) {
	e := start(t)
	c, err := net.Dial("tcp", e.GRPCAddr())
	must(t, err)
	defer c.Close()
	write(t, c, clientPreface+string(frame{kind: frameSettings}.bytes()))
	settings := map[uint16]uint32{}
	f, err := readFrame(c)
	must(t, err)
	if f.kind != frameSettings {
		t.Fatalf("the first frame is of kind %d", f.kind)
	}
	for b := f.payload; len(b) >= 6; b = b[6:] {
		settings[binary.BigEndian.Uint16(b)] = binary.BigEndian.Uint32(b[2:])
	}
	if settings[3] != maxStreams || settings[6] != maxHeaderBytes {
		t.Errorf("settings %v", settings)
	}
	for range 5 {
		write(t, c, string(frame{kind: framePing, payload: make([]byte, 8)}.bytes()))
	}
	for {
		f, err := readFrame(c)
		if err != nil {
			t.Fatalf("no GOAWAY came: %v", err)
		}
		if f.kind == frameGoAway {
			if !bytes.Contains(f.payload, []byte("too_many_pings")) {
				t.Errorf("GOAWAY %q", f.payload)
			}
			return
		}
	}
}

// TestMaxStreams: the call over the limit waits for another to end, and REST
// does not share the limit.
func TestMaxStreams(t *testing.T) {
	e := start(t)
	health := grpc_health_v1.NewHealthClient(e.conn)
	var cancels []context.CancelFunc
	defer func() {
		for _, cancel := range cancels {
			cancel()
		}
	}()
	for range maxStreams {
		ctx, cancel := context.WithCancel(e.ctx())
		cancels = append(cancels, cancel)
		watch, err := health.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
		must(t, err)
		_, err = watch.Recv()
		must(t, err)
	}
	over := make(chan error, 1)
	go func() {
		_, err := health.Check(e.ctx(), &grpc_health_v1.HealthCheckRequest{})
		over <- err
	}()
	if r := e.rest("POST", "/v1/jobs/init", initBody); r.status != http.StatusAccepted {
		t.Errorf("REST: %d %s", r.status, r.body)
	}
	select {
	case err := <-over:
		t.Errorf("a call over the limit did not wait: %v", err)
	default:
	}
	cancels[0]()
	must(t, <-over)
}

// grpcBubble serves the limits of the port in a bubble, with the health service
// alone.
func grpcBubble(t *testing.T, use func(t *testing.T, dial func() net.Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		server := grpc.NewServer(grpcLimits()...)
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		use(t, l.dial)
		server.Stop()
		<-served
	})
}

func TestSilentGRPCConnectionsAreCut(t *testing.T) {
	t.Run("before HTTP/2 begins", func(t *testing.T) {
		grpcBubble(t, func(t *testing.T, dial func() net.Conn) {
			c := dial()
			go c.Write([]byte(clientPreface[:10]))
			if _, after := cutAfter(t, c); after > readHeaderTimeout {
				t.Errorf("cut after %s", after)
			}
		})
	})
	t.Run("in the middle of a frame", func(t *testing.T) {
		grpcBubble(t, func(t *testing.T, dial func() net.Conn) {
			c := dial()
			go c.Write([]byte(clientPreface + string(frame{kind: frameSettings}.bytes()) + "\x00\x00\x05\x01"))
			if _, after := cutAfter(t, c); after > pingAfter+pingTimeout+time.Second {
				t.Errorf("cut after %s", after)
			}
		})
	})
	t.Run("without a call", func(t *testing.T) {
		grpcBubble(t, func(t *testing.T, dial func() net.Conn) {
			c := dial()
			begin := time.Now()
			go c.Write([]byte(clientPreface + string(frame{kind: frameSettings}.bytes())))
			for {
				f, err := readFrame(c)
				if err != nil {
					break
				}
				if f.kind == framePing && f.flags == 0 { // it lives
					_, _ = c.Write(frame{kind: framePing, flags: 1, payload: f.payload}.bytes()) // it may be closed by now
				}
			}
			if took := time.Since(begin); took < maxConnectionIdle || took > maxConnectionIdle+2*pingAfter {
				t.Errorf("closed after %s", took)
			}
		})
	})
}

// TestAgeEndsNoCall: an old connection takes no new calls, and keeps those that
// it has.
func TestAgeEndsNoCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipes()
		server := grpc.NewServer(grpcLimits()...)
		streams := make(chan grpc.ServerStream)
		released := make(chan struct{})
		server.RegisterService(&grpc.ServiceDesc{ServiceName: "t", Streams: []grpc.StreamDesc{{
			StreamName: "S", ServerStreams: true, ClientStreams: true,
			Handler: func(_ any, s grpc.ServerStream) error {
				streams <- s
				<-released
				return nil
			},
		}}}, nil)
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		conn, err := grpc.NewClient("passthrough:///t", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDisableServiceConfig(),
			grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return l.dial(), nil }))
		must(t, err)
		open, err := conn.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/t/S")
		must(t, err)
		stream := <-streams
		time.Sleep(10 * maxConnectionAge)
		must(t, stream.SendMsg(&promptforgev1.Outcome{Offset: 7}))
		got := &promptforgev1.Outcome{}
		must(t, open.RecvMsg(got))
		if got.GetOffset() != 7 {
			t.Errorf("got %v", got)
		}
		close(released)
		if err := open.RecvMsg(got); !errors.Is(err, io.EOF) {
			t.Errorf("the call ended with %v", err)
		}
		conn.Close()
		server.Stop()
		<-served
	})
}

// TestLargeOutcome: an outcome of more than 16 MiB passes to a client that takes
// it, and one with gRPC's own limit is told what is wrong.
func TestLargeOutcome(t *testing.T) {
	e := start(t)
	id := e.claimed(2)
	text := strings.Repeat("x", 17<<20)
	first := job.Result{PromptID: job.IntID(1), Text: text, Model: "m", FinishReason: "stop", Attempts: 1}
	out, err := e.store.Record(e.ctx(), []storage.Record{{ID: id, SentThrough: 2, Requests: 2, Outcomes: []*job.Outcome{
		{Line: 1, Public: first.AppendJSON(nil), Response: []byte(`{}`), HTTPStatus: 200}, outcome(2),
	}}})
	must(t, err)
	must(t, out[0].Err)
	e.finish(id, job.Completed, "")
	req := &promptforgev1.StreamResultsRequest{JobId: string(id)}
	stream, err := e.api.StreamResults(e.as(e.key), req, grpc.MaxCallRecvMsgSize(maxOutcomeBytes))
	must(t, err)
	m, err := stream.Recv()
	must(t, err)
	if m.GetOutcome().GetResult().GetResult() != text {
		t.Error("the text came back as another")
	}
	if m, err = stream.Recv(); err != nil || m.GetOutcome().GetOffset() != 2 {
		t.Errorf("the outcome after it: %v, %v", m, err)
	}
	stream, err = e.api.StreamResults(e.as(e.key), req)
	must(t, err)
	if _, err = stream.Recv(); status.Code(err) != codes.ResourceExhausted || !strings.Contains(err.Error(), "larger than max") {
		t.Errorf("with gRPC's own limit: %v", err)
	}
	req.Offset = 1
	stream, err = e.api.StreamResults(e.as(e.key), req)
	must(t, err)
	if m, err = stream.Recv(); err != nil || m.GetOutcome().GetOffset() != 2 {
		t.Errorf("passing over it: %v, %v", m, err)
	}
}

// at is a listener that only has an address.
type at struct {
	net.Listener
	addr net.Addr
}

func (a at) Addr() net.Addr { return a.addr }

// TestPlainAddressIsWarnedOf: without TLS, and to other machines, alone.
func TestPlainAddressIsWarnedOf(t *testing.T) {
	for _, c := range []struct {
		addr string
		tls  bool
		want int
	}{{"127.0.0.1", false, 0}, {"127.8.9.1", false, 0}, {"::1", false, 0}, {"::", false, 2}, {"0.0.0.0", false, 2}, {"192.0.2.1", false, 2}, {"0.0.0.0", true, 0}} {
		t.Run(fmt.Sprintf("%s %v", c.addr, c.tls), func(t *testing.T) {
			var log bytes.Buffer
			port := at{addr: &net.TCPAddr{IP: net.ParseIP(c.addr), Port: 80}}
			s := &Server{cfg: Config{Log: slog.New(slog.NewTextHandler(&log, nil))}, httpListener: port, grpcListener: port}
			if c.tls {
				s.cfg.TLSCert = "cert.pem"
			}
			s.warnPlain()
			if got := strings.Count(log.String(), "level=WARN"); got != c.want {
				t.Errorf("%d warnings, want %d:\n%s", got, c.want, log.String())
			}
		})
	}
}
