package dispatcher

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/dispatcher/rate"
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

// Prompts that are too large for the limit, at the very start, slow nobody down:
// neither where the refusal says so, nor where the limit that is named does.
func TestLaneTakesNoRefusalForTheSizeForTheRate(t *testing.T) {
	const small, large = 400, 100_000
	named := rate.Limits{TokensPerMinute: 20_000, Tokens: rate.Budget{Known: true, Left: 20_000}}
	bucket := named
	bucket.Tokens.Left = 1_000 // it holds no more
	inWords := provider.Answer{Class: provider.TooLarge, Code: job.CodeRateLimit, Message: "Request too large", HTTPStatus: 429, Latency: 50 * time.Millisecond}
	for name, c := range map[string]struct {
		refusal provider.Answer
		limits  rate.Limits
		within  time.Duration // the small ones are answered
	}{
		"in words":                {inWords, rate.Limits{}, 10 * time.Second},
		"in words, limit named":   {inWords, named, 30 * time.Second},
		"in words, small bucket":  {inWords, bucket, 30 * time.Second},
		"by the limit":            {slowDown(0), named, 30 * time.Second},
		"by a small bucket":       {slowDown(0), bucket, 30 * time.Second},
		"by the limit, and asked": {slowDown(time.Minute), named, 30 * time.Second},
	} {
		for _, first := range []int64{1, 40} {
			tooLarge := func(line int64) bool { return line >= first && line < first+10 }
			s := newSim(t, func(line int64, _ time.Duration) provider.Answer {
				a := c.refusal
				if !tooLarge(line) {
					a = done()
					tokens := int64(100)
					a.PromptTokens, a.TotalTokens = &tokens, &tokens
				}
				a.Limits = c.limits
				return a
			})
			r := s.job("a", 1, 100, job.Job{})
			var items []*item
			for line := range int64(100) {
				it := &item{run: r, line: line + 1, raw: make([]byte, small)}
				if tooLarge(it.line) {
					it.raw = make([]byte, large)
				}
				items = append(items, it)
			}
			s.feed(r, func() ([]*item, bool) { return items, true })
			for s.endedAt[r] == 0 && len(s.outcomes) < 90 && s.since() < time.Hour {
				s.run(time.Second)
			}
			if s.since() > c.within {
				t.Errorf("%s, from line %d: the small ones took %s", name, first, s.since())
			}
			s.run(3 * time.Hour)
			s.want(r, "COMPLETED")
			if s.failures() != 10 {
				t.Errorf("%s, from line %d: %d error records", name, first, s.failures())
			}
		}
	}
}
