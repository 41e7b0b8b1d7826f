package dispatcher

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/files"
)

// source reads a job's undone prompts, block by block: first those that were
// never sent, last those that were perhaps sent before a crash. One goroutine
// at a time uses it.
type source struct {
	prompts  *files.Prompts
	done     *roaring.Bitmap
	frontier int64 // lines up to it are in doubt; 0: none
	block    int
	doubtful bool // in the second pass
	counted  bool // the doubtful lines were counted
}

func newSource(p *files.Prompts, c *storage.Claim) *source {
	s := &source{prompts: p, done: c.Done}
	if !c.Job.Released {
		s.frontier = c.Job.SentThrough
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
	for {
		blocks := s.prompts.Blocks()
		if s.block == len(blocks) {
			if s.doubtful || s.frontier == 0 {
				return nil, true, nil
			}
			s.block, s.doubtful = 0, true
			continue
		}
		b := blocks[s.block]
		if !s.wanted(b) {
			s.block++
			continue
		}
		lines, _, err := s.prompts.ReadBlock(s.block, nil)
		if err != nil {
			return nil, false, err
		}
		s.block++
		if items = s.pick(x, lines); len(items) > 0 {
			return items, false, nil
		}
	}
}

// count books, once, the lines whose answer nobody knows: they were sent before
// a crash, or may have been, and are sent again.
func (s *source) count(x *run) error {
	if s.counted || s.frontier == 0 {
		return nil
	}
	s.doubtful = true
	defer func() { s.doubtful = false }()
	n := 0
	for i, b := range s.prompts.Blocks() {
		if !s.wanted(b) {
			continue
		}
		lines, _, err := s.prompts.ReadBlock(i, nil)
		if err != nil {
			return err
		}
		n += len(s.pick(x, lines))
	}
	s.counted = true
	x.account.givenUp.Add(int64(n))
	return nil
}

// wanted tells whether a block may hold lines of this pass.
func (s *source) wanted(b files.BlockInfo) bool {
	if s.doubtful && b.First > s.frontier || !s.doubtful && b.Last <= s.frontier {
		return false
	}
	var before uint64
	if b.First > 0 {
		before = s.done.Rank(uint32(b.First - 1)) //nolint:gosec // lines are at most job.MaxLines
	}
	done := s.done.Rank(uint32(b.Last)) - before //nolint:gosec // likewise
	return done < uint64(b.Last-b.First+1)       //nolint:gosec // First is at most Last
}

func (s *source) pick(x *run, lines []files.PromptLine) []*item {
	made := make([]item, 0, len(lines))
	items := make([]*item, 0, len(lines))
	for _, l := range lines {
		if s.done.Contains(uint32(l.Line)) || (l.Line <= s.frontier) != s.doubtful { //nolint:gosec // lines are at most job.MaxLines
			continue
		}
		made = append(made, item{run: x, line: l.Line, raw: l.Raw})
		items = append(items, &made[len(made)-1])
	}
	return items
}
