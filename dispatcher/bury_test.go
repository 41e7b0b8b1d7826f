package dispatcher

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/simulator"
	"github.com/promptforge/promptforge/storage"
)

// A job whose prompts are gone or damaged fails, and keeps the client's next
// job from nothing.
func TestDispatcherWithoutAPromptsFile(t *testing.T) {
	for name, harm := range map[string]func(path string) error{
		"gone": os.Remove,
		"cut":  func(path string) error { return os.Truncate(path, 10) },
		"damaged": func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b[20] ^= 0xff
			return os.WriteFile(path, b, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, simulator.Config{})
			id := b.submit("a", job.Job{}, prompts(100, "lost")...)
			next := b.submit("a", job.Job{}, prompts(5, "next")...)
			j, err := b.store.Job(context.Background(), "a", id)
			if err != nil {
				t.Fatal(err)
			}
			if err := harm(filepath.Join(b.dir, "files", j.Prompts.Name)); err != nil {
				t.Fatal(err)
			}
			b.start(nil)
			if j := b.wait(id, settled); j.Status != job.Failed || !strings.Contains(j.FailureReason, "prompts file is damaged") {
				t.Errorf("%s: %s", j.Status, j.FailureReason)
			}
			if j := b.wait(next, settled); j.Status != job.Completed {
				t.Errorf("the next job is %s", j.Status)
			}
		})
	}
}

// A job whose provider left the configuration is held, and can be cancelled.
func TestDispatcherWithoutTheProvider(t *testing.T) {
	b := newBench(t, simulator.Config{Latency: 50 * time.Millisecond})
	b.start(nil)
	id := b.submit("a", job.Job{}, prompts(5000, "left")...)
	next := b.submit("a", job.Job{}, prompts(5, "next")...)
	b.wait(id, func(j *job.Job) bool { return j.CompletedCount > 20 })
	if err := b.end(); err != nil {
		t.Fatal(err)
	}
	b.configured = "another"
	b.start(nil)
	if _, err := b.store.Cancel(context.Background(), "a", id, time.Now()); err != nil {
		t.Fatal(err)
	}
	if j := b.wait(id, settled); j.Status != job.Cancelled || int64(len(b.outcomes(id))) != j.CompletedCount {
		t.Errorf("%s with %d", j.Status, j.CompletedCount)
	}
	b.wait(next, func(j *job.Job) bool { return j.Status == job.Processing && held(j) && j.RequestsSent == 0 })
}

// refusingStore takes no outcomes.
type refusingStore struct {
	storage.Store
	refused chan struct{}
}

func (s *refusingStore) Record(context.Context, []storage.Record) ([]storage.Recorded, error) {
	select {
	case s.refused <- struct{}{}:
	default:
	}
	return nil, errors.New("no space left on device")
}

// A store that takes no writes keeps nobody from stopping.
func TestDispatcherStopsWhileTheStoreRefuses(t *testing.T) {
	b := newBench(t, simulator.Config{})
	b.submit("a", job.Job{}, prompts(50, "refused")...)
	store := &refusingStore{Store: b.store, refused: make(chan struct{})}
	b.start(func(c *Config) { c.Store, c.DrainTimeout = store, 100*time.Millisecond })
	<-store.refused
	stopped := make(chan error, 1)
	go func() { stopped <- b.end() }()
	select {
	case <-stopped:
	case <-time.After(20 * time.Second):
		t.Fatal("it did not stop")
	}
}
