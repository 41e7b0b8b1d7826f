package pjson_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/utilities"
	"google.golang.org/protobuf/proto"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/server/pjson"
)

// jobIDInPath is the filter that the gateway gives for /v1/jobs/{job_id}/….
var jobIDInPath = utilities.NewDoubleArray([][]string{{"job_id"}})

func TestQuery(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]proto.Message{
		"": &promptforgev1.ListJobsRequest{},
		"status=COMPLETED&page_size=7&page_token=a%2Bb": &promptforgev1.ListJobsRequest{
			Status: promptforgev1.Job_COMPLETED, PageSize: proto.Int32(7), PageToken: "a+b",
		},
		"status=&page_size=&page_token=": &promptforgev1.ListJobsRequest{},
		"page_size=0":                    &promptforgev1.ListJobsRequest{PageSize: proto.Int32(0)},
		"partial=true&view=full":         &promptforgev1.GetJobResultsRequest{Partial: true, View: "full"},
		"partial=false":                  &promptforgev1.GetJobResultsRequest{},
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			values, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			got := want.ProtoReflect().New().Interface()
			if err := (pjson.QueryParser{}).Parse(got, values, jobIDInPath); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestQueryRefuses(t *testing.T) {
	t.Parallel()
	const states = "AWAITING_UPLOAD, QUEUED, PENDING, PROCESSING, COMPLETED, FAILED, CANCELLED"
	list, results := &promptforgev1.ListJobsRequest{}, &promptforgev1.GetJobResultsRequest{}
	for query, tc := range map[string]struct {
		message proto.Message
		want    string
	}{
		"pageSize=5":                {list, `Unknown parameter "pageSize"; did you mean "page_size"?`},
		"limit=5":                   {list, `Unknown parameter "limit".`},
		"page.size=5":               {list, `Unknown parameter "page.size"; did you mean "page_size"?`},
		"status[x]=5":               {list, `Unknown parameter "status[x]".`},
		"page_size=5&page_size=5":   {list, `The parameter "page_size" is given 2 times.`},
		"page_size=five":            {list, `The field "page_size" must be a whole number, not "five".`},
		"page_size=5.0":             {list, `The field "page_size" must be a whole number, not 5.0.`},
		"page_size=%2B5":            {list, `The field "page_size" must be a whole number, not +5.`},
		"page_size=+5":              {list, `The field "page_size" must be a whole number, not " 5".`},
		"page_size=99999999999":     {list, `The field "page_size" must be between -2147483648 and 2147483647.`},
		"status=completed":          {list, `The field "status" must be one of ` + states + `, not "completed".`},
		"status=5":                  {list, `The field "status" must be one of ` + states + `, not "5".`},
		"status=STATUS_UNSPECIFIED": {list, `The field "status" must be one of ` + states + `, not "STATUS_UNSPECIFIED".`},
		"page_token=%ff":            {list, `The field "page_token" is not valid UTF-8.`},
		"partial":                   {results, `The field "partial" must be true or false, not "".`},
		"partial=1":                 {results, `The field "partial" must be true or false, not 1.`},
		"partial=True":              {results, `The field "partial" must be true or false, not "True".`},
		"job_id=x":                  {results, `The field "job_id" stands in the path and cannot be given in the query.`},
		"zz=1&aa=1":                 {results, `Unknown parameter "aa".`},
		"%ff=1":                     {results, `Unknown parameter "\xff".`},
		"metadata=x":                {&promptforgev1.InitJobRequest{}, `The field "metadata" cannot be given in the query.`},
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			values, err := url.ParseQuery(query)
			if err != nil {
				t.Fatal(err)
			}
			message := proto.Clone(tc.message)
			checkSentence(t, pjson.QueryParser{}.Parse(message, values, jobIDInPath), tc.want)
		})
	}
}

// FuzzQuery: no query makes the parser panic, a refusal is a sentence, and what
// is accepted is a message that gRPC can carry.
func FuzzQuery(f *testing.F) {
	for _, query := range []string{"", "status=COMPLETED&page_size=7", "pageSize=5", "page_token=%ff", "status=&status=", "page_size=1e3"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Skip()
		}
		message := &promptforgev1.ListJobsRequest{}
		err = pjson.QueryParser{}.Parse(message, values, nil)
		var mistake *pjson.Error
		switch {
		case err == nil:
			if _, err := proto.Marshal(message); err != nil {
				t.Errorf("accepted %q, which is no message: %v", query, err)
			}
		case !errors.As(err, &mistake):
			t.Errorf("%q: %v is no *Error", query, err)
		case !isSentence(mistake.Sentence):
			t.Errorf("%q: %q is no sentence", query, mistake.Sentence)
		}
	})
}

func isSentence(text string) bool {
	return utf8.ValidString(text) && (strings.HasSuffix(text, ".") || strings.HasSuffix(text, "?")) &&
		text[0] >= 'A' && text[0] <= 'Z'
}
