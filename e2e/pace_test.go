//go:build live

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A livePace is a provider whose limit the server has to find while it works.
type livePace struct {
	kind    string // as simulate's --limit-kind
	rpm     int
	prompts int
}

// paces returns what TestLivePace runs: a bucket for a minute, and in the long
// form a fast one too and windows, each for five.
func paces() []livePace {
	short := []livePace{{"bucket", 600, 600}}
	if !longForm() {
		return short
	}
	return append(short, livePace{"bucket", 6000, 6000}, livePace{"fixed", 600, 3000}, livePace{"sliding", 600, 3000})
}

// oracle is how long the job takes one that knows the limit and sends evenly
// at it from the first moment.
func (p livePace) oracle(latency time.Duration) time.Duration {
	return time.Duration(p.prompts-1)*time.Minute/time.Duration(p.rpm) + latency
}

// TestLivePace has a server find a provider's limit in real time, where it is
// told in headers and where it is not, and holds its time and its refusals
// against those of one that knows it. A refused request costs nothing here.
func TestLivePace(t *testing.T) {
	const latency = 50 * time.Millisecond
	for _, pace := range paces() {
		for _, headers := range []bool{true, false} {
			name := fmt.Sprintf("%s %d rpm %d prompts headers %v", pace.kind, pace.rpm, pace.prompts, headers)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				slowest, refusals := 1.15, 0.03
				if headers {
					slowest, refusals = 1.05, 0.01
				}
				d := deploy(t, []string{
					"--latency", latency.String(), "--rpm", fmt.Sprint(pace.rpm),
					"--limit-kind", pace.kind, fmt.Sprintf("--headers=%v", headers),
				})
				limit, stop := context.WithTimeout(context.Background(), 10*time.Minute)
				defer stop()
				id, upload := d.initiated(d.key, "")
				begin := time.Now()
				put, err := http.NewRequest("PUT", upload, strings.NewReader(promptLines(pace.prompts, "paced")))
				if err != nil {
					t.Fatal(err)
				}
				call(t, put, 200, nil)
				d.end(limit, d.key, id)
				took := time.Since(begin)
				d.answered(d.key, id, pace.prompts, "paced")

				seen, job := d.stats(), d.job(d.key, id)
				ratio := took.Seconds() / pace.oracle(latency).Seconds()
				refused := float64(seen.RateLimited) / float64(pace.prompts)
				t.Logf("%.1f s, %.3f of the oracle's time; %d refused, %.2f %%; %d answered for %d prompts",
					took.Seconds(), ratio, seen.RateLimited, 100*refused, seen.Answered, pace.prompts)
				if ratio > slowest {
					t.Errorf("it took %.3f of the oracle's time, want at most %.2f", ratio, slowest)
				}
				if refused > refusals {
					t.Errorf("%.2f %% of the prompts were refused once, want at most %.0f %%", 100*refused, 100*refusals)
				}
				if seen.Answered != int64(pace.prompts) || job.CompletedCount != int64(pace.prompts) {
					t.Errorf("%d were answered and %d completed of %d", seen.Answered, job.CompletedCount, pace.prompts)
				}
			})
		}
	}
}
