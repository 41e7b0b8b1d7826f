package simulator

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// about is a prompt of about 290 bytes.
var about = strings.Repeat("Explain the work of many hands. ", 9)

// BenchmarkHTTP is server and client together over loopback, 256 in flight,
// every prompt another. "floor" is a handler that does nothing but read and
// write as much, so that the figures can be compared on a busy machine.
func BenchmarkHTTP(b *testing.B) {
	simulator := func(cfg Config) http.Handler {
		server, err := New(cfg)
		if err != nil {
			b.Fatal(err)
		}
		return server
	}
	body := []byte(strings.Repeat("x", 1300))
	for _, c := range []struct {
		name string
		http.Handler
	}{
		{"floor", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = w.Write(body)
		})},
		{"bare", simulator(Config{})},
		{"limits", simulator(Config{RPM: 1e9, TPM: 1e12, Concurrency: 1e6, Headers: true, Errors: 0.01})},
	} {
		b.Run(c.name, func(b *testing.B) { overHTTP(b, c) })
	}
}

func overHTTP(b *testing.B, h http.Handler) {
	ts := httptest.NewServer(h)
	defer ts.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}
	defer client.CloseIdleConnections()
	var n atomic.Int64
	b.SetParallelism(128) // times two cores
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, _ := http.NewRequest(http.MethodPost, ts.URL+"/v1/chat/completions", strings.NewReader(chatBody(about+strconv.FormatInt(n.Add(1), 10))))
			r.Header.Set("Authorization", "Bearer sk-any")
			res, err := client.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

// nowhere is a ResponseWriter without a connection.
type nowhere struct{ h http.Header }

func (w nowhere) Header() http.Header         { return w.h }
func (w nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (w nowhere) WriteHeader(int)             {}

// BenchmarkHandler is the simulator's own share of it.
func BenchmarkHandler(b *testing.B) {
	server, err := New(Config{})
	if err != nil {
		b.Fatal(err)
	}
	body := chatBody(about)
	r := direct("")
	r.ContentLength = int64(len(body))
	b.ReportAllocs()
	for b.Loop() {
		r.Body = io.NopCloser(strings.NewReader(body))
		server.ServeHTTP(nowhere{http.Header{}}, r)
	}
}
