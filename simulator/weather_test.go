package simulator

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// status is what a chat request for prompt gets, without a connection.
func status(s *Server, prompt string) int { return recorded(s, direct(prompt)).Code }

func recorded(s *Server, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// An hour of outage begins, is the same for all, and ends.
func TestWeatherPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := New(Config{RPM: 1, LimitKind: Fixed, Headers: true})
		if err := s.SetWeather(Weather{Class: "503", For: "1h"}); err != nil {
			t.Fatal(err)
		}
		for range 60 {
			if a, b := status(s, "a"), status(s, "[[simulate:answer]]"); a != 503 || b != 503 {
				t.Fatalf("in the outage: %d and %d", a, b)
			}
			time.Sleep(time.Minute)
		}
		// The outage took nothing of the limit.
		if got := status(s, "a"); got != 200 {
			t.Errorf("after it: %d", got)
		}
		if got := s.ledger.tally(keyOf("a")); got.attempts != 1 || got.requests != 61 {
			t.Errorf("the outage was counted as attempts: %+v", got)
		}
		checkSum(t, s.Stats())
	})
}

// The credit is used up after 3 answers and topped up later; what was answered
// before counts, and what a prompt meets afterwards is what it would have met.
func TestWeatherAfter(t *testing.T) {
	s, _ := New(Config{})
	if err := s.SetWeather(Weather{Class: "insufficient_quota", After: 3}); err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, prompt := range []string{"a", "[[simulate:500:1]]", "b", "c", "d", "e"} {
		got = append(got, status(s, prompt))
	}
	if want := [6]int{200, 500, 200, 200, 429, 429}; [6]int(got) != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := s.SetWeather(); err != nil {
		t.Fatal(err)
	}
	if got := status(s, "[[simulate:500:1]]"); got != 200 {
		t.Errorf("after it was topped up: %d", got)
	}
}

// A refusal says how long the weather lasts.
func TestWeatherTellsItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := New(Config{Headers: true})
		_ = s.SetWeather(Weather{Class: "day_quota", For: "2h"})
		status(s, "a")
		time.Sleep(30 * time.Minute)
		if got := recorded(s, direct("a")).Header().Get("Retry-After"); got != "5400" {
			t.Errorf("retry-after: %q, want 90 minutes", got)
		}
		_ = s.SetWeather(Weather{Class: "429_silent"})
		if w := recorded(s, direct("a")); w.Code != 429 || w.Header().Get("Retry-After") != "" {
			t.Errorf("%d, retry-after %q", w.Code, w.Header().Get("Retry-After"))
		}
		_ = s.SetWeather(Weather{Class: "day_quota"})
		// The bubble's clock began at midnight (UTC).
		if got := recorded(s, direct("a")).Header().Get("Retry-After"); got != "84600" {
			t.Errorf("retry-after: %q, want what is left of the day", got)
		}
	})
}

func TestWeatherIsLocal(t *testing.T) {
	s, _ := New(Config{Seed: 4})
	_ = s.SetWeather(
		Weather{Class: "401", Key: "sk-old"},
		Weather{Class: "529", Dialect: "anthropic"},
		Weather{Class: "404", Model: "gpt-4o-mini"},
	)
	if got := status(s, "a"); got != 200 {
		t.Errorf("an unknown class was taken: %d", got)
	}
	if err := s.SetWeather(
		Weather{Class: "401", Key: "sk-old"},
		Weather{Class: "529", Dialect: "anthropic"},
		Weather{Class: "503", Model: "gpt-4o-mini"},
	); err != nil {
		t.Fatal(err)
	}
	old := direct("a")
	old.Header.Set("Authorization", "Bearer sk-old")
	mini := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(`{"model":"gpt-4o-mini","messages":[{"role":"user","content":"a"}]}`))
	mini.Header.Set("Authorization", "Bearer sk-any")
	claude := talks[1].request("", "a")
	for i, want := range []int{401, 503, 529, 200} {
		if got := recorded(s, []*http.Request{old, mini, claude, direct("a")}[i]).Code; got != want {
			t.Errorf("%d: %d, want %d", i, got, want)
		}
	}
	_ = s.SetWeather(Weather{Class: "500", Share: 0.3})
	failed := 0
	for i := range 2000 {
		if status(s, strings.Repeat("x", i+1)) == 500 {
			failed++
		}
	}
	if failed < 500 || failed > 700 {
		t.Errorf("%d of 2000 fail, want about 600", failed)
	}
	// Another request for the same prompt is another throw.
	seen := map[int]bool{}
	for range 50 {
		seen[status(s, "again")] = true
	}
	if !seen[200] || !seen[500] {
		t.Errorf("one prompt, always the same fate: %v", seen)
	}
}

func TestWeatherOverHTTP(t *testing.T) {
	s := start(t, Config{})
	if got := s.must("POST", "/_weather", ` {"class":"503","for":"1h"} `); got.status != 200 || got.body != `[{"class":"503","for":"1h"}]`+"\n" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := s.chat("a"); got.status != 503 {
		t.Errorf("%d", got.status)
	}
	for _, c := range []struct{ body, want string }{
		{``, "must be an object"},
		{`503`, "must be an object"},
		{`{"class":"503"} {}`, "must be an object"},
		{`{"class":"teapot"}`, "class must be one of 400, "},
		{`{"class":"503","until":"1h"}`, `unknown field "until"`},
		{`{"class":"503","for":"soon"}`, "for must be a time"},
		{`{"class":"503","for":"-1s"}`, "for must be a time"},
		{`{"class":"503","after":-1}`, "after must not be negative"},
		{`{"class":"503","share":1.5}`, "share must be from 0 to 1"},
		{`{"class":"503","dialect":"klingon"}`, "dialect must be openai"},
	} {
		got := s.must("POST", "/_weather", c.body)
		if got.status != 400 || !strings.HasPrefix(got.body, "The weather is left as it was: ") || !strings.Contains(got.body, c.want) {
			t.Errorf("%s: %d %s", c.body, got.status, got.body)
		}
	}
	if got := s.must("GET", "/_weather", ""); got.body != `[{"class":"503","for":"1h"}]`+"\n" {
		t.Errorf("a mistake changed it: %s", got.body)
	}
	if got := s.must("POST", "/_weather", `[{"class":"500","model":"x"},{"class":"429"}]`); got.status != 200 || s.chat("a").status != 429 {
		t.Errorf("a list: %d %s", got.status, got.body)
	}
	if got := s.must("DELETE", "/_weather", ""); got.body != "[]\n" || s.chat("a").status != 200 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := s.must("POST", "/_weather", `[]`); got.status != 200 || got.body != "[]\n" {
		t.Errorf("%d %s", got.status, got.body)
	}
}
