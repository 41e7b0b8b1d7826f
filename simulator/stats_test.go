package simulator

import (
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStatsOverHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := New(Config{})
		get := func(path string) string {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
			if w.Code != 200 {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
			return w.Body.String()
		}
		send := func(prompt string) { s.ServeHTTP(httptest.NewRecorder(), direct(prompt)) }

		const zero = `{"requests":0,"answered":0,"rate_limited":0,"errors":0,"resets":0,"hangs":0,"garbage":0,"aborted":0,` +
			`"in_flight":0,"max_in_flight":0,"prompts":0,"answered_more_than_once":0,"max_answers_per_prompt":0`
		if diff := cmp.Diff(zero+"}\n", get("/_stats")); diff != "" {
			t.Errorf("at first: %s", diff)
		}
		if diff := cmp.Diff(zero+`,"by_prompt":{}}`+"\n", get("/_stats?prompts=true")); diff != "" {
			t.Errorf("at first: %s", diff)
		}

		first := time.Now().UTC()
		send("a")
		send("a")
		send("a")
		time.Sleep(time.Minute)
		send("b")
		send("b")
		send("[[simulate:429]]")
		last := time.Now().UTC()

		var got struct {
			Stats
			ByPrompt map[string]PromptStats `json:"by_prompt"`
		}
		strict(t, get("/_stats?prompts=true"), &got)
		want := got
		counts := Counts{Requests: 6, Answered: 5, RateLimited: 1}
		want.Stats = Stats{
			Counts: counts, MaxInFlight: 1, Prompts: 3,
			AnsweredMoreThanOnce: 2, MaxAnswersPerPrompt: 3, FirstRequestAt: first, LastRequestAt: last,
			ByDialect: map[string]Counts{"openai": counts},
		}
		want.ByPrompt = map[string]PromptStats{
			PromptKey("a"): {Requests: 3, Answered: 3}, PromptKey("b"): {Requests: 2, Answered: 2},
			PromptKey("[[simulate:429]]"): {Requests: 1, RateLimited: 1},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(want.Stats, s.Stats()); diff != "" {
			t.Errorf("Stats says otherwise: %s", diff)
		}
		if diff := cmp.Diff(`{"requests":3,"answered":3,"rate_limited":0}`+"\n", get("/_stats?prompt="+PromptKey("a"))); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(`{"requests":0,"answered":0,"rate_limited":0}`+"\n", get("/_stats?prompt="+PromptKey("never"))); diff != "" {
			t.Error(diff)
		}

		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/_reset", nil))
		if got := get("/_stats?prompts=true"); w.Code != 204 || got != zero+`,"by_prompt":{}}`+"\n" {
			t.Errorf("after the reset (%d): %s", w.Code, got)
		}
	})
}

func TestControlRefuses(t *testing.T) {
	s := start(t, Config{})
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/_stats?prompt=xyz", 400}, {"GET", "/_reset", 404}, {"POST", "/_stats", 404}, {"GET", "/_other", 404},
	} {
		if got := s.must(c.method, c.path, ""); got.status != c.status {
			t.Errorf("%s %s: %d", c.method, c.path, got.status)
		}
	}
}

// A reset forgets attempts and what the limits have counted.
func TestResetStartsAnew(t *testing.T) {
	s := start(t, Config{RPM: 1, LimitKind: Fixed})
	for range 2 {
		if got := s.chat("[[simulate:500:1]]"); got.status != 500 {
			t.Errorf("first attempt: %d", got.status)
		}
		if got := s.chat("[[simulate:500:1]]"); got.status != 429 {
			t.Errorf("beyond the limit: %d", got.status)
		}
		s.must("POST", "/_reset", "")
	}
}

func TestByPromptIsJSON(t *testing.T) {
	s, _ := New(Config{})
	for i := range uint64(5000) {
		var k key
		binary.BigEndian.PutUint64(k[:], splitmix(i))
		s.ledger.attempt(k)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/_stats?prompts=true", nil))
	var got struct {
		ByPrompt map[string]PromptStats `json:"by_prompt"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(w.Body.String(), `"requests":1,`); len(got.ByPrompt) != 5000 || n != 5000 {
		t.Errorf("%d prompts, %d of one request", len(got.ByPrompt), n)
	}
}

// A million distinct prompts, each tried and answered, take at most 100 MB.
func TestLedgerMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("a million prompts take a second")
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	l := new(ledger)
	for i := range uint64(1_000_000) {
		var k key
		binary.BigEndian.PutUint64(k[:], splitmix(i))
		l.attempt(k)
		l.answer(k, openAIPlace)
	}
	used := heap() - before
	t.Logf("%d MB", used>>20)
	if used > 100<<20 {
		t.Errorf("%d bytes", used)
	}
	if l.prompts.Load() != 1_000_000 || l.repeated.Load() != 0 || l.maxAnswers.Load() != 1 {
		t.Errorf("%d prompts, %d repeated", l.prompts.Load(), l.repeated.Load())
	}
	runtime.KeepAlive(l)
}
