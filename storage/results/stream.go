package results

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/files"
)

// segmentBytes is about how much of a segment is read at a time. The store
// copies it out, so that no transaction is open while a client is slow.
const segmentBytes = 256 << 10

// source is a run of outcomes: a part, or a segment as it was when it was
// looked at.
type source struct {
	storage.Range
	part *storage.Part // nil: segment n
	n    int64
}

// sources lists what a job has recorded, in order, without a gap.
//
// The segments are read first: one that is sealed before the parts are read is
// in both lists, and the part counts. The other way round it could be in
// neither.
func sources(ctx context.Context, store storage.Outcomes, id job.ID) ([]source, error) {
	segments, err := store.Segments(ctx, id)
	if err != nil {
		return nil, err
	}
	parts, err := store.Parts(ctx, id)
	if err != nil {
		return nil, err
	}
	all := make([]source, 0, len(parts)+len(segments))
	last := int64(0)
	for i := range parts {
		all = append(all, source{Range: parts[i].Range, part: &parts[i]})
		last = parts[i].LastOffset()
	}
	for _, s := range segments {
		if s.Outcomes > 0 && s.FirstOffset > last {
			all = append(all, source{Range: s.Range, n: s.N})
		}
	}
	return all, nil
}

// stream reads the outcomes of one source after an offset, up to the source's
// last. If its segment is sealed meanwhile it goes on in the part.
type stream struct {
	ctx   context.Context
	store storage.Outcomes
	files storage.Files
	id    job.ID

	src    source
	offset int64 // of the outcome that was returned last
	reader *files.PartReader
	held   []job.Outcome // of a segment
	last   job.Outcome   // of a part
}

// next returns the next outcome and its offset, good until the following next;
// io.EOF after the last.
func (s *stream) next() (int64, *job.Outcome, error) {
	if s.offset >= s.src.LastOffset() {
		return 0, nil, io.EOF
	}
	if s.src.part == nil {
		o, err := s.fromSegment()
		if err == nil {
			s.offset++
			return s.offset, o, nil
		}
		if !errors.Is(err, storage.ErrNotFound) {
			return 0, nil, err
		}
		if err := s.sealed(); err != nil {
			return 0, nil, err
		}
	}
	o, err := s.fromPart()
	if err != nil {
		return 0, nil, err
	}
	s.offset++
	return s.offset, o, nil
}

func (s *stream) fromSegment() (*job.Outcome, error) {
	if len(s.held) == 0 {
		var err error
		s.held, err = s.store.ReadSegment(s.ctx, s.id, s.src.n, s.offset, segmentBytes)
		if err != nil {
			return nil, err
		}
		if len(s.held) == 0 {
			return nil, fmt.Errorf("segment %d of job %s ends before offset %d", s.src.n, s.id, s.offset+1)
		}
	}
	o := &s.held[0]
	s.held = s.held[1:]
	return o, nil
}

// sealed finds the part that took the place of the segment. The source keeps
// its end: what the segment gained before the seal was not there to be seen.
func (s *stream) sealed() error {
	parts, err := s.store.Parts(s.ctx, s.id)
	if err != nil {
		return err
	}
	for i := range parts {
		if p := &parts[i]; p.FirstOffset <= s.offset+1 && s.offset+1 <= p.LastOffset() {
			last := s.src.LastOffset()
			s.src.part = p
			s.src.FirstOffset = p.FirstOffset
			s.src.Outcomes = last - p.FirstOffset + 1
			return nil
		}
	}
	return fmt.Errorf("the outcomes of job %s after offset %d: %w", s.id, s.offset, storage.ErrNotFound)
}

func (s *stream) fromPart() (*job.Outcome, error) {
	passed := int64(0)
	if s.reader == nil {
		var err error
		if s.reader, err = files.OpenPart(s.ctx, s.files, *s.src.part); err != nil {
			return nil, s.missing(err)
		}
		passed = s.offset + 1 - s.src.FirstOffset
	} else if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	for ; passed > 0; passed-- {
		if _, err := s.reader.Next(); err != nil {
			return nil, s.tooShort(err)
		}
	}
	var err error
	if s.last, err = s.reader.Next(); err != nil {
		return nil, s.tooShort(err)
	}
	return &s.last, nil
}

// missing tells a part that is gone with its job, which is erased, from one that
// the store still lists, which is damage.
func (s *stream) missing(err error) error {
	if !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	parts, listErr := s.store.Parts(s.ctx, s.id)
	if listErr != nil {
		return listErr
	}
	for i := range parts {
		if parts[i].Name == s.src.part.Name {
			return &files.DamagedError{Name: s.src.part.Name, What: "it is not there"}
		}
	}
	return err
}

// tooShort makes an error of a part that ends before the store says.
func (s *stream) tooShort(err error) error {
	if err == io.EOF {
		return &files.DamagedError{Name: s.src.part.Name, What: "it has fewer outcomes than the store says"}
	}
	return err
}

// close frees the stream; it may be opened on another source after it.
func (s *stream) close() {
	if s.reader != nil {
		s.reader.Close()
	}
	s.reader, s.held, s.last = nil, nil, job.Outcome{}
}

// open puts the stream on a source, to begin after an offset.
func (s *stream) open(src source, after int64) {
	s.close()
	s.src, s.offset = src, max(after, src.FirstOffset-1)
}
