package simulator

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestMarkersOverHTTP(t *testing.T) {
	s := start(t, Config{Headers: true})
	for _, c := range []struct {
		class      string
		status     int
		kind, code string
	}{
		{"500", 500, "server_error", "null"},
		{"503", 503, "server_error", "null"},
		{"400", 400, openAIInvalid, "null"},
		{"context_length", 400, openAIInvalid, "context_length_exceeded"},
		{"401", 401, openAIInvalid, "invalid_api_key"},
		{"403", 403, "request_forbidden", "unsupported_country_region_territory"},
		{"429", 429, "requests", "rate_limit_exceeded"},
		{"too_large", 429, "tokens", "rate_limit_exceeded"},
		{"insufficient_quota", 429, "insufficient_quota", "insufficient_quota"},
		{"no_such_class", 400, openAIInvalid, "unknown_marker"},
	} {
		got := s.chat("[[simulate:" + c.class + "]]")
		e := got.complaint(t)
		if got.status != c.status || e.Type != c.kind || deref(e.Code) != c.code {
			t.Errorf("%s: %d %s", c.class, got.status, got.body)
		}
		if got, want := got.header.Get("Retry-After") != "", c.class == "429"; got != want {
			t.Errorf("%s: retry-after sent is %v", c.class, got)
		}
	}
	if e := s.chat("[[simulate:too_large]]").complaint(t); !strings.HasPrefix(e.Message, "Request too large for gpt-4o") {
		t.Error(e.Message)
	}
	if st := s.Stats(); st.RateLimited != 1 || st.Errors != 10 {
		t.Errorf("%+v", st)
	}
}

func TestMarkedAnswers(t *testing.T) {
	s := start(t, Config{})
	filtered := s.chat("[[simulate:content_filter]]").completion(t)
	if c := filtered.Choices[0]; c.FinishReason != "content_filter" || deref(c.Message.Content) != "" || filtered.Usage.Completion != 0 {
		t.Errorf("content_filter: %+v", filtered)
	}
	refused := s.chat("[[simulate:refusal]]").completion(t)
	if c := refused.Choices[0]; c.FinishReason != "stop" || c.Message.Content != nil || c.Message.Refusal == nil {
		t.Errorf("refusal: %+v", refused)
	}
	empty := s.chat("[[simulate:empty]]").completion(t)
	if c := empty.Choices[0]; c.FinishReason != "length" || deref(c.Message.Content) != "" || empty.Usage.Completion == 0 ||
		empty.Usage.CompletionDetails["reasoning_tokens"] != empty.Usage.Completion {
		t.Errorf("empty: %+v", empty)
	}
	if st := s.Stats(); st.Answered != 3 {
		t.Errorf("all three are answers: %+v", st)
	}
}

func TestMarkerCounts(t *testing.T) {
	s := start(t, Config{})
	const prompt = "[[simulate:500:2]] hello"
	for i, want := range []int{500, 500, 200, 200} {
		if got := s.chat(prompt); got.status != want {
			t.Errorf("attempt %d: %d", i, got.status)
		}
	}
	if got := s.chat("[[simulate:500:2]] another"); got.status != 500 {
		t.Errorf("attempts of one prompt count for another: %d", got.status)
	}
}

func TestReset(t *testing.T) {
	s := start(t, Config{})
	_, err := s.do("POST", "/v1/chat/completions", chatBody("[[simulate:reset]]"))
	if !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("got %v, want a reset", err)
	}
	if st := s.Stats(); st.Resets == 0 || st.Resets != st.Requests {
		t.Errorf("%+v", st)
	}
}

// Without a connection to reset there is still no answer.
func TestResetWithoutConnection(t *testing.T) {
	s, _ := New(Config{})
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("panics with %v", err)
		}
		checkSum(t, s.Stats())
	}()
	s.ServeHTTP(httptest.NewRecorder(), direct("[[simulate:reset]]"))
}

func TestGarbage(t *testing.T) {
	s := start(t, Config{})
	whole := len(s.chat("[[simulate:answer]]").body)
	for _, c := range []struct {
		class string
		check func(reply, error) bool
	}{
		{"garbage", func(r reply, err error) bool {
			return err == nil && r.status == 200 && strings.HasPrefix(r.body, `{"id":"chatcmpl-`) && len(r.body) < whole*2/3
		}},
		{"truncated", func(r reply, err error) bool {
			return errors.Is(err, io.ErrUnexpectedEOF) && r.status == 200 && strings.HasPrefix(r.body, `{"id":"chatcmpl-`)
		}},
		{"html", func(r reply, err error) bool {
			return err == nil && r.status == 200 && strings.HasPrefix(r.header.Get("Content-Type"), "text/html") && strings.HasPrefix(r.body, "<!DOCTYPE html>")
		}},
	} {
		if got, err := s.do("POST", "/v1/chat/completions", chatBody("[[simulate:"+c.class+"]]")); !c.check(got, err) {
			t.Errorf("%s: %d %q %v", c.class, got.status, got.body, err)
		}
	}
	if st := s.Stats(); st.Garbage != 3 || st.Answered != 1 {
		t.Errorf("%+v", st)
	}
}

// A hang ends when the client leaves, which net/http must notice.
func TestHang(t *testing.T) {
	s := start(t, Config{})
	ctx, leave := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/v1/chat/completions", strings.NewReader(chatBody("[[simulate:hang]]")))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer sk-any")
	// Watched from inside: the client leaves once the server hangs.
	var done sync.WaitGroup
	done.Go(func() {
		for s.Stats().Hangs == 0 && ctx.Err() == nil {
			s.must("GET", "/_stats", "")
		}
		leave()
	})
	if _, err := s.web.Do(r); !errors.Is(err, context.Canceled) {
		t.Errorf("the hang ended with %v", err)
	}
	leave()
	done.Wait()
	// start's clean-up waits for the handler and checks that none is in flight.
}

func TestLatency(t *testing.T) {
	for _, c := range []struct {
		name   string
		cfg    Config
		prompt string
		want   time.Duration
	}{
		{"latency", Config{Latency: 50 * time.Millisecond}, "a", 50 * time.Millisecond},
		{
			"per token",
			Config{Latency: 50 * time.Millisecond, PerToken: time.Millisecond},
			"a",
			50*time.Millisecond + time.Duration(tokensIn(Answer("a")))*time.Millisecond,
		},
		{
			"jitter",
			Config{Latency: 50 * time.Millisecond, Jitter: true},
			"a",
			(&Config{Latency: 50 * time.Millisecond, Jitter: true}).latency(keyOf("a"), 0),
		},
		{"server error", Config{Latency: 50 * time.Millisecond, PerToken: time.Second}, "[[simulate:500]]", 50 * time.Millisecond},
		{"client error", Config{Latency: 50 * time.Millisecond}, "[[simulate:400]]", 0},
		{"rate", Config{Latency: 50 * time.Millisecond}, "[[simulate:429]]", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := New(c.cfg)
				began := time.Now()
				s.ServeHTTP(httptest.NewRecorder(), direct(c.prompt))
				if got := time.Since(began); got != c.want {
					t.Errorf("took %v, want %v", got, c.want)
				}
				checkSum(t, s.Stats())
			})
		})
	}
}

func TestAborted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := New(Config{Latency: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		w := httptest.NewRecorder()
		s.ServeHTTP(w, direct("a").WithContext(ctx))
		if w.Body.Len() > 0 {
			t.Errorf("answered to nobody: %s", w.Body)
		}
		if st := s.Stats(); st.Aborted != 1 || st.Answered != 0 {
			t.Errorf("%+v", st)
		}
		checkSum(t, s.Stats())
	})
}

func TestConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := New(Config{Latency: time.Second, Concurrency: 3, Headers: true})
		var calls sync.WaitGroup
		codes := make([]int, 10)
		for i := range codes {
			calls.Go(func() {
				w := httptest.NewRecorder()
				s.ServeHTTP(w, direct(strconv.Itoa(i)))
				codes[i] = w.Code
				if w.Header().Get("Retry-After") != "" {
					t.Error("says when a place falls free")
				}
			})
		}
		synctest.Wait()
		if st := s.Stats(); st.InFlight != 3 || st.RateLimited != 7 {
			t.Errorf("%+v", st)
		}
		calls.Wait()
		ok := 0
		for _, code := range codes {
			if code == 200 {
				ok++
			}
		}
		if st := s.Stats(); ok != 3 || st.Answered != 3 || st.MaxInFlight < 3 || st.MaxInFlight > 10 {
			t.Errorf("%d ok, %+v", ok, st)
		}
		w := httptest.NewRecorder()
		if s.ServeHTTP(w, direct("later")); w.Code != http.StatusOK {
			t.Errorf("the places did not fall free: %d", w.Code)
		}
		checkSum(t, s.Stats())
	})
}

// Whoever waits as long as the refusal says gets through; whoever waits a
// millisecond less does not.
func TestRateOverTime(t *testing.T) {
	for _, kind := range []string{Bucket, Fixed, Sliding} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _ := New(Config{RPM: 90, LimitKind: kind, Headers: true})
				call := func() *httptest.ResponseRecorder {
					w := httptest.NewRecorder()
					s.ServeHTTP(w, direct("a"))
					return w
				}
				refusals := 0
				for range 300 {
					w := call()
					if w.Code == 200 {
						continue
					}
					refusals++
					ms, err := strconv.Atoi(w.Header().Get("Retry-After-Ms"))
					if err != nil || ms < 1 {
						t.Fatalf("retry-after-ms: %q", w.Header().Get("Retry-After-Ms"))
					}
					if seconds := w.Header().Get("Retry-After"); seconds != strconv.Itoa((ms+999)/1000) {
						t.Errorf("retry-after: %s for %d ms", seconds, ms)
					}
					time.Sleep(time.Duration(ms-1) * time.Millisecond)
					if w := call(); w.Code != 429 {
						t.Fatalf("passed a millisecond early: %d", w.Code)
					}
					time.Sleep(time.Millisecond)
					if w := call(); w.Code != 200 {
						t.Fatalf("waited as told, and got %d", w.Code)
					}
				}
				if refusals == 0 {
					t.Error("the limit was never met")
				}
				// Refusals are no attempts.
				if got := s.ledger.tally(keyOf("a")); got.attempts != got.answered || got.limited == 0 || got.requests != got.attempts+got.limited {
					t.Errorf("%+v", got)
				}
				checkSum(t, s.Stats())
			})
		})
	}
}

func TestRateHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := New(Config{RPM: 600, TPM: 60_000, LimitKind: Fixed, Headers: true})
		w := httptest.NewRecorder()
		s.ServeHTTP(w, direct("a"))
		cost := tokensIn("Be brief.") + tokensIn("a") + tokensIn(Answer("a"))
		for name, want := range map[string]string{
			"x-ratelimit-limit-requests": "600", "x-ratelimit-remaining-requests": "599", "x-ratelimit-reset-requests": "1m0s",
			"x-ratelimit-limit-tokens": "60000", "x-ratelimit-remaining-tokens": strconv.Itoa(60_000 - cost), "x-ratelimit-reset-tokens": "1m0s",
			"retry-after": "", "retry-after-ms": "",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s: %q, want %q", name, got, want)
			}
		}
		silent, _ := New(Config{RPM: 1, LimitKind: Fixed})
		for range 2 {
			w = httptest.NewRecorder()
			silent.ServeHTTP(w, direct("a"))
			for name := range w.Header() {
				if strings.HasPrefix(name, "X-Ratelimit") || strings.HasPrefix(name, "Retry-") {
					t.Errorf("sends %s though told not to", name)
				}
			}
		}
		if w.Code != 429 || !strings.Contains(w.Body.String(), "Rate limit reached for gpt-4o in organization org-simulator on requests per min (RPM): Limit 1, Used 1, Requested 1. Please try again in 1m0s.") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func TestOpenAIDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", time.Nanosecond: "1ms", 12 * time.Millisecond: "12ms", time.Second: "1s", 8640 * time.Millisecond: "8.64s", 6 * time.Minute: "6m0s",
	} {
		if got := openAIDuration(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// A prompt of more tokens than a minute has is told so, and spends nothing.
func TestTooLarge(t *testing.T) {
	s := start(t, Config{TPM: 1000, Headers: true})
	got := s.chat(strings.Repeat("long", 2000))
	if e := got.complaint(t); got.status != 429 || e.Type != "tokens" || !strings.HasPrefix(e.Message, "Request too large") || got.header.Get("Retry-After") != "" {
		t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
	if got := s.chat("a"); got.status != 200 {
		t.Errorf("the next one: %d %s", got.status, got.body)
	}
	if st := s.Stats(); st.Errors != 1 || st.RateLimited != 0 {
		t.Errorf("%+v", st)
	}
}

// Accident to avoid: faults that depend on who came first. The same prompts in
// another order, from many clients at once, must meet the same fates.
func TestFaultsInAnyOrder(t *testing.T) {
	fates := func(reverse bool) map[string]string {
		s := start(t, Config{Errors: 0.3, Garbage: 0.3, Seed: 5})
		var mu sync.Mutex
		var calls sync.WaitGroup
		out := map[string]string{}
		const n = 60
		for worker := range 4 {
			calls.Go(func() {
				for i := worker; i < n; i += 4 {
					prompt := strconv.Itoa(i)
					if reverse {
						prompt = strconv.Itoa(n - 1 - i)
					}
					fate := ""
					for range 3 {
						r, err := s.do("POST", "/v1/chat/completions", chatBody(prompt))
						fate += strconv.Itoa(r.status) + r.header.Get("Content-Type")
						if err != nil {
							fate += " cut"
						}
					}
					mu.Lock()
					out[prompt] = fate
					mu.Unlock()
				}
			})
		}
		calls.Wait()
		return out
	}
	a, b := fates(false), fates(true)
	distinct := map[string]bool{}
	for prompt, fate := range a {
		distinct[fate] = true
		if b[prompt] != fate {
			t.Errorf("%s: %s, and in another order %s", prompt, fate, b[prompt])
		}
	}
	if len(distinct) < 5 {
		t.Errorf("only %d fates among 60 prompts", len(distinct))
	}
}
