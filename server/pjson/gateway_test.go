package pjson_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/server/pjson"
)

// echo is a service whose answers show what reached it.
type echo struct {
	promptforgev1.UnimplementedJobServiceServer
}

func (echo) InitJob(_ context.Context, r *promptforgev1.InitJobRequest) (*promptforgev1.InitJobResponse, error) {
	return &promptforgev1.InitJobResponse{JobId: "provider=" + r.GetProvider()}, nil
}

func (echo) GetJob(_ context.Context, r *promptforgev1.GetJobRequest) (*promptforgev1.GetJobResponse, error) {
	return &promptforgev1.GetJobResponse{Job: &promptforgev1.Job{JobId: r.GetJobId()}}, nil
}

func (echo) ListJobs(_ context.Context, r *promptforgev1.ListJobsRequest) (*promptforgev1.ListJobsResponse, error) {
	return &promptforgev1.ListJobsResponse{NextPageToken: r.GetStatus().String()}, nil
}

func (echo) GetJobResults(_ context.Context, r *promptforgev1.GetJobResultsRequest) (*promptforgev1.GetJobResultsResponse, error) {
	return &promptforgev1.GetJobResultsResponse{JobId: r.GetJobId(), NextPageToken: proto.String("view=" + r.GetView())}, nil
}

// TestThroughTheGateway: the gateway hands bodies and queries over as this
// package expects, and its sentences come out as they went in.
func TestThroughTheGateway(t *testing.T) {
	t.Parallel()
	mux := runtime.NewServeMux(
		runtime.WithMarshalerOption(runtime.MIMEWildcard, pjson.Marshaler{}),
		runtime.SetQueryParameterParser(pjson.QueryParser{}),
		runtime.WithErrorHandler(func(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, status.Convert(err).Message(), runtime.HTTPStatusFromCode(status.Code(err)))
		}),
	)
	if err := promptforgev1.RegisterJobServiceHandlerServer(t.Context(), mux, echo{}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		method, target, body string
		code                 int
		want                 string // how the answer begins
	}{
		{"POST", "/v1/jobs/init", `{"provider":"p"}`, 200, `{"job_id":"provider=p","upload_url":null,"expires_at":null}`},
		{"POST", "/v1/jobs/init", ``, 200, `{"job_id":"provider=","upload_url":null,"expires_at":null}`},
		{"POST", "/v1/jobs/init", `{"rpm":"5"}`, 400, `The field "rpm" must be a whole number, not a string.`},
		{"POST", "/v1/jobs/init", `{} x`, 400, `Nothing may follow the JSON object in the request body.`},
		{"GET", "/v1/jobs/7", ``, 200, `{"job_id":"7","status":"STATUS_UNSPECIFIED",`},
		{"GET", "/v1/jobs?status=QUEUED", ``, 200, `{"jobs":[],"next_page_token":"QUEUED"}`},
		{"GET", "/v1/jobs?pageSize=5", ``, 400, `Unknown parameter "pageSize"; did you mean "page_size"?`},
		{"GET", "/v1/jobs/7/results?view=full", ``, 200, `{"job_id":"7","status":"STATUS_UNSPECIFIED","files":[],"next_page_token":"view=full"}`},
		{"GET", "/v1/jobs/7/results?job_id=8", ``, 400, `The field "job_id" stands in the path and cannot be given in the query.`},
	} {
		request := httptest.NewRequestWithContext(t.Context(), tc.method, tc.target, strings.NewReader(tc.body))
		recorder := httptest.NewRecorder()
		mux.ServeHTTP(recorder, request)
		response := recorder.Result()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != tc.code || !strings.HasPrefix(string(body), tc.want) {
			t.Errorf("%s %s %s: %d %s, want %d %s", tc.method, tc.target, tc.body, response.StatusCode, body, tc.code, tc.want)
		}
	}
}
