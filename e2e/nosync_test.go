//go:build power && linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/promptforge/promptforge/internal/durable"
)

// controls is how many schedules may pass before the removal of a sync is
// noticed.
const controls = 20

// TestEverySyncIsNeeded takes away one of our syncs at a time, and the power
// schedules must notice each. Else either the sync is of no use, or the test is
// not.
func TestEverySyncIsNeeded(t *testing.T) {
	needPower(t)
	program := filepath.Join(t.TempDir(), "promptforge-nosync")
	if out, err := exec.Command("go", "build", "-tags", "unsafe_nosync", "-o", program, "../cmd/promptforge").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, point := range durable.Points() {
		t.Run(string(point), func(t *testing.T) {
			b := build{program, []string{"PROMPTFORGE_UNSAFE_NOSYNC=" + string(point)}}
			play := b.serve
			switch point {
			case durable.OutcomesFile, durable.OutcomesName:
				play = b.run
			case durable.DownloadFile, durable.DownloadsName:
				play = b.download
			case durable.StoreFound:
				play = b.found
			case durable.StoreName, durable.CompactFile:
				play = b.compact
			}
			n, finding := b.caught(t, play)
			if finding == nil {
				t.Fatalf("%d schedules passed without the sync of %s", n, point)
			}
			first := finding.Error()
			t.Logf("noticed after %d: %.3000s", n, first)
		})
	}
}

// caught plays schedules until one finds something, and says after how many.
func (b build) caught(t *testing.T, play func(seed uint64, dir string, sum *tally) error) (played int, finding error) {
	t.Helper()
	var mu sync.Mutex
	seeds := make(chan uint64)
	var players sync.WaitGroup
	for range 2 {
		players.Go(func() {
			for seed := range seeds {
				dir := memoryDir(t)
				err := play(seed, dir, &tally{})
				os.RemoveAll(dir)
				var broken *stageError
				mu.Lock()
				played++
				switch {
				case errors.As(err, &broken):
					t.Error(err)
				case errors.Is(err, context.DeadlineExceeded): // a slow machine proves nothing
					t.Log(err)
				case err != nil && finding == nil:
					finding = fmt.Errorf("seed %d: %w", seed, err)
				}
				mu.Unlock()
			}
		})
	}
	for seed := range uint64(controls) {
		seeds <- seed
		mu.Lock()
		done := finding != nil
		mu.Unlock()
		if done {
			break
		}
	}
	close(seeds)
	players.Wait()
	return played, finding
}
