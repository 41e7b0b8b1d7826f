package job_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/promptforge/promptforge/job"
)

func ptr(n int64) *int64 { return &n }

// The bytes of public lines are the contract: field order, nulls, and what is
// left out.
func TestPublicLines(t *testing.T) {
	usual := job.Result{
		PromptID: job.StringID("a"), Text: "x\n\"<&>é\u2028", Model: "gpt", FinishReason: "stop",
		PromptTokens: ptr(1), CompletionTokens: ptr(2), TokensUsed: ptr(3), Attempts: 2, LatencyMS: 15,
	}
	noTokens := job.Result{
		PromptID: job.IntID(7), Model: "m", FinishReason: "tool_calls", Attempts: 1,
		ToolCalls: []byte(`[{"id":"1"}]`), Metadata: []byte(`{"k":1.50}`),
	}
	failure := job.Failure{PromptID: job.StringID("a"), Code: "timeout", Attempts: 4, Message: "No answer.", Metadata: []byte(`{}`)}
	unusable := job.UnusableLine(12, job.TooLong())
	for _, c := range []struct{ got, want string }{
		{string(usual.AppendJSON(nil)), `{"prompt_id":"a","result":"x\n\"<&>é` + "\u2028" + `","model":"gpt","tokens_used":3,"prompt_tokens":1,"completion_tokens":2,"finish_reason":"stop","attempts":2,"latency_ms":15}`},
		{string(noTokens.AppendJSON(nil)), `{"prompt_id":7,"result":"","model":"m","tokens_used":null,"prompt_tokens":null,"completion_tokens":null,"finish_reason":"tool_calls","attempts":1,"latency_ms":0,"tool_calls":[{"id":"1"}],"metadata":{"k":1.50}}`},
		{string(failure.AppendJSON(nil)), `{"prompt_id":"a","error":"timeout","attempts":4,"message":"No answer.","metadata":{}}`},
		{string(unusable.Public), `{"prompt_id":null,"error":"invalid_line","attempts":0,"message":"The line is longer than 10 MiB.","line":12}`},
		{string((&job.Outcome{Public: []byte(`{"a":1}`)}).AppendFull(nil)), `{"a":1,"response":null}` + "\n"},
		{string((&job.Outcome{Public: []byte(`{"a":1}`), Response: []byte(`{"b":2}`)}).AppendFull(nil)), `{"a":1,"response":{"b":2}}` + "\n"},
	} {
		if c.got != c.want {
			t.Errorf("got  %s\nwant %s", c.got, c.want)
		}
	}
}

func TestLongMessageIsCut(t *testing.T) {
	f := job.Failure{Code: "server_error", Message: strings.Repeat("é", job.MaxMessageBytes)}
	_, back, err := job.DecodeLine(&job.Outcome{Failed: true, Public: f.AppendJSON(nil)})
	if err != nil || len(back.Message) != job.MaxMessageBytes || strings.ContainsRune(back.Message, '\ufffd') {
		t.Errorf("%d bytes, %v", len(back.Message), err)
	}
}

// A provider's broken text can't break a line.
func TestBrokenTextInResult(t *testing.T) {
	r := job.Result{PromptID: job.IntID(1), Text: "a\xffb\x00"}
	back, _, err := job.DecodeLine(&job.Outcome{Public: r.AppendJSON(nil)})
	if err != nil || back.Text != "a\ufffdb\x00" {
		t.Errorf("%q, %v", back.Text, err)
	}
}

func promptID(t *rapid.T) job.PromptID {
	if rapid.Bool().Draw(t, "integer") {
		return job.IntID(rapid.Int64().Draw(t, "id"))
	}
	return job.StringID(rapid.StringN(0, 20, job.MaxPromptIDBytes).Draw(t, "id"))
}

func count(t *rapid.T, label string) *int64 {
	if rapid.Bool().Draw(t, label+" is null") {
		return nil
	}
	return ptr(rapid.Int64Min(0).Draw(t, label))
}

var ids = cmp.Comparer(func(a, b job.PromptID) bool { return a == b })

func TestDecodeLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &job.Result{
			PromptID: promptID(t), Text: rapid.String().Draw(t, "text"), Model: rapid.String().Draw(t, "model"),
			PromptTokens: count(t, "prompt tokens"), CompletionTokens: count(t, "completion tokens"), TokensUsed: count(t, "tokens"),
			FinishReason: rapid.SampledFrom([]string{"stop", "length", "other"}).Draw(t, "finish"),
			Attempts:     rapid.IntRange(0, 21).Draw(t, "attempts"), LatencyMS: rapid.Int64Min(0).Draw(t, "latency"),
		}
		if rapid.Bool().Draw(t, "metadata") {
			r.Metadata = []byte(`{"a":[1,null]}`)
		}
		back, failure, err := job.DecodeLine(&job.Outcome{Public: r.AppendJSON(nil)})
		if err != nil || failure != nil {
			t.Fatal(failure, err)
		}
		if d := cmp.Diff(r, back, ids); d != "" {
			t.Fatal(d)
		}
		f := &job.Failure{
			PromptID: promptID(t), Code: "timeout", Attempts: r.Attempts, Message: rapid.StringN(0, 50, 200).Draw(t, "message"),
			Line: rapid.Int64Range(0, job.MaxLines).Draw(t, "line"), Metadata: r.Metadata,
		}
		_, failure, err = job.DecodeLine(&job.Outcome{Failed: true, Public: f.AppendJSON(nil)})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(f, failure, ids); d != "" {
			t.Fatal(d)
		}
	})
}

func TestDecodeLineRefuses(t *testing.T) {
	for _, line := range []string{``, `{}`, `[]`, `{"prompt_id":1.5}`, `{"prompt_id":1,"attempts":"x"}`, `{"prompt_id":1}{}`} {
		if _, _, err := job.DecodeLine(&job.Outcome{Public: []byte(line)}); err == nil {
			t.Errorf("%q was read", line)
		}
	}
}

func TestBinaryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := job.Outcome{
			Line: rapid.Int64().Draw(t, "line"), Failed: rapid.Bool().Draw(t, "failed"),
			Public:     append([]byte("{"), rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(t, "public")...),
			HTTPStatus: rapid.IntRange(0, 599).Draw(t, "status"), RequestID: rapid.String().Draw(t, "request"),
			PromptTokens: rapid.Int64().Draw(t, "in"), CompletionTokens: rapid.Int64().Draw(t, "out"),
		}
		if rapid.Bool().Draw(t, "response") {
			o.Response = rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "body")
			if o.Response == nil {
				o.Response = []byte{}
			}
		}
		b := o.AppendBinary([]byte("before"))
		back, err := job.DecodeOutcome(b[len("before"):])
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(o, back); d != "" {
			t.Fatal(d)
		}
		if int64(len(o.AppendPublic(nil))) != o.PublicLen() || int64(len(o.AppendFull(nil))) != o.FullLen() {
			t.Fatal("a length that was counted wrong")
		}
		for cut := range len(b) - len("before") {
			if _, err := job.DecodeOutcome(b[len("before") : len("before")+cut]); !errors.Is(err, job.ErrBadOutcome) {
				t.Fatalf("cut at %d: %v", cut, err)
			}
		}
	})
}

func FuzzDecodeOutcome(f *testing.F) {
	f.Add(job.UnusableLine(1, job.TooLong()).AppendBinary(nil))
	f.Add((&job.Outcome{Line: 5, Public: []byte("{}"), Response: []byte("{}"), RequestID: "r"}).AppendBinary(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := job.DecodeOutcome(b)
		if err != nil {
			if !errors.Is(err, job.ErrBadOutcome) {
				t.Fatal(err)
			}
			return
		}
		again, err := job.DecodeOutcome(o.AppendBinary(nil))
		if err != nil || !bytes.Equal(again.Public, o.Public) || !bytes.Equal(again.Response, o.Response) || again.Line != o.Line {
			t.Fatalf("%+v came back as %+v, %v", o, again, err)
		}
		o.AppendFull(nil)
		o.FullLen()
	})
}
