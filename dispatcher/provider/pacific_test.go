package provider

import (
	"net/http"
	"testing"
	"time"
	_ "time/tzdata" // the judge of the rule, on every machine
)

// Google's day ends when it does by the time zone database, in every hour of
// years that begin on each day of the week, both changes of the clocks included.
func TestPacificMidnight(t *testing.T) {
	california, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		t.Fatal(err)
	}
	lengths := map[time.Duration]int{}
	for now := time.Date(2026, 1, 1, 0, 30, 0, 0, time.UTC); now.Year() < 2033; now = now.Add(time.Hour) {
		local := now.In(california)
		midnight := time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 0, 0, california)
		if got := untilPacificMidnight(now); got != midnight.Sub(now) {
			t.Fatalf("at %s: %s, want %s", local, got, midnight.Sub(now))
		}
		if local.Hour() == 0 {
			lengths[midnight.Sub(now).Round(time.Hour)]++
		}
	}
	if lengths[23*time.Hour] != 7 || lengths[25*time.Hour] != 7 {
		t.Errorf("seven years have days of these lengths: %v", lengths)
	}
}

// A day's quota of Gemini's is there again at midnight in California, by the
// server's own clock, whatever RetryInfo says of the minute.
func TestGeminiDayEnds(t *testing.T) {
	h := http.Header{"Date": {"Sun, 08 Mar 2026 09:59:00 GMT"}} // a minute before the clocks go forward
	a := Gemini{}.Answer(&geminiEndpoint, 429, h, []byte(geminiQuota("x", fill(violation, "GenerateRequestsPerDayPerProjectPerModel")+fill(retryInfo, "58s"))))
	if want := 21*time.Hour + time.Minute; a.Class != UsedUp || a.DayEnds != want {
		t.Errorf("%s, and the day ends in %s, want %s", a.Class, a.DayEnds, want)
	}
	if a := (OpenAI{}).Answer(&testEndpoint, 429, h, []byte(`{"error":{"message":"Limit reached on requests per day (RPD)."}}`)); a.Class != UsedUp || a.DayEnds != 0 {
		t.Errorf("%s, and the day of another ends in %s", a.Class, a.DayEnds)
	}
}
