package rate

import (
	"testing"
	"time"
)

// BenchmarkController is what a request costs at ten thousand a second.
func BenchmarkController(b *testing.B) {
	c := New(Config{Concurrency: 4096}, nil, start)
	now := start
	b.ReportAllocs()
	for b.Loop() {
		for {
			ok, _ := c.Permit(now, Size{Bytes: 100})
			if ok {
				break
			}
			now = now.Add(100 * time.Microsecond)
		}
		k := c.Sent(now, Size{Bytes: 100})
		now = now.Add(100 * time.Microsecond)
		c.Answered(now, Feedback{Ticket: k, Bytes: 100, Tokens: 50})
	}
}

// A refusal is explained under every law.
func BenchmarkExplain(b *testing.B) {
	var tr trace
	tr.begin(0, 1, 0)
	for i := range 1000 {
		tr.add(float64(i+3)/10, float64(i))
	}
	s := refusedSpan{&tr, 100.3, 1000, 10, 0, 1}
	for b.Loop() {
		s.explain()
	}
}
