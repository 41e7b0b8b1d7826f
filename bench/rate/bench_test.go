package rate

import (
	"testing"
	"time"
)

// A run of 20 minutes at 30,000 a minute is 600,000 requests.
func BenchmarkRun(b *testing.B) {
	for _, bb := range []struct {
		name string
		rpm  float64
	}{{"600rpm", 600}, {"30000rpm", 30_000}} {
		b.Run(bb.name, func(b *testing.B) {
			var lab Lab
			sc := base(law{Bucket, time.Second, false}, bb.rpm, Told)
			for b.Loop() {
				lab.Run(&sc, NewPaced(bb.rpm), 1)
			}
		})
	}
}
