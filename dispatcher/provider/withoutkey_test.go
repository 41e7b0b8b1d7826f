package provider

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestQuotedCredential: a server that quotes the credential that it was sent
// tells it to nobody, neither in an error nor in the whole answer.
func TestQuotedCredential(t *testing.T) {
	const key = "sk-canary-0123456789"
	for _, status := range []int{200, 400, 401, 429, 500} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
			said := r.Header.Get("Authorization")
			io.WriteString(w, `{"model":"m","choices":[{"message":{"content":"you are `+said+`"}}],"error":{"message":"not `+said+`"}}`)
		}))
		e := testEndpoint
		e.BaseURL, e.Key = srv.URL+"/v1", key
		c := NewClient(e, ClientConfig{InFlight: 1, Timeout: time.Minute, Model: "m"})
		a := send(t, c)
		c.Close()
		srv.Close()
		if all := a.Text + a.Message + string(a.Response); strings.Contains(all, key) || !strings.Contains(all, "Bearer …") {
			t.Errorf("%d: %+v, %s", status, a, a.Response)
		}
	}
}

// TestPlaceholderCredential: where any word does as a credential, answers
// that hold the word stay as they are.
func TestPlaceholderCredential(t *testing.T) {
	body := []byte(`{"many":"any"}`)
	if got := withoutKey(body, "any"); string(got) != string(body) {
		t.Errorf("it became %s", got)
	}
	e := testEndpoint
	e.Key = "any"
	if a := (OpenAI{}).Answer(&e, 400, http.Header{}, []byte(`{"error":{"message":"as many as any"}}`)); a.Message != "as many as any" {
		t.Errorf("it became %q", a.Message)
	}
	e.Key = "correcthorse" // letters alone, but no placeholder
	if a := (OpenAI{}).Answer(&e, 401, http.Header{}, []byte(`{"error":{"message":"Wrong key: correcthorse"}}`)); strings.Contains(a.Message, e.Key) {
		t.Errorf("a password of letters is told: %q", a.Message)
	}
}
