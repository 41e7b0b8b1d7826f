package simulator

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Whatever the short cut takes, encoding/json must take too, and both must
// come to the same request.
func FuzzQuickChat(f *testing.F) {
	for _, body := range []string{
		chatBody("plain"), chatBody("a\n\"b\"\\ \u2028 ü \x00"),
		`{"model":"m","messages":[{"role":"user","content":"a"}],"max_tokens":5,"temperature":0.5,"n":1,"stream":false}`,
		` { "model" : "m" , "messages" : [ { "content" : "\ud83d\ude00" , "role" : "user" } ] , "seed" : -1e9 } `,
		`{"model":"m","model":"n","max_tokens":1,"max_tokens":2,"messages":[{"role":"user","role":"system","content":"a"}]}`,
		`{"model":"m","messages":[{"role":"user","content":"\x"}]}`, `{"model":"m","messages":[{"role":"user","content":"\"}]}`,
		"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}", "{\"model\":\"\xff\"}", "{\"model\":\"m\",\"user\":\"a\nb\"}",
		`{"model":"m","n":01}`, `{"model":"m","n":1.}`, `{"model":"m","max_tokens":99999999999}`, `{"model":"m"}x`, `{"model":"m",}`, `{}`, `[]`, `{"n":-}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		short, ok := (&quick{b: body}).chat()
		if !ok {
			return
		}
		var long openAIChat
		if err := decodeOpenAI(body, &long); err != nil {
			t.Fatalf("takes %q, which encoding/json does not", body)
		}
		a, failedA := short.request()
		b, failedB := long.request()
		all := cmp.AllowUnexported(request{}, failure{}, tool{})
		if diff := cmp.Diff(b, a, all) + cmp.Diff(failedB, failedA, all); diff != "" {
			t.Errorf("%q: %s", body, diff)
		}
	})
}

// A short cut that nobody takes is none.
func TestQuickTakesTheUsual(t *testing.T) {
	for _, body := range []string{
		chatBody("plain"), chatBody("with\n\"escapes\" and ünïcode"),
		`{"messages":[{"content":"a","role":"user"}],"max_tokens":5,"temperature":0.7,"model":"m","top_p":1,"stream":false,"user":"u","seed":3}`,
	} {
		if _, ok := (&quick{b: []byte(body)}).chat(); !ok {
			t.Errorf("gives up on %s", body)
		}
	}
	for _, body := range []string{
		`{"model":"m","messages":[{"role":"user","content":"a"}],"tools":[]}`, `{"Model":"m"}`, `{"model":"m","stream":true}`,
	} {
		if _, ok := (&quick{b: []byte(body)}).chat(); ok {
			t.Errorf("takes %s, which it does not know", body)
		}
	}
}
