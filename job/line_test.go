package job_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/promptforge/promptforge/job"
)

// check reads a line and returns its id, or the error's message and id.
func check(t *testing.T, line string) (id job.PromptID, bad *job.LineError) {
	t.Helper()
	var p job.Parser
	id, err := p.Check([]byte(line))
	if err == nil {
		return id, nil
	}
	if !errors.As(err, &bad) {
		t.Fatalf("%.80q: an error that is no *LineError: %v", line, err)
	}
	return bad.ID, bad
}

func TestUnusableLines(t *testing.T) {
	long := strings.Repeat("x", job.MaxPromptIDBytes+1)
	for _, c := range []struct{ name, line, id, message string }{
		{"no JSON", `hello`, `null`, "not valid JSON"},
		{"cut JSON", `{"prompt_id": 1, "prompt": "a`, `null`, "not valid JSON"},
		{"a trailing comma", `{"prompt_id": 1, "prompt": "a",}`, `null`, "not valid JSON"},
		{"a list", `[1]`, `null`, "no object"},
		{"a string", `"a"`, `null`, "no object"},
		{"text after it", `{"prompt_id": 1, "prompt": "a"} x`, `null`, "after its JSON object"},
		{"two objects", `{"prompt_id": 1, "prompt": "a"}{}`, `null`, "after its JSON object"},
		{"a field twice", `{"prompt_id": 1, "prompt": "a", "prompt": "b"}`, `1`, `The line has the field "prompt" twice.`},
		{"an id twice", `{"prompt_id": 1, "prompt": "a", "prompt_id": 1}`, `null`, `The line has the field "prompt_id" twice.`},
		{"a nested field twice", `{"prompt_id": 1, "prompt": "a", "metadata": {"a":1,"a":2}}`, `1`, `The line has the field "metadata.a" twice.`},
		{"no id", `{"prompt": "a"}`, `null`, "no prompt_id"},
		{"null as id", `{"prompt_id": null, "prompt": "a"}`, `null`, "must be a string or a whole number"},
		{"1.0 as id", `{"prompt_id": 1.0, "prompt": "a"}`, `null`, "whole number"},
		{"1e3 as id", `{"prompt_id": 1e3, "prompt": "a"}`, `null`, "whole number"},
		{"true as id", `{"prompt_id": true, "prompt": "a"}`, `null`, "must be a string or a whole number"},
		{"an object as id", `{"prompt_id": {}, "prompt": "a"}`, `null`, "must be a string or a whole number"},
		{"an id over int64", `{"prompt_id": 9223372036854775808, "prompt": "a"}`, `null`, "64 bits"},
		{"an id under int64", `{"prompt_id": -9223372036854775809, "prompt": "a"}`, `null`, "64 bits"},
		{"a long id", `{"prompt_id": "` + long + `", "prompt": "a"}`, `null`, "longer than 256 bytes"},
		{"no prompt", `{"prompt_id": "a"}`, `"a"`, "no prompt"},
		{"null as prompt", `{"prompt_id": "a", "prompt": null}`, `"a"`, "no prompt"},
		{"an empty prompt", `{"prompt_id": "a", "prompt": ""}`, `"a"`, "empty"},
		{"a blank prompt", `{"prompt_id": "a", "prompt": " \n\t"}`, `"a"`, "empty"},
		{"a number as prompt", `{"prompt_id": "a", "prompt": 5}`, `"a"`, "prompt must be a string, not a number"},
		{"both", `{"prompt_id": 7, "prompt": "a", "messages": [{"role":"user","content":"a"}]}`, `7`, "both prompt and messages"},
		{"empty messages", `{"prompt_id": 7, "messages": []}`, `7`, "messages is empty"},
		{"messages that are none", `{"prompt_id": 7, "messages": "a"}`, `7`, "messages must be a list"},
		{"an unknown role", `{"prompt_id": 7, "messages": [{"role":"me","content":"a"}]}`, `7`, "messages[0] has no role"},
		{"no content", `{"prompt_id": 7, "messages": [{"role":"user","content":"a"},{"role":"user"}]}`, `7`, "messages[1] has no content"},
		{"an unknown part", `{"prompt_id": 7, "messages": [{"role":"user","content":[{"type":"audio"}]}]}`, `7`, "messages[0] has a part"},
		{"system", `{"prompt_id": 7, "prompt": "a", "system": ["x"]}`, `7`, "system must be a string, not a list"},
		{"temperature", `{"prompt_id": 7, "prompt": "a", "temperature": "0.5"}`, `7`, "temperature must be a number, not a string"},
		{"top_p", `{"prompt_id": 7, "prompt": "a", "top_p": {}}`, `7`, "top_p must be a number, not an object"},
		{"max_tokens", `{"prompt_id": 7, "prompt": "a", "max_tokens": 1.5}`, `7`, "max_tokens must be a whole number"},
		{"max_tokens 0", `{"prompt_id": 7, "prompt": "a", "max_tokens": 0}`, `7`, "1 or more"},
		{"seed", `{"prompt_id": 7, "prompt": "a", "seed": "1"}`, `7`, "seed must be a whole number"},
		{"stop", `{"prompt_id": 7, "prompt": "a", "stop": 5}`, `7`, "stop must be"},
		{"stop with numbers", `{"prompt_id": 7, "prompt": "a", "stop": [5]}`, `7`, "stop must be"},
		{"response_format", `{"prompt_id": 7, "prompt": "a", "response_format": "json"}`, `7`, "response_format must be an object, not a string"},
		{"tools", `{"prompt_id": 7, "prompt": "a", "tools": {}}`, `7`, "tools must be a list"},
		{"tool_choice", `{"prompt_id": 7, "prompt": "a", "tool_choice": 1}`, `7`, "tool_choice must be"},
		{"extra_body", `{"prompt_id": 7, "prompt": "a", "extra_body": []}`, `7`, "extra_body must be an object, not a list"},
		{"metadata", `{"prompt_id": 7, "prompt": "a", "metadata": true}`, `7`, "metadata must be an object, not a boolean"},
		{"a misspelt field", `{"prompt_id": 7, "prompt": "a", "temprature": 1}`, `7`, `"temprature"; did you mean "temperature"?`},
		{"a camelCase field", `{"prompt_id": 7, "prompt": "a", "maxTokens": 1}`, `7`, `did you mean "max_tokens"?`},
		{"an unknown field", `{"prompt_id": 7, "prompt": "a", "frequency_penalty": 1}`, `7`, `"frequency_penalty"; parameters of the provider's own go into extra_body`},
		{"invalid UTF-8", "{\"prompt_id\": 7, \"prompt\": \"\xff\"}", `null`, "UTF-8"},
		{"a lone surrogate", `{"prompt_id": 7, "prompt": "\ud800"}`, `null`, "not valid JSON"},
		{"too long", `{"prompt_id": 7, "prompt": "` + strings.Repeat("a", job.MaxLineBytes) + `"}`, `null`, "longer than 10 MiB"},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, bad := check(t, c.line)
			if bad == nil {
				t.Fatalf("the line was taken, id %s", id)
			}
			if bad.Code != job.CodeInvalidLine || !strings.Contains(bad.Message, c.message) || id.String() != c.id {
				t.Errorf("%s, id %s: %q; want id %s and %q", bad.Code, id, bad.Message, c.id, c.message)
			}
			if !strings.HasSuffix(bad.Message, ".") && !strings.HasSuffix(bad.Message, "?") || strings.ContainsAny(bad.Message, "\n\r") {
				t.Errorf("no sentence: %q", bad.Message)
			}
		})
	}
}

func TestUsableLines(t *testing.T) {
	for _, c := range []struct{ name, line, id string }{
		{"plain", `{"prompt_id": "a", "prompt": "b"}`, `"a"`},
		{"an integer", `{"prompt_id": 7, "prompt": "b"}`, `7`},
		{"its text", `{"prompt_id": "7", "prompt": "b"}`, `"7"`},
		{"minus nought", `{"prompt_id": -0, "prompt": "b"}`, `-0`},
		{"the largest", `{"prompt_id": 9223372036854775807, "prompt": "b"}`, `9223372036854775807`},
		{"the smallest", `{"prompt_id": -9223372036854775808, "prompt": "b"}`, `-9223372036854775808`},
		{"an empty id", `{"prompt_id": "", "prompt": "b"}`, `""`},
		{"the longest id", `{"prompt_id": "` + strings.Repeat("x", job.MaxPromptIDBytes) + `", "prompt": "b"}`, `"` + strings.Repeat("x", job.MaxPromptIDBytes) + `"`},
		{"escapes", `{"prompt_id": "a\u00e9\n\ud83d\ude00", "prompt": "b"}`, `"aé\n😀"`},
		{"white space", "  {\t\"prompt_id\" :\r 1 , \"prompt\":\"b\" } ", `1`},
		{"null is left out", `{"prompt_id": 1, "prompt": "b", "messages": null, "seed": null, "metadata": null}`, `1`},
		{"everything", `{"prompt_id": 1, "prompt": "b", "system": "s", "temperature": 0.5, "top_p": 1, "max_tokens": 5, "stop": ["x"], "seed": -1, "response_format": {"type":"json_object"}, "tools": [{}], "tool_choice": "auto", "extra_body": {"a": [1]}, "metadata": {"k": null}}`, `1`},
		{"messages", `{"prompt_id": 1, "messages": [{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}]}`, `1`},
		{"an escaped field name", `{"prompt\u005fid": 1, "prompt": "b"}`, `1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			id, bad := check(t, c.line)
			if bad != nil {
				t.Fatal(bad)
			}
			if id.String() != c.id {
				t.Errorf("id %s, want %s", id, c.id)
			}
		})
	}
}

func TestSevenIsNotItsText(t *testing.T) {
	key := func(id job.PromptID) string { return string(id.AppendKey(nil)) }
	if key(job.IntID(7)) == key(job.StringID("7")) {
		t.Error(`7 and "7" have one key`)
	}
	zero, _ := check(t, `{"prompt_id": 0, "prompt": "a"}`)
	minus, _ := check(t, `{"prompt_id": -0, "prompt": "a"}`)
	if key(zero) != key(minus) {
		t.Error("0 and -0 have two keys")
	}
	if minus.String() != "-0" {
		t.Errorf("-0 lost its sign: %s", minus)
	}
}

func TestCarriageReturnsInMetadata(t *testing.T) {
	line := "{\"prompt_id\": 1, \"prompt\": \"a\", \"metadata\": {\"a\":\r 1.50,\r\"b\": \"\\r\"}}"
	want := `{"a":1.50,"b":"\r"}`
	raw := []byte(line)
	var p job.Parser
	prompt, err := p.Parse(raw, 3)
	if err != nil {
		t.Fatal(err)
	}
	if string(prompt.Metadata) != want {
		t.Errorf("metadata %q, want %q", prompt.Metadata, want)
	}
	if string(raw) != line {
		t.Error("the parser changed the line")
	}
	r := job.Result{PromptID: prompt.ID, Metadata: prompt.Metadata}
	if b := r.AppendJSON(nil); bytes.ContainsAny(b, "\r\n") {
		t.Errorf("a public line with a line break in it: %q", b)
	}
}

func TestBlank(t *testing.T) {
	for line, want := range map[string]bool{"": true, " \t\r": true, "x": false, " {": false, "\u00a0": false} {
		if job.Blank([]byte(line)) != want {
			t.Errorf("Blank(%q) is %v", line, !want)
		}
	}
}

// A parser goes on as new after a line that it gave up in the middle.
func TestParserIsReused(t *testing.T) {
	var p job.Parser
	for i := range 100 {
		if _, err := p.Check([]byte(`{"prompt_id": {"a": [`)); err == nil {
			t.Fatal("half a line was taken")
		}
		id, err := p.Check(fmt.Appendf(nil, `{"prompt_id": %d, "prompt": "a"}`, i))
		if n, _ := id.Int64(); err != nil || n != int64(i) {
			t.Fatal(id, err)
		}
	}
}

func FuzzParser(f *testing.F) {
	f.Add([]byte(`{"prompt_id": "a", "prompt": "b", "metadata": {"x": 1}}`))
	f.Add([]byte(`{"prompt_id": 7, "messages": [{"role":"user","content":[{"type":"text","text":"a"}]}]}`))
	f.Add([]byte(`{"prompt_id": -0, "prompt": "b", "stop": "x", "tools": [{}]}`))
	f.Add([]byte("{\"prompt_id\": 1,\r\"prompt\": \"b\"}"))
	var p job.Parser
	f.Fuzz(func(t *testing.T, line []byte) {
		before := bytes.Clone(line)
		prompt, err := p.Parse(line, 1)
		if !bytes.Equal(before, line) {
			t.Fatal("the parser changed the line")
		}
		if err != nil {
			var bad *job.LineError
			if !errors.As(err, &bad) || bad.Message == "" || bad.Code != job.CodeInvalidLine {
				t.Fatalf("%v", err)
			}
			o := job.UnusableLine(1, bad)
			if _, failure, err := job.DecodeLine(o); err != nil || failure.PromptID != bad.ID {
				t.Fatalf("%s: %v", o.Public, err)
			}
			return
		}
		if prompt.ID.IsZero() || (prompt.Text == "") == (prompt.Messages == nil) {
			t.Fatalf("%+v", prompt)
		}
		r := job.Result{PromptID: prompt.ID, Metadata: prompt.Metadata}
		public := r.AppendJSON(nil)
		if bytes.ContainsAny(public, "\n\r") {
			t.Fatalf("a line break in %q", public)
		}
		back, _, err := job.DecodeLine(&job.Outcome{Public: public})
		if err != nil || back.PromptID != prompt.ID || !bytes.Equal(back.Metadata, prompt.Metadata) {
			t.Fatalf("%q came back as %+v, %v", public, back, err)
		}
	})
}

func BenchmarkParser(b *testing.B) {
	line := fmt.Appendf(nil, `{"prompt_id": "prompt-000001", "prompt": %q}`, strings.Repeat("What is the answer? ", 10))
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	var p job.Parser
	for b.Loop() {
		if _, err := p.Check(line); err != nil {
			b.Fatal(err)
		}
	}
}
