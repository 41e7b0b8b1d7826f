package dispatcher

import (
	"strings"
	"testing"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/simulator"
)

// What a provider lacks ends as an error record that names it, with nothing
// sent, and the job completes.
func TestWhatAProviderLacksIsNotSent(t *testing.T) {
	b := newBench(t, simulator.Config{})
	b.configured = "anthropic"
	b.start(nil)
	id := b.submit("alice", job.Job{Provider: "anthropic", Model: "claude-sonnet-4-5"},
		`{"prompt_id":1,"prompt":"a","seed":7}`, `{"prompt_id":2,"prompt":"b","response_format":{"type":"json_object"}}`, `{"prompt_id":3,"prompt":"c","extra_body":{"stream":true}}`)
	j := b.wait(id, settled)
	if j.Status != job.Completed || j.FailedCount != 3 || j.RequestsSent != 0 {
		t.Errorf("%s with %d failed and %d requests sent", j.Status, j.FailedCount, j.RequestsSent)
	}
	out := b.outcomes(id)
	for line, field := range map[int64]string{1: "seed", 2: "response_format", 3: "extra_body.stream"} {
		if o := out[line]; !strings.Contains(o, `"error":"invalid_request","attempts":0`) || !strings.Contains(o, field) {
			t.Errorf("line %d ends as %s, want it to name %s", line, o, field)
		}
	}
}
