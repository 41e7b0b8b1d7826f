package client

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
)

// script is a service that answers each WatchJob and StreamResults by the next
// of its steps, the last one over and over.
type script struct {
	promptforgev1.JobServiceClient
	steps []step
	calls []time.Time
	asked []int64 // the offsets of StreamResults
}

type step struct {
	open     error // the stream cannot be opened
	outcomes []int64
	stands   time.Duration // before it ends
	err      error         // io.EOF: it ends well
}

func (s *script) next() step {
	st := s.steps[min(len(s.calls), len(s.steps)-1)]
	s.calls = append(s.calls, time.Now())
	return st
}

func (s *script) StreamResults(_ context.Context, req *promptforgev1.StreamResultsRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[promptforgev1.StreamResultsResponse], error) {
	s.asked = append(s.asked, req.GetOffset())
	st := s.next()
	return &scriptStream{step: st}, st.open
}

type scriptStream struct {
	grpc.ServerStreamingClient[promptforgev1.StreamResultsResponse]
	step
}

func (s *scriptStream) Recv() (*promptforgev1.StreamResultsResponse, error) {
	if len(s.outcomes) > 0 {
		offset := s.outcomes[0]
		s.outcomes = s.outcomes[1:]
		return &promptforgev1.StreamResultsResponse{Outcome: &promptforgev1.Outcome{Offset: offset}}, nil
	}
	time.Sleep(s.stands) // in synctest's time
	return nil, s.err
}

var (
	away     = status.Error(codes.Unavailable, "error reading from server: EOF")
	awayFor7 = withDetails(codes.Unavailable, &errdetails.RetryInfo{RetryDelay: durationpb.New(7 * time.Second)})
)

func withDetails(code codes.Code, retry *errdetails.RetryInfo) error {
	st, err := status.New(code, "The store cannot answer now.").WithDetails(
		&errdetails.ErrorInfo{Domain: reasonDomain, Reason: ReasonUnavailable}, retry)
	if err != nil {
		panic(err)
	}
	return st.Err()
}

// follow ranges over Results with a backoff of 1, 2, 3 … seconds, and returns
// how many outcomes came and how it ended.
func (s *script) follow(ctx context.Context, patience time.Duration) (n int, err error) {
	c := &Client{jobs: s, patience: patience, backoff: func(attempt int) time.Duration {
		return time.Duration(attempt+1) * time.Second
	}}
	var outcome *promptforgev1.Outcome
	for outcome, err = range c.Results(ctx, "job", 0) {
		if outcome != nil {
			n++
		}
	}
	return n, err
}

func (s *script) gaps() (gaps []time.Duration) {
	for i := 1; i < len(s.calls); i++ {
		gaps = append(gaps, s.calls[i].Sub(s.calls[i-1]))
	}
	return gaps
}

func TestRetryWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []step{
			{open: away},
			{err: away},
			{err: awayFor7},
			{outcomes: []int64{1, 2}, err: away}, // begins anew
			{err: status.Error(codes.Internal, "stream terminated by RST_STREAM with error code: INTERNAL_ERROR")},
			{outcomes: []int64{3}, err: io.EOF},
		}}
		n, err := s.follow(t.Context(), time.Hour)
		if n != 3 || err != nil {
			t.Errorf("%d outcomes, then %v", n, err)
		}
		want := []time.Duration{1, 2, 3 + 7, 1, 2}
		for i, gap := range s.gaps() {
			if gap != want[i]*time.Second {
				t.Errorf("wait %d was %v, want %v s", i, gap, want[i])
			}
		}
		if got := s.asked[len(s.asked)-1]; got != 2 {
			t.Errorf("it went on behind %d", got)
		}
	})
}

func TestPatienceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{steps: []step{{open: away}}}
		_, err := s.follow(t.Context(), 10*time.Second)
		// 1 + 2 + 3 + 4 s of waiting; another 5 would be too much.
		if status.Code(err) != codes.Unavailable || len(s.calls) != 5 || s.calls[4].Sub(s.calls[0]) != 10*time.Second {
			t.Errorf("%d calls at %v, then %v", len(s.calls), s.gaps(), err)
		}
		s = &script{steps: []step{{open: away}}}
		if _, err = s.follow(t.Context(), 0); !errors.Is(err, away) || len(s.calls) != 1 {
			t.Errorf("without patience: %d calls, then %v", len(s.calls), err)
		}
	})
}

// Some proxies end a stream that was quiet for a minute, for as long as a job is
// quiet: that uses up no patience.
func TestQuietStreamIsSound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{}
		for range 100 {
			s.steps = append(s.steps, step{stands: time.Minute, err: away})
		}
		s.steps = append(s.steps, step{outcomes: []int64{1}, err: io.EOF})
		if n, err := s.follow(t.Context(), 10*time.Second); n != 1 || err != nil {
			t.Errorf("%d outcomes, then %v", n, err)
		}
	})
}

func TestNoRepeatAndNoGap(t *testing.T) {
	for _, outcomes := range [][]int64{{1, 3}, {1, 1}, {0}} {
		s := &script{steps: []step{{outcomes: outcomes, err: io.EOF}}}
		if n, err := s.follow(t.Context(), time.Hour); err == nil || n != len(outcomes)-1 {
			t.Errorf("%v passed: %d, %v", outcomes, n, err)
		}
	}
}

func TestContextEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		s := &script{steps: []step{{open: away}}}
		begin := time.Now()
		if _, err := s.follow(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 90*time.Second {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
	})
}

func TestLost(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{away, true},
		{awayFor7, true},
		{status.Error(codes.Unavailable, "connection error: desc = \"transport: authentication handshake failed: EOF\""), true},
		{status.Error(codes.Unavailable, "connection error: desc = \"transport: authentication handshake failed: tls: failed to verify certificate\""), false},
		{status.Error(codes.Canceled, "stream terminated by RST_STREAM with error code: CANCEL"), true},
		{status.Error(codes.Canceled, "grpc: the client connection is closing"), false},
		{status.Error(codes.Internal, "grpc: error while marshaling: string field contains invalid UTF-8"), false},
		{status.Error(codes.ResourceExhausted, "grpc: received message larger than max"), false},
		{withDetails(codes.ResourceExhausted, &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)}), false},
		{errors.New("of no service"), false},
	} {
		if got := lost(tc.err); got != tc.want {
			t.Errorf("lost(%v) is %v", tc.err, got)
		}
	}
}

func TestDefaultBackoff(t *testing.T) {
	for attempt := range 100 {
		limit := min(maxBackoff, firstBackoff<<min(attempt, 10))
		if d := defaultBackoff(attempt); d < limit/2 || d > limit {
			t.Errorf("attempt %d waits %v", attempt, d)
		}
	}
}

func TestIsLocal(t *testing.T) {
	for target, want := range map[string]bool{
		"localhost:9090": true, "LOCALHOST": true, "127.0.0.1:9090": true, "127.9.9.9": true, "[::1]:9090": true, "::1": true,
		":9090": true, "[::ffff:127.0.0.1]:1": true, "dns:///localhost:9090": true, "dns:127.0.0.1:1": true,
		"passthrough:///127.0.0.1:1": true, "unix:///run/promptforge.sock": true, "unix-abstract:x": true,
		"example.com:9090": false, "localhost.example.com:9090": false, "10.0.0.1:9090": false, "0.0.0.0:1": false,
		"dns://evil.example/localhost:9090": false, "xds:///localhost": false, "127.0.0.1.example.com:1": false,
		"dns:///example.com": false, "": false, "localhost:1,evil.example:1": false,
	} {
		if got := isLocal(target); got != want {
			t.Errorf("isLocal(%q) is %v", target, got)
		}
	}
}

func TestReasonOfNothing(t *testing.T) {
	for _, err := range []error{nil, context.Canceled, away} {
		if got := Reason(err); got != "" || RetryDelay(err) != 0 {
			t.Errorf("Reason(%v) is %q", err, got)
		}
	}
	wrapped := &RunError{JobID: "job", Err: awayFor7}
	if Reason(wrapped) != ReasonUnavailable || RetryDelay(wrapped) != 7*time.Second {
		t.Errorf("%v is not seen through", wrapped)
	}
}
