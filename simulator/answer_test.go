package simulator

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestPromptKeyIsSHA256(t *testing.T) {
	// The first half of the well-known digest of "abc" (FIPS 180-2, B.1).
	if got, want := PromptKey("abc"), "ba7816bf8f01cfea414140de5dae2223"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	k, ok := parseKey(PromptKey("abc"))
	if !ok || k != keyOf("abc") {
		t.Error("parseKey does not read what String writes")
	}
	for _, bad := range []string{"", "ba78", strings.Repeat("x", 32), strings.Repeat("a", 33)} {
		if _, ok := parseKey(bad); ok {
			t.Errorf("parseKey takes %q", bad)
		}
	}
}

func TestAnswer(t *testing.T) {
	seen := map[string]string{}
	prompts := []string{"", "a", "a\nb", "\xff\xfe broken", strings.Repeat("𝔘", 500), strings.Repeat("ü", 81), strings.Repeat("long ", 1000)}
	for i := range 2000 {
		prompts = append(prompts, fmt.Sprintf("prompt %d %s", i, strings.Repeat("𝔘", i%90)))
	}
	for _, prompt := range prompts {
		a := Answer(prompt)
		if a != Answer(prompt) {
			t.Fatalf("%q has two answers", prompt)
		}
		if other, twice := seen[a]; twice {
			t.Fatalf("%q and %q have the same answer", prompt, other)
		}
		seen[a] = prompt
		if len(a) < 300 || len(a) > 900 {
			t.Errorf("%q: %d bytes", prompt, len(a))
		}
		if !utf8.ValidString(a) {
			t.Errorf("%q: not UTF-8", prompt)
		}
		if want := "[" + PromptKey(prompt)[:16] + "] "; !strings.HasPrefix(a, want) {
			t.Errorf("%q: begins %q", prompt, a[:30])
		}
	}
	if long := Answer(strings.Repeat("ü", 81)); !strings.Contains(long, `"`+strings.Repeat("ü", 80)+`"`) {
		t.Errorf("does not quote 80 characters: %s", long)
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		text  string
		limit int
		want  string
		cut   bool
	}{
		{"one two three", 0, "one two three", false},
		{"one two three", 4, "one two three", false}, // 13 bytes are 4 tokens
		{"one two three", 3, "one two", true},        // a word is whole or not there
		{"one two three", 1, "one", true},
		{"one two", 1, "one", true},
		{"onetwothree", 1, "onet", true}, // no space to cut at
		{"aüüüü", 1, "aü", true},         // 4 bytes would split the second ü
		{"one two", 1 << 62, "one two", false},
	} {
		got, wasCut := cut(c.text, c.limit)
		if got != c.want || wasCut != c.cut {
			t.Errorf("cut(%q, %d) = %q, %v; want %q, %v", c.text, c.limit, got, wasCut, c.want, c.cut)
		}
		if c.limit > 0 && tokensIn(got) > c.limit {
			t.Errorf("cut(%q, %d) has %d tokens", c.text, c.limit, tokensIn(got))
		}
	}
}

func TestFromSchema(t *testing.T) {
	k := keyOf("x")
	key := `"` + k.String() + `"`
	for _, c := range []struct{ schema, want string }{
		{``, `{"key":` + key + `}`},
		{`not json`, `{"key":` + key + `}`},
		{`{}`, `{}`},
		{`{"type":"object","properties":{}}`, `{}`},
		{`{"type":"object","properties":{"b":{"type":"integer"},"a":{"type":"string"}}}`, `{"a":` + key + `,"b":1}`},
		{`{"properties":{"l":{"type":"array","items":{"type":["string","null"]}}}}`, `{"l":[` + key + `]}`},
		{`{"properties":{"e":{"enum":["red","blue"]},"c":{"const":7},"n":{"type":"null"},"t":{"type":"boolean"}}}`, `{"c":7,"e":"red","n":null,"t":true}`},
		{`{"$defs":{"P":{"type":"string"}},"properties":{"p":{"$ref":"#/$defs/P"},"q":{"anyOf":[{"type":"number"}]}}}`, `{"p":` + key + `,"q":1}`},
		{`{"$defs":{"P":{"properties":{"p":{"$ref":"#/$defs/P"}}}},"$ref":"#/$defs/P"}`, ""}, // ends
	} {
		got := fromSchema(json.RawMessage(c.schema), k)
		if !json.Valid([]byte(got)) {
			t.Errorf("%s: not JSON: %s", c.schema, got)
		}
		if c.want != "" && got != c.want {
			t.Errorf("%s: got %s, want %s", c.schema, got, c.want)
		}
	}
}

func FuzzAppendString(f *testing.F) {
	f.Add("plain")
	f.Add("a\"b\\c\n\t\r\x00\x1f\u2028é𝔘")
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "?")
		var back string
		if err := json.Unmarshal(appendString(nil, s), &back); err != nil || back != s {
			t.Errorf("%q comes back as %q: %v", s, back, err)
		}
	})
}
