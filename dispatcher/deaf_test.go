package dispatcher

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/simulator"
	"github.com/promptforge/promptforge/storage"
)

// deafStore keeps what it is given, and now and then says that it failed.
type deafStore struct {
	storage.Store
	records, lost atomic.Int64
}

func (s *deafStore) Record(ctx context.Context, records []storage.Record) ([]storage.Recorded, error) {
	out, err := s.Store.Record(ctx, records)
	if err == nil && s.records.Add(1)%3 == 0 && s.lost.Add(1) <= 5 {
		return nil, errors.New("the acknowledgement was lost")
	}
	return out, err
}

// TestLostAcknowledgement: what is recorded again, since nobody knew that it
// was, is counted once.
func TestLostAcknowledgement(t *testing.T) {
	b := newBench(t, simulator.Config{Latency: 20 * time.Millisecond})
	s := &deafStore{Store: b.store}
	b.start(func(c *Config) { c.Store = s })
	const n = 3000
	id := b.submit("a", job.Job{}, prompts(n, "deaf")...)
	j := b.wait(id, settled)
	if s.lost.Load() == 0 {
		t.Fatal("no acknowledgement was lost: the test can't fail")
	}
	if sent := int64(b.sim.Stats().Requests); j.CompletedCount != n || j.RequestsSent != sent || sent != n || j.PossiblyRepaid != 0 {
		t.Errorf("%d completed, %d sent, the provider saw %d, %d repaid", j.CompletedCount, j.RequestsSent, sent, j.PossiblyRepaid)
	}
	b.answered(id, n, "deaf")
}
