package server

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkStatus is a status call over REST without net/http: 1/500 of what
// 500 of them a second cost.
func BenchmarkStatus(b *testing.B) {
	e := start(b)
	id := e.claimed(100)
	e.record(id, 1, 50)
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodGet, "/v1/jobs/"+string(id)+"/status", http.NoBody)
		r.Header.Set("X-API-Key", e.key)
		w := httptest.NewRecorder()
		e.front.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}
