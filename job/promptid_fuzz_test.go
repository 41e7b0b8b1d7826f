package job_test

import (
	"bytes"
	stdjson "encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/promptforge/promptforge/job"
)

// FuzzPromptID: of all JSON values exactly the strings of at most 256 bytes and
// the whole numbers within int64 are ids, by the word of another parser; each
// comes back as it came, and two that are equal have one key.
func FuzzPromptID(f *testing.F) {
	for _, v := range []string{
		`7`, `"7"`, `-0`, `0`, `1.0`, `1e3`, `null`, `true`, `{}`, `[]`, `"\u00e4"`, `"\ud83d\ude00"`, `""`,
		`9223372036854775807`, `-9223372036854775808`, `9223372036854775808`, `"` + strings.Repeat("a", 257) + `"`,
	} {
		f.Add([]byte(v))
	}
	f.Fuzz(func(t *testing.T, v []byte) {
		id, err := job.ParsePromptID(v)
		if !jsontext.Value(v).IsValid() || !bytes.Equal(bytes.TrimSpace(v), v) {
			return // a line's decoder hands on no such value
		}
		var text *string
		var want bool
		switch v[0] {
		case '"':
			if stdjson.Unmarshal(v, &text) != nil {
				t.Fatalf("%q is no string to encoding/json", v)
			}
			want = len(*text) <= job.MaxPromptIDBytes
		default:
			_, bad := strconv.ParseInt(string(v), 10, 64)
			want = bad == nil
		}
		if want != (err == nil) {
			t.Fatalf("%q: %v", v, err)
		}
		if err != nil {
			return
		}
		if got, isText := id.Text(); isText != (text != nil) || isText && got != *text {
			t.Fatalf("%q is %q", v, got)
		}
		out := id.AppendJSON(nil)
		if text == nil && !bytes.Equal(out, v) {
			t.Fatalf("%q came back as %q", v, out)
		}
		back, err := job.ParsePromptID(out)
		if err != nil || back != id || !utf8.Valid(out) {
			t.Fatalf("%q came back as %q, %v", v, out, err)
		}
		other := job.StringID(string(v))
		if n, isInt := id.Int64(); isInt {
			if !bytes.Equal(id.AppendKey(nil), job.IntID(n).AppendKey(nil)) {
				t.Fatalf("%q and %d are two ids", v, n)
			}
			if bytes.Equal(id.AppendKey(nil), other.AppendKey(nil)) {
				t.Fatalf("%q and the string of it are one id", v)
			}
		}
	})
}
