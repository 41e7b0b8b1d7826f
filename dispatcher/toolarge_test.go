package dispatcher

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/job"
)

// A prompt that is refused for its own size was sent once, and its error record
// says so; a refusal for the rate before it does not count.
func TestLaneCountsTheRequestThatWasTooLarge(t *testing.T) {
	tries := 0
	s := newSim(t, func(line int64, _ time.Duration) provider.Answer {
		if line != 7 {
			return done()
		}
		if tries++; tries == 1 {
			return slowDown(time.Second)
		}
		return provider.Answer{Class: provider.TooLarge, Code: job.CodeRateLimit, Message: "Request too large", HTTPStatus: 429}
	})
	r := s.job("a", 1, 1000, job.Job{})
	s.run(time.Hour)
	s.want(r, "COMPLETED")
	if s.failures() != 1 {
		t.Fatalf("%d error records, want 1", s.failures())
	}
	var record struct {
		Error    string `json:"error"`
		Attempts int    `json:"attempts"`
	}
	if err := json.Unmarshal(s.outcomes[7].Public, &record); err != nil {
		t.Fatal(err)
	}
	if record.Error != job.CodeRateLimit || record.Attempts != 1 {
		t.Errorf("the record says %+v, want %s after 1 attempt", record, job.CodeRateLimit)
	}
}
