package pjson_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/server/pjson"
)

const jobID = "3f7a1c2e-4b5d-6e7f-8a9b-0c1d2e3f4a5b"

func TestMarshal(t *testing.T) {
	t.Parallel()
	created := time.Date(2024, 1, 15, 10, 15, 0, 999_999_999, time.UTC)
	for name, tc := range map[string]struct {
		message proto.Message
		want    string
	}{
		"the status of the reference page": {
			&promptforgev1.GetJobStatusResponse{
				JobId:               jobID,
				Status:              promptforgev1.Job_PROCESSING,
				Provider:            "openai",
				Model:               "gpt-4o-mini",
				PromptCount:         proto.Int32(500),
				CompletedCount:      proto.Int32(213),
				FailedCount:         proto.Int32(2),
				CreatedAt:           timestamppb.New(created),
				StartedProcessingAt: timestamppb.New(created.Add(30 * time.Second)),
			},
			`{"job_id":"` + jobID + `","status":"PROCESSING","provider":"openai","model":"gpt-4o-mini",` +
				`"prompt_count":500,"completed_count":213,"failed_count":2,"created_at":"2024-01-15T10:15:00Z",` +
				`"started_processing_at":"2024-01-15T10:15:30Z","completed_at":null}`,
		},
		"null before the file is parsed, and 0 is not null": {
			&promptforgev1.GetJobStatusResponse{Status: promptforgev1.Job_AWAITING_UPLOAD, FailedCount: proto.Int32(0)},
			`{"job_id":"","status":"AWAITING_UPLOAD","provider":"","model":"","prompt_count":null,"completed_count":null,` +
				`"failed_count":0,"created_at":null,"started_processing_at":null,"completed_at":null}`,
		},
		"an init response that needs no upload": {
			&promptforgev1.InitJobResponse{JobId: jobID},
			`{"job_id":"` + jobID + `","upload_url":null,"expires_at":null}`,
		},
		"the whole job, in the contract's order": {
			&promptforgev1.Job{
				MaxRetries: 3, TokensUsed: math.MaxInt64, Rpm: proto.Int64(60),
				Metadata: map[string]string{"b": "2", "a": "<1>\n"},
			},
			`{"job_id":"","status":"STATUS_UNSPECIFIED","provider":"","model":"","prompt_count":null,` +
				`"completed_count":null,"failed_count":null,"created_at":null,"started_processing_at":null,` +
				`"completed_at":null,"failure_reason":null,"hold_reason":null,"held_since":null,"held_until":null,` +
				`"settled_at":null,"max_retries":3,"rpm":60,"tpm":null,"prompt_tokens":0,"completion_tokens":0,` +
				`"tokens_used":9223372036854775807,"requests_sent":0,"possibly_repaid":0,"current_rpm":null,` +
				`"learned_rpm":null,"learned_tpm":null,"learned_concurrency":null,"bound_by":null,` +
				`"estimated_completion_at":null,"estimated_completion_earliest":null,"estimated_completion_latest":null,"continue_from":null,"metadata":{"a":"<1>\n","b":"2"},"webhook_url":null,"webhook_state":null,"webhook_attempts":0,"webhook_error":null}`,
		},
		"the results, without a token on the last page": {
			&promptforgev1.GetJobResultsResponse{
				JobId: jobID, Status: promptforgev1.Job_COMPLETED,
				Files: []*promptforgev1.GetJobResultsResponse_File{
					{Filename: "errors.jsonl", Url: "https://x/?a=1&b=2", ExpiresAt: timestamppb.New(created)},
				},
			},
			`{"job_id":"` + jobID + `","status":"COMPLETED","files":[` +
				`{"filename":"errors.jsonl","url":"https://x/?a=1&b=2","expires_at":"2024-01-15T10:15:00Z"}]}`,
		},
		"the results, with a token on the others": {
			&promptforgev1.GetJobResultsResponse{NextPageToken: proto.String("t")},
			`{"job_id":"","status":"STATUS_UNSPECIFIED","files":[],"next_page_token":"t"}`,
		},
		"an empty list of jobs": {
			&promptforgev1.ListJobsResponse{}, `{"jobs":[],"next_page_token":""}`,
		},
		"the set member of a oneof alone": {
			&promptforgev1.UploadPromptsRequest{Payload: &promptforgev1.UploadPromptsRequest_Data{Data: []byte{0xff}}},
			`{"data":"/w=="}`,
		},
		"a state that is newer than this program": {
			&promptforgev1.CancelJobResponse{Status: 99}, `{"job_id":"","status":99}`,
		},
		"text that is no UTF-8": {
			&promptforgev1.Error{Detail: "a\xffb"}, "{\"detail\":\"a\uFFFDb\"}",
		},
		"a time before 1970": {
			&promptforgev1.InitJobResponse{ExpiresAt: timestamppb.New(time.Unix(-1, 5))},
			`{"job_id":"","upload_url":null,"expires_at":"1969-12-31T23:59:59Z"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := pjson.Marshaler{}.Marshal(tc.message)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			var encoded bytes.Buffer
			if err := (pjson.Marshaler{}).NewEncoder(&encoded).Encode(tc.message); err != nil || encoded.String() != tc.want {
				t.Errorf("encoder wrote %s, %v", encoded.String(), err)
			}
		})
	}
}

func TestMarshalRefuses(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]any{
		"what is no message":       "text",
		"a time after 9999":        &promptforgev1.InitJobResponse{ExpiresAt: &timestamppb.Timestamp{Seconds: 253402300800}},
		"another well-known type":  durationpb.New(time.Second),
		"a wrapper, also of a NaN": wrapperspb.Double(math.NaN()),
	} {
		if body, err := (pjson.Marshaler{}).Marshal(v); err == nil {
			t.Errorf("%s became %s", name, body)
		}
	}
}

func TestUnmarshal(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body string
		want *promptforgev1.InitJobRequest
	}{
		"an empty object": {`{}`, &promptforgev1.InitJobRequest{}},
		"blanks around": {
			" \r\n\t{ \"provider\" : \"openai\" }\n ",
			&promptforgev1.InitJobRequest{Provider: "openai"},
		},
		"all fields, in any order": {
			`{"webhook_url":"https://x","metadata":{"b":"2","a":""},"continue_from":"c","tpm":9223372036854775807,` +
				`"rpm":1,"max_retries":0,"model":"\u00e4","provider":"p"}`,
			&promptforgev1.InitJobRequest{
				Provider: "p", Model: "ä", MaxRetries: proto.Int32(0), Rpm: proto.Int64(1),
				Tpm: proto.Int64(math.MaxInt64), ContinueFrom: proto.String("c"),
				Metadata: map[string]string{"b": "2", "a": ""}, WebhookUrl: proto.String("https://x"),
			},
		},
		"null counts as left out": {
			`{"provider":null,"rpm":null,"metadata":{"a":null,"b":"2"}}`,
			&promptforgev1.InitJobRequest{Metadata: map[string]string{"b": "2"}},
		},
		"what is out of the contract's range is not for this package": {
			`{"max_retries":-0,"rpm":-5}`,
			&promptforgev1.InitJobRequest{MaxRetries: proto.Int32(0), Rpm: proto.Int64(-5)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := &promptforgev1.InitJobRequest{Provider: "stale"}
			if err := (pjson.Marshaler{}).NewDecoder(strings.NewReader(tc.body)).Decode(got); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"rpm":"5"}`:                    `The field "rpm" must be a whole number, not a string.`,
		`{"rpm":5.0}`:                    `The field "rpm" must be a whole number, not 5.0.`,
		`{"rpm":5e0}`:                    `The field "rpm" must be a whole number, not 5e0.`,
		`{"rpm":true}`:                   `The field "rpm" must be a whole number, not a boolean.`,
		`{"rpm":false}`:                  `The field "rpm" must be a whole number, not a boolean.`,
		`{"rpm":{}}`:                     `The field "rpm" must be a whole number, not an object.`,
		`{"rpm":[5]}`:                    `The field "rpm" must be a whole number, not an array.`,
		`{"rpm":9223372036854775808}`:    `The field "rpm" must be between -9223372036854775808 and 9223372036854775807.`,
		`{"max_retries":2147483648}`:     `The field "max_retries" must be between -2147483648 and 2147483647.`,
		`{"provider":5}`:                 `The field "provider" must be a string, not a number.`,
		`{"provider":[[[[[]]]]]}`:        `The field "provider" must be a string, not an array.`,
		`{"metadata":"x"}`:               `The field "metadata" must be an object, not a string.`,
		`{"metadata":{"team":7}}`:        `The field "metadata.team" must be a string, not a number.`,
		`{"maxRetries":3}`:               `Unknown field "maxRetries"; did you mean "max_retries"?`,
		`{"Provider":"x"}`:               `Unknown field "Provider"; did you mean "provider"?`,
		`{"max_retry":3}`:                `Unknown field "max_retry"; did you mean "max_retries"?`,
		`{"temperature":0}`:              `Unknown field "temperature".`,
		`{"":0}`:                         `Unknown field "".`,
		`{"model":"a","model":"b"}`:      `The field "model" is given twice.`,
		`{"model":null,"model":"b"}`:     `The field "model" is given twice.`,
		`{"model":"a","mod\u0065l":"b"}`: `The field "model" is given twice.`,
		`{"metadata":{"a":"","a":""}}`:   `The field "metadata.a" is given twice.`,
		`{} {}`:                          `Nothing may follow the JSON object in the request body.`,
		`{}}`:                            `Nothing may follow the JSON object in the request body.`,
		`{}x`:                            `Nothing may follow the JSON object in the request body.`,
		`null`:                           `The request body must be a JSON object, not null.`,
		`[]`:                             `The request body must be a JSON object, not an array.`,
		`"x"`:                            `The request body must be a JSON object, not a string.`,
		`{"model":"a"`:                   `The request body ends in the middle of the JSON object.`,
		`{"model":"a`:                    `The request body ends in the middle of the JSON object.`,
		`{`:                              `The request body ends in the middle of the JSON object.`,
		`x`:                              `The request body is not valid JSON: invalid character 'x' at start of value (at byte 0).`,
		"\uFEFF{}":                       `The request body is not valid JSON: invalid character '\ufeff' at start of value (at byte 0).`,
		`{"model":nul}`:                  `The request body is not valid JSON: invalid character '}' in literal null (expecting 'l') (at byte 12).`,
		`{"rpm":01}`:                     `The request body is not valid JSON: invalid character '1' after object value (expecting ',' or '}') (at byte 8).`,
		"{\"model\":\"\xff\"}":           `The request body is not valid JSON: invalid UTF-8 (at byte 10).`,
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			err := pjson.Marshaler{}.Unmarshal([]byte(body), &promptforgev1.InitJobRequest{})
			checkSentence(t, err, want)
		})
	}
}

func checkSentence(t *testing.T, err error, want string) {
	t.Helper()
	var mistake *pjson.Error
	if !errors.As(err, &mistake) {
		t.Fatalf("got %v, want an *Error", err)
	}
	if mistake.Sentence != want {
		t.Errorf("got  %s\nwant %s", mistake.Sentence, want)
	}
	if got := status.Convert(err); got.Code() != codes.InvalidArgument || got.Message() != want {
		t.Errorf("as a gRPC status: %v", got)
	}
}

func TestUnmarshalOneof(t *testing.T) {
	t.Parallel()
	err := pjson.Marshaler{}.Unmarshal([]byte(`{"job_id":"a","data":""}`), &promptforgev1.UploadPromptsRequest{})
	checkSentence(t, err, `Only one of the fields "job_id" and "data" may be given.`)
}

func TestEmptyBodyIsEOF(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", " \r\n\t"} {
		err := pjson.Marshaler{}.NewDecoder(strings.NewReader(body)).Decode(&promptforgev1.InitJobRequest{})
		if !errors.Is(err, io.EOF) {
			t.Errorf("%q: got %v, want io.EOF", body, err)
		}
	}
}

func TestBodyOverTheLimit(t *testing.T) {
	t.Parallel()
	body := http.MaxBytesReader(httptest.NewRecorder(), io.NopCloser(strings.NewReader(`{"model":"long"}`)), 8)
	err := pjson.Marshaler{}.NewDecoder(body).Decode(&promptforgev1.InitJobRequest{})
	checkSentence(t, err, `The request body is larger than the 8 bytes allowed here.`)
	var tooLarge *http.MaxBytesError
	if !errors.As(err, &tooLarge) {
		t.Error("the cause is lost")
	}
}

func TestBodyThatBreaksOff(t *testing.T) {
	t.Parallel()
	cause := errors.New("connection reset")
	body := io.MultiReader(strings.NewReader(`{`), iotest.ErrReader(cause))
	err := pjson.Marshaler{}.NewDecoder(body).Decode(&promptforgev1.InitJobRequest{})
	checkSentence(t, err, `The request body could not be read to its end.`)
	if !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
}

func TestLongNamesAreCut(t *testing.T) {
	t.Parallel()
	err := pjson.Marshaler{}.Unmarshal([]byte(`{"`+strings.Repeat("ä", 5000)+`":1}`), &promptforgev1.InitJobRequest{})
	checkSentence(t, err, `Unknown field "`+strings.Repeat("ä", 32)+`…".`)
}

func BenchmarkMarshalStatus(b *testing.B) {
	m := &promptforgev1.GetJobStatusResponse{
		JobId: jobID, Status: promptforgev1.Job_PROCESSING, Provider: "openai", Model: "gpt-4o-mini",
		PromptCount: proto.Int32(500), CompletedCount: proto.Int32(213), FailedCount: proto.Int32(2),
		CreatedAt: timestamppb.New(time.Unix(1705313700, 0)),
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := (pjson.Marshaler{}).Marshal(m); err != nil {
			b.Fatal(err)
		}
	}
}
