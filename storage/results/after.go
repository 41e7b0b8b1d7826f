package results

import (
	"context"
	"io"
	"iter"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// Item is an outcome with its place in the order in which the job's outcomes
// were recorded; the first is at 1.
type Item struct {
	Offset  int64
	Outcome *job.Outcome
}

// After iterates over a job's outcomes behind the given offset, in recorded
// order, up to the last one that is recorded when the iteration begins. An
// item is good until the next. An error, storage.ErrNotFound if the job is
// gone, ends the iteration; it has then given every outcome up to the last
// item, so it may be begun again behind that.
//
// Seals that happen meanwhile neither repeat nor skip anything.
func After(ctx context.Context, store storage.Outcomes, fs storage.Files, id job.ID, offset int64) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		all, err := sources(ctx, store, id)
		if err != nil {
			yield(Item{}, err)
			return
		}
		s := &stream{ctx: ctx, store: store, files: fs, id: id}
		defer s.close()
		for _, src := range all {
			if src.LastOffset() <= offset {
				continue
			}
			for s.open(src, offset); ; {
				at, o, err := s.next()
				if err == io.EOF {
					break
				}
				if err != nil {
					yield(Item{}, err)
					return
				}
				if !yield(Item{Offset: at, Outcome: o}, nil) {
					return
				}
			}
		}
	}
}
