//go:build linux

package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// peak is the most memory that a process has held, in bytes.
func (p *program) peak() int64 {
	p.t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	var kb int64
	fmt.Sscan(after, &kb)
	return kb << 10
}

// TestMemoryStaysFlat runs many prompts with no latency, and few large ones,
// and asks for the status meanwhile. PROMPTFORGE_E2E_PROMPTS=1000000 is the
// long form (make test-long).
func TestMemoryStaysFlat(t *testing.T) {
	many := 40_000
	if v := os.Getenv("PROMPTFORGE_E2E_PROMPTS"); v != "" {
		fmt.Sscan(v, &many)
	}
	for _, c := range []struct {
		name    string
		prompts int
		text    string
	}{
		{"many", many, "classify this ticket: " + strings.Repeat("the parcel is late ", 8)},
		{"large", many / 50, strings.Repeat("ten kilobytes of a text to summarise ", 270)},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := deploy(t, []string{"--latency", "0s", "--headers=false"})
			id := d.submit(d.key, "", promptLines(c.prompts, c.text))
			var slowest time.Duration
			begin := time.Now()
			for {
				asked := time.Now()
				j := d.job(d.key, id)
				slowest = max(slowest, time.Since(asked))
				if j.SettledAt != nil {
					if j.CompletedCount != int64(c.prompts) {
						t.Fatalf("%+v", j)
					}
					break
				}
				if time.Since(begin) > 10*time.Minute {
					t.Fatalf("not done after ten minutes: %+v", j)
				}
			}
			took := time.Since(begin)
			peak := d.server.peak()
			t.Logf("%d prompts in %s (%.0f a second), peak resident memory %d MiB, slowest status %s",
				c.prompts, took.Round(time.Millisecond), float64(c.prompts)/took.Seconds(), peak>>20, slowest.Round(time.Millisecond))
			if peak > 256<<20 {
				t.Errorf("the server's peak resident memory was %d MiB", peak>>20)
			}
		})
	}
}
