package intake

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/promptforge/promptforge/storage"
)

// entry is what a sorter sorts, by a, then b, then line.
type entry struct {
	a, b uint64
	line uint32
}

const (
	entryMemory = 24 // bytes of an entry
	entryBytes  = 20 // of an entry in a run
	minRunBytes = 25 * entryBytes
)

func (e entry) compare(f entry) int {
	if c := cmp.Compare(e.a, f.a); c != 0 {
		return c
	}
	if c := cmp.Compare(e.b, f.b); c != 0 {
		return c
	}
	return cmp.Compare(e.line, f.line)
}

// sorter sorts any number of entries in a bounded memory: what does not fit is
// sorted piece by piece into runs in a temporary file, which are merged at the
// end.
type sorter struct {
	ctx    context.Context
	fs     storage.Files
	memory int // bytes: two thirds for entries, since they move when they grow

	held    []entry
	scratch storage.Scratch
	runs    []run
	written int64
	buf     []byte
}

// run is a sorted run in the temporary file.
type run struct{ from, to int64 }

func newSorter(ctx context.Context, fs storage.Files, memory int) *sorter {
	return &sorter{ctx: ctx, fs: fs, memory: memory}
}

func (s *sorter) add(e entry) error {
	if len(s.held) == cap(s.held) {
		limit := max(s.memory*2/3/entryMemory, 16)
		if len(s.held) >= limit {
			if err := s.spill(); err != nil {
				return err
			}
		} else {
			larger := make([]entry, len(s.held), min(max(2*len(s.held), 1024), limit))
			copy(larger, s.held)
			s.held = larger
		}
	}
	s.held = append(s.held, e)
	return nil
}

// spill writes what is held as a run.
func (s *sorter) spill() error {
	if s.scratch == nil {
		f, err := s.fs.Scratch(s.ctx)
		if err != nil {
			return err
		}
		s.scratch, s.buf = f, make([]byte, 0, 32<<10)
	}
	slices.SortFunc(s.held, entry.compare)
	from := s.written
	for i, e := range s.held {
		s.buf = appendEntry(s.buf, e)
		if len(s.buf)+entryBytes > cap(s.buf) || i == len(s.held)-1 {
			n, err := s.scratch.Write(s.buf)
			s.written += int64(n)
			if err != nil {
				return fmt.Errorf("writing a temporary file: %w", err)
			}
			s.buf = s.buf[:0]
		}
	}
	s.runs = append(s.runs, run{from, s.written})
	s.held = s.held[:0]
	return nil
}

// each calls f with every entry in order. It ends the sorter.
func (s *sorter) each(f func(entry) error) error {
	defer s.close()
	if s.runs == nil {
		slices.SortFunc(s.held, entry.compare)
		for _, e := range s.held {
			if err := f(e); err != nil {
				return err
			}
		}
		return nil
	}
	if len(s.held) > 0 {
		if err := s.spill(); err != nil {
			return err
		}
	}
	s.held, s.buf = nil, nil
	return s.merge(f)
}

// merge merges the runs over a heap of their next entries.
func (s *sorter) merge(f func(entry) error) error {
	each := max(s.memory*2/3/len(s.runs)/entryBytes*entryBytes, minRunBytes)
	heap := make([]*cursor, 0, len(s.runs))
	for _, r := range s.runs {
		c := &cursor{run: r, from: s.scratch, buf: make([]byte, 0, min(int64(each), r.to-r.from))}
		ok, err := c.next()
		if err != nil {
			return err
		}
		if ok {
			heap = append(heap, c)
		}
	}
	for i := len(heap)/2 - 1; i >= 0; i-- {
		sink(heap, i)
	}
	for n := 0; len(heap) > 0; n++ {
		if n%4096 == 0 && s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		if err := f(heap[0].entry); err != nil {
			return err
		}
		ok, err := heap[0].next()
		if err != nil {
			return err
		}
		if !ok {
			heap[0] = heap[len(heap)-1]
			heap = heap[:len(heap)-1]
		}
		sink(heap, 0)
	}
	return nil
}

func sink(heap []*cursor, i int) {
	for {
		least := i
		for _, child := range []int{2*i + 1, 2*i + 2} {
			if child < len(heap) && heap[child].entry.compare(heap[least].entry) < 0 {
				least = child
			}
		}
		if least == i {
			return
		}
		heap[i], heap[least] = heap[least], heap[i]
		i = least
	}
}

// close frees memory and the temporary file.
func (s *sorter) close() {
	if s.scratch != nil {
		s.scratch.Close()
	}
	s.held, s.buf, s.scratch = nil, nil, nil
}

// cursor reads a run.
type cursor struct {
	run
	from  storage.Scratch
	buf   []byte
	left  []byte // of buf
	entry entry
}

// next reads the next entry; false at the end of the run.
func (c *cursor) next() (bool, error) {
	if len(c.left) == 0 {
		n := min(int64(cap(c.buf)), c.to-c.run.from)
		if n == 0 {
			return false, nil
		}
		got, err := c.from.ReadAt(c.buf[:n], c.run.from)
		if int64(got) < n {
			return false, fmt.Errorf("reading a temporary file: %w", err)
		}
		c.left = c.buf[:n]
		c.run.from += n
	}
	c.entry = readEntry(c.left)
	c.left = c.left[entryBytes:]
	return true, nil
}

func appendEntry(b []byte, e entry) []byte {
	b = binary.LittleEndian.AppendUint64(b, e.a)
	b = binary.LittleEndian.AppendUint64(b, e.b)
	return binary.LittleEndian.AppendUint32(b, e.line)
}

func readEntry(b []byte) entry {
	return entry{
		a:    binary.LittleEndian.Uint64(b),
		b:    binary.LittleEndian.Uint64(b[8:]),
		line: binary.LittleEndian.Uint32(b[16:]),
	}
}
