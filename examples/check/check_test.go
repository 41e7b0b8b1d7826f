package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/promptforge/promptforge/simulator"
)

const prompts = `{"prompt_id": "a", "prompt": "one"}
{"prompt_id": 7, "prompt": "two"}

not json
{"prompt_id": "7", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "x"}, {"role": "user", "content": [{"type": "text", "text": "y"}]}]}
{"prompt_id": "a", "prompt": "again"}
`

func result(id, prompt string) string {
	return fmt.Sprintf("{\"prompt_id\":%s,\"result\":%q,\"model\":\"m\",\"finish_reason\":\"stop\"}\n", id, simulator.Answer(prompt))
}

const failures = `{"prompt_id":null,"error":"invalid_line","attempts":0,"line":4}
{"prompt_id":"a","error":"duplicate_prompt_id","attempts":0,"line":6}
`

func TestCheck(t *testing.T) {
	good := result(`"a"`, "one") + result("7", "two") + result(`"7"`, "x\ny")
	for _, row := range []struct {
		name, results, errors string
		code                  int
		want                  string
	}{
		{"good", good, failures, 0, "3 of 5 prompts answered, each with its own answer; 2 lines could not be used"},
		{"an error", result(`"a"`, "one") + result(`"7"`, "x\ny"), failures + `{"prompt_id":7,"error":"server_error"}` + "\n", 0, "2 of 5 prompts answered, each with its own answer; 1 ended as errors"},
		{"an answer of another", result(`"a"`, "two") + result("7", "two") + result(`"7"`, "x\ny"), failures, 1, `"a" is not the simulator's answer`},
		{"an id of another type", result(`"a"`, "one") + result(`"7"`, "two") + result(`"7"`, "x\ny"), failures, 1, `"7"`},
		{"other digits", strings.Replace(good, `:7,`, `:-0,`, 1), failures, 1, "no prompt has the id -0"},
		{"twice", good + result("7", "two"), failures, 1, "has a record already, at results_part_001.jsonl:2"},
		{"missing", result(`"a"`, "one") + result("7", "two"), failures, 1, `the prompt "7" (line 5) has no record`},
		{"missing line", good, strings.SplitAfter(failures, "\n")[0], 1, "line 6, which cannot be used"},
		{"unknown id", good + result(`"z"`, "one"), failures, 1, `no prompt has the id "z"`},
		{"both", good, failures + `{"prompt_id":7,"error":"server_error"}` + "\n", 1, "has a record already"},
		{"a good line refused", good, failures + `{"prompt_id":7,"error":"invalid_line","line":2}` + "\n", 1, "line 2 of the prompts could be used"},
	} {
		t.Run(row.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "prompts.jsonl")
			for name, text := range map[string]string{file: prompts, filepath.Join(dir, "results_part_001.jsonl"): row.results, filepath.Join(dir, "errors.jsonl"): row.errors} {
				if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var stdout, stderr bytes.Buffer
			code := run([]string{file, dir, "--answered-by-simulator"}, &stdout, &stderr)
			if code != row.code || !strings.Contains(stdout.String()+stderr.String(), row.want) {
				t.Errorf("exit code %d\n%s%s", code, stdout.String(), stderr.String())
			}
		})
	}
}

func TestMistakes(t *testing.T) {
	for _, args := range [][]string{{}, {"a"}, {"a", "b", "--all"}, {"nowhere", "nowhere"}} {
		var stdout, stderr bytes.Buffer
		if code := run(args, &stdout, &stderr); code != 1 || stderr.Len() == 0 {
			t.Errorf("%v: exit code %d, %q", args, code, stderr.String())
		}
	}
}
