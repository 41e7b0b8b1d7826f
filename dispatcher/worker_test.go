package dispatcher

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/simulator"
)

// clumsy is a dialect with a bug that some prompts bring out.
type clumsy struct{ provider.OpenAI }

func (c clumsy) Request(e *provider.Endpoint, model string, p *job.Prompt) (string, []byte, error) {
	if strings.HasPrefix(p.Text, "trip") {
		panic("cannot say " + p.Text)
	}
	return c.OpenAI.Request(e, model, p)
}

func (c clumsy) Answer(e *provider.Endpoint, status int, h http.Header, body []byte) provider.Answer {
	if strings.Contains(string(body), "stumble") {
		var none []byte
		_ = none[len(body)]
	}
	return c.OpenAI.Answer(e, status, h, body)
}

// A bug that one prompt brings out costs that prompt alone, and neither it nor
// the answer gets into the log.
func TestDispatcherSurvivesAPanic(t *testing.T) {
	b := newBench(t, simulator.Config{})
	var log logged
	b.start(func(c *Config) {
		log.into(c)
		// The groups are handed out as they are kept.
		c.Providers.Groups("sim")[0][0].Dialect = clumsy{}
	})
	id := b.submit("a", job.Job{}, append(prompts(20, "fine"),
		`{"prompt_id":"t","prompt":"trip canary-4411"}`, `{"prompt_id":"s","prompt":"stumble canary-4411"}`)...)
	j := b.wait(id, settled)
	if j.Status != job.Completed || j.CompletedCount != 20 || j.FailedCount != 2 {
		t.Fatalf("%s, %d completed, %d failed: %s", j.Status, j.CompletedCount, j.FailedCount, j.FailureReason)
	}
	for line, public := range b.outcomes(id) {
		if line > 20 && !strings.Contains(public, `"error":"bad_response"`) {
			t.Errorf("line %d ended as %s", line, public)
		}
	}
	got := log.String()
	if strings.Contains(got, "canary-4411") || !strings.Contains(got, "panic=string") || !strings.Contains(got, "index out of range") {
		t.Errorf("the log says\n%s", got)
	}
}

// A bug that a canary brings out ends no process.
func TestCanaryPanics(t *testing.T) {
	b := newBench(t, simulator.Config{})
	var log logged
	cfg := Config{Store: b.store, Files: b.files, Settings: b.settings(), MaxInFlight: 1}
	log.into(&cfg)
	d := New(cfg)
	defer d.hardStop()
	r := &laneRunner{d: d, events: make(chan event, 1), closed: make(chan struct{})}
	r.lane = newLane(laneConfig{}, nil, false, d.slots, 1, time.Now())
	r.canary(nil)
	if len(r.events) != 1 || !strings.Contains(log.String(), "level=ERROR msg=panic") {
		t.Errorf("%d events; the log says\n%s", len(r.events), &log)
	}
}
