package bolt_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/bolt"
)

const benchOutcome = 1500

// sealer seals what is frozen, as a dispatcher would but for the file.
type sealer struct {
	store *bolt.Store
	lease storage.Lease
	id    job.ID
	n     int64
	took  []time.Duration // the transaction alone
}

func (s *sealer) seal(b *testing.B) {
	ctx := context.Background()
	segment, err := s.store.Freeze(ctx, s.lease.Term, s.id)
	if err != nil {
		b.Fatal(err)
	}
	part := storage.NewPart{Part: storage.Part{Name: fmt.Sprint("part/", s.n), Range: segment.Range}, Done: roaring.New(), Failed: roaring.New()}
	s.n++
	for after := segment.FirstOffset - 1; after < segment.LastOffset(); {
		outcomes, err := s.store.ReadSegment(ctx, s.id, segment.N, after, 1<<20)
		if err != nil {
			b.Fatal(err)
		}
		for i := range outcomes {
			part.Done.Add(uint32(outcomes[i].Line))
		}
		after += int64(len(outcomes))
	}
	begin := time.Now()
	if err := s.store.Seal(ctx, s.lease.Term, s.id, segment.N, part); err != nil {
		b.Fatal(err)
	}
	s.took = append(s.took, time.Since(begin))
}

// BenchmarkRecord is one outcome, recorded in calls of so many, sealed each
// 5,000.
func BenchmarkRecord(b *testing.B) {
	for _, batch := range []int{1, 64, 256, 500} {
		b.Run(fmt.Sprint(batch), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "store.db")
			s := mustOpen(b, path)
			defer s.Close()
			id := job.NewID()
			lease := startJob(b, s, id, int64(b.N))
			sealer := &sealer{store: s, lease: lease, id: id}
			template := outcome(1, benchOutcome)
			b.SetBytes(int64(len(template.AppendBinary(nil))))
			b.ReportAllocs()
			b.ResetTimer()
			unsealed := int64(1)
			for line := int64(1); line <= int64(b.N); {
				var outcomes []*job.Outcome
				for ; line <= int64(b.N) && len(outcomes) < batch; line++ {
					o := *template
					o.Line = line
					outcomes = append(outcomes, &o)
				}
				r, err := s.Record(context.Background(), []storage.Record{{ID: id, Outcomes: outcomes, SentThrough: line}})
				if err != nil || r[0].Accepted != len(outcomes) {
					b.Fatal(r, err)
				}
				if r[0].Open.N != unsealed {
					unsealed = r[0].Open.N
					sealer.seal(b)
				}
			}
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "outcomes/s")
			info, err := os.Stat(path)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(info.Size())/1e6, "file-MB")
		})
	}
}

// BenchmarkSeal is the transaction that seals 5,000 outcomes of a job that has
// many sealed already; each/op is all that a seal asks of the store.
func BenchmarkSeal(b *testing.B) {
	s := mustOpen(b, filepath.Join(b.TempDir(), "store.db"))
	defer s.Close()
	id := job.NewID()
	const perSeal = storage.MaxSegmentOutcomes
	lease := startJob(b, s, id, int64(b.N+1)*perSeal)
	sealer := &sealer{store: s, lease: lease, id: id}
	template := outcome(1, benchOutcome)
	for i := range int64(b.N) {
		b.StopTimer()
		for at := int64(0); at < perSeal; at += 500 {
			var outcomes []*job.Outcome
			for k := range int64(500) {
				o := *template
				o.Line = i*perSeal + at + k + 1
				outcomes = append(outcomes, &o)
			}
			if _, err := s.Record(context.Background(), []storage.Record{{ID: id, Outcomes: outcomes}}); err != nil {
				b.Fatal(err)
			}
		}
		b.StartTimer()
		sealer.seal(b)
	}
	slices.Sort(sealer.took)
	b.ReportMetric(sealer.took[len(sealer.took)/2].Seconds()*1e3, "median-tx-ms")
	b.ReportMetric(sealer.took[len(sealer.took)-1].Seconds()*1e3, "worst-tx-ms")
}

// BenchmarkJob is what a status call asks of the store.
func BenchmarkJob(b *testing.B) {
	s := mustOpen(b, filepath.Join(b.TempDir(), "store.db"))
	defer s.Close()
	id := job.NewID()
	startJob(b, s, id, 10)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Job(context.Background(), "client", id); err != nil {
			b.Fatal(err)
		}
	}
}
