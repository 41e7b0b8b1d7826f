package dispatcher

import (
	"errors"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/files"
)

// source reads a job's undone prompts in the order of their lines, block by
// block. One goroutine at a time uses it.
//
// Lines that were perhaps sent before a crash are the first of them: the
// process that sent them is known to be dead, so nothing is gained by waiting
// (docs/decisions/0008).
type source struct {
	prompts *files.Prompts
	done    *roaring.Bitmap
	block   int
	// doubtful is the last line whose answer may have been lost in a crash; 0:
	// none, or they are counted.
	doubtful int64
}

func newSource(p *files.Prompts, c *storage.Claim) *source {
	s := &source{prompts: p, done: c.Done}
	if !c.Job.Released {
		s.doubtful = c.Job.SentThrough
	}
	return s
}

func (s *source) close() { _ = s.prompts.Close() }

// next reads the next block with undone lines. eof tells that there is none
// after it.
func (s *source) next(x *run) (items []*item, eof bool, err error) {
	if err := s.count(x); err != nil {
		return nil, false, err
	}
	for ; s.block < len(s.prompts.Blocks()); s.block++ {
		lines, err := s.undone(s.block)
		if err != nil {
			return nil, false, err
		}
		if len(lines) == 0 {
			continue
		}
		made := make([]item, len(lines))
		items = make([]*item, len(lines))
		for i, l := range lines {
			made[i] = item{run: x, line: l.Line, raw: l.Raw}
			items[i] = &made[i]
		}
		s.block++
		return items, s.block == len(s.prompts.Blocks()), nil
	}
	return nil, true, nil
}

// count books, once, the lines whose answer nobody knows: they were sent before
// a crash, or may have been, and are sent again.
func (s *source) count(x *run) error {
	n := int64(0)
	for i, b := range s.prompts.Blocks() {
		if b.First > s.doubtful {
			break
		}
		lines, err := s.undone(i)
		if err != nil {
			return err
		}
		for _, l := range lines {
			if l.Line <= s.doubtful {
				n++
			}
		}
	}
	s.doubtful = 0
	x.account.givenUp.Add(n)
	return nil
}

// undone reads the lines of a block that have no outcome. A block whose lines
// are all done is not read, unless blank lines stand between them.
func (s *source) undone(i int) ([]files.PromptLine, error) {
	b := s.prompts.Blocks()[i]
	done := s.done.Rank(uint32(b.Last)) - s.done.Rank(uint32(b.First-1))
	if done == uint64(b.Last-b.First+1) {
		return nil, nil
	}
	lines, _, err := s.prompts.ReadBlock(i, nil)
	if err != nil {
		return nil, err
	}
	left := lines[:0]
	for _, l := range lines {
		if !s.done.Contains(uint32(l.Line)) {
			left = append(left, l)
		}
	}
	return left, nil
}

// read reads a run's next block. A damaged one ends the job: what was answered
// stays.
func (r *laneRunner) read(x *run, s *source) {
	items, eof, err := s.next(x)
	if err == nil {
		r.post(func(time.Time) { r.lane.read(x, items, eof) })
		return
	}
	r.d.log.Error("a job's prompts cannot be read", "job", x.id, "error", err)
	var damaged *files.DamagedError
	if errors.As(err, &damaged) {
		r.post(func(time.Time) {
			r.lane.read(x, nil, true)
			r.lane.fail(x, "The prompts file is damaged; what was answered before stays, and the rest must be submitted again.")
		})
		return
	}
	r.post(func(now time.Time) { r.lane.unread(x, now.Add(storeRetry)) })
}
