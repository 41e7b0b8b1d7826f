package dispatcher

import "testing"

func TestMaxTokensOfALine(t *testing.T) {
	for line, want := range map[string]int{
		`{"prompt_id": 1, "prompt": "a", "max_tokens": 256}`:                  256,
		`{"max_tokens":1024,"prompt_id":1,"prompt":"a"}`:                      1024,
		`{"prompt_id": 1, "prompt": "a"}`:                                     0,
		`{"prompt_id": 1, "prompt": "say \"max_tokens\": 9", "seed": 1}`:      0,
		`{"prompt_id": 1, "prompt": "a", "max_tokens": null}`:                 0,
		`{"prompt_id": 1, "prompt": "a", "max_tokens": 99999999999999999999}`: 999999999,
	} {
		if got := maxTokens([]byte(line)); got != want {
			t.Errorf("%s: %d", line, got)
		}
	}
}
