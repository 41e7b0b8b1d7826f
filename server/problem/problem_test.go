package problem_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

// kinds is the contract's table, once more and by hand.
var kinds = []struct {
	kind   problem.Kind
	http   int
	code   codes.Code
	reason string
	retry  bool
}{
	{problem.BadRequest, 400, codes.InvalidArgument, "INVALID_ARGUMENT", false},
	{problem.Unauthenticated, 401, codes.Unauthenticated, "UNAUTHENTICATED", false},
	{problem.Forbidden, 403, codes.PermissionDenied, "PERMISSION_DENIED", false},
	{problem.NotFound, 404, codes.NotFound, "NOT_FOUND", false},
	{problem.MethodNotAllowed, 405, codes.Unimplemented, "METHOD_NOT_ALLOWED", false},
	{problem.JobState, 409, codes.FailedPrecondition, "JOB_STATE", false},
	{problem.IdempotencyKeyReused, 409, codes.FailedPrecondition, "IDEMPOTENCY_KEY_REUSED", false},
	{problem.UploadTooLarge, 413, codes.ResourceExhausted, "UPLOAD_TOO_LARGE", false},
	{problem.RangeNotSatisfiable, 416, codes.OutOfRange, "RANGE_NOT_SATISFIABLE", false},
	{problem.ProviderNotOffered, 422, codes.InvalidArgument, "PROVIDER_NOT_OFFERED", false},
	{problem.ModelNotOffered, 422, codes.InvalidArgument, "MODEL_NOT_OFFERED", false},
	{problem.QuotaExceeded, 429, codes.ResourceExhausted, "QUOTA_EXCEEDED", true},
	{problem.Internal, 500, codes.Internal, "INTERNAL", false},
	{problem.Unavailable, 503, codes.Unavailable, "UNAVAILABLE", true},
}

const sentence = `A "sentence" with <markup>, a line` + "\n" + `break and é.`

func TestEveryKindOverGRPC(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.reason, func(t *testing.T) {
			cause := errors.New("secret inside")
			p := problem.New(k.kind, sentence).Because(cause)
			p.RetryAfter, p.Allow = 7*time.Second, "GET, PUT"
			if !errors.Is(p, cause) || p.Error() != sentence {
				t.Error("the cause or the sentence is lost")
			}
			st := p.GRPCStatus()
			if st.Code() != k.code || st.Message() != sentence {
				t.Errorf("status %v %q", st.Code(), st.Message())
			}
			info, retry := details(st)
			if info.GetDomain() != "promptforge" || info.GetReason() != k.reason {
				t.Errorf("ErrorInfo is %v", info)
			}
			if (retry != nil) != k.retry || (k.retry && retry.GetRetryDelay().AsDuration() != 7*time.Second) {
				t.Errorf("RetryInfo is %v", retry)
			}
			back := problem.From(st.Err())
			if back.Kind != k.kind || back.Allow != p.Allow {
				t.Errorf("came back as %+v", back)
			}
			if back.Kind == problem.Internal && back.Detail == sentence {
				t.Error("an Internal tells what was inside")
			}
			if back.Kind != problem.Internal && back.Detail != sentence {
				t.Errorf("the sentence came back as %q", back.Detail)
			}
			if wantRetry := map[bool]time.Duration{true: 7 * time.Second}[k.retry]; back.RetryAfter != wantRetry {
				t.Errorf("RetryAfter came back as %v", back.RetryAfter)
			}
		})
	}
}

func details(st *status.Status) (info *errdetails.ErrorInfo, retry *errdetails.RetryInfo) {
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *errdetails.RetryInfo:
			retry = d
		}
	}
	return info, retry
}

func TestEveryKindOverHTTP(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.reason, func(t *testing.T) {
			w := httptest.NewRecorder()
			problem.Write(w, problem.New(k.kind, sentence).Because(errors.New("secret inside")))
			resp := w.Result()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != k.http || resp.StatusCode != k.kind.HTTPStatus() {
				t.Errorf("status %d, want %d", resp.StatusCode, k.http)
			}
			if want := `{"detail":"A \"sentence\" with <markup>, a line\nbreak and é."}`; string(body) != want {
				t.Errorf("body %s, want %s", body, want)
			}
			want := http.Header{
				"Content-Type":           {"application/json"},
				"X-Content-Type-Options": {"nosniff"},
				"Cache-Control":          {"no-store"},
				"Content-Length":         {fmt.Sprint(len(body))},
			}
			if k.retry {
				want.Set("Retry-After", "1")
			}
			if fmt.Sprint(resp.Header) != fmt.Sprint(want) {
				t.Errorf("header %v, want %v", resp.Header, want)
			}
		})
	}
}

func TestAllowAndRetryAfterAreWritten(t *testing.T) {
	w := httptest.NewRecorder()
	problem.Write(w, &problem.Problem{Kind: problem.MethodNotAllowed, Detail: "No.", Allow: "GET, HEAD"})
	if got := w.Header().Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow is %q", got)
	}
	w = httptest.NewRecorder()
	problem.Write(w, &problem.Problem{Kind: problem.QuotaExceeded, Detail: "No.", RetryAfter: 90 * time.Second})
	if got := w.Header().Get("Retry-After"); got != "90" {
		t.Errorf("Retry-After is %q", got)
	}
}

func TestFrom(t *testing.T) {
	mine := problem.New(problem.Forbidden, "No.")
	for name, c := range map[string]struct {
		err  error
		kind problem.Kind
	}{
		"a problem, wrapped":        {fmt.Errorf("while x: %w", mine), problem.Forbidden},
		"a state":                   {&storage.StateError{Job: &job.Job{Status: job.Queued}}, problem.JobState},
		"nothing there":             {fmt.Errorf("job: %w", storage.ErrNotFound), problem.NotFound},
		"idempotency":               {storage.ErrIdempotencyKeyReused, problem.IdempotencyKeyReused},
		"another provider":          {storage.ErrProviderDiffers, problem.BadRequest},
		"a closed store":            {storage.ErrClosed, problem.Unavailable},
		"a caller that went":        {context.Canceled, problem.Unavailable},
		"a deadline":                {fmt.Errorf("x: %w", context.DeadlineExceeded), problem.Unavailable},
		"a status of grpc's own":    {status.Error(codes.Unimplemented, "unknown method"), problem.MethodNotAllowed},
		"a message that is too big": {status.Error(codes.ResourceExhausted, "too big"), problem.UploadTooLarge},
		"a panic":                   {status.Error(codes.Unknown, "secret"), problem.Internal},
		"anything":                  {errors.New("secret"), problem.Internal},
	} {
		p := problem.From(c.err)
		if p.Kind != c.kind {
			t.Errorf("%s: %s, want %s", name, p.Kind.Reason(), c.kind.Reason())
		}
		if p.Detail == "" || p.Detail == "secret" {
			t.Errorf("%s: the sentence is %q", name, p.Detail)
		}
	}
}
