package rate

import (
	"testing"
	"time"
)

// A deep bucket that fell lets some pass after each wait: that it is shut again
// and again at once tells of the fall all the same.
func TestFallOfADeepBucketIsSeen(t *testing.T) {
	var lab Lab
	for _, sc := range changing(Silent, 0.1) {
		if sc.RPM != 30_000 || !sc.Counted || sc.Depth < minute {
			continue
		}
		if run := lab.Run(&sc, Ours(&sc), 1); run.CalmTime() > 15*time.Second {
			t.Errorf("%s: calm after %v", sc.Name(), run.CalmTime())
		}
	}
}
