package results

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// Download is a public file with the length that it had at Open; what is
// recorded later does not change it. It holds nothing open and may be used
// from any number of goroutines.
type Download struct {
	store storage.Outcomes
	files storage.Files
	job   job.ID
	name  string
	full  bool
	errs  bool // errors.jsonl; otherwise results

	pieces []piece // in order, none empty
	size   int64
}

// piece is what one source contributes.
type piece struct {
	src   source
	skip  int64 // results of the source that belong to the file before
	lines int64
	bytes int64 // what they render to
}

// Open finds a public file of a job. full adds the provider's whole answer to
// each line. storage.ErrNotFound for a name that FileNames does not list.
func Open(ctx context.Context, store storage.Outcomes, fs storage.Files, j *job.Job, filename string, full bool) (*Download, error) {
	k, ok := fileNumber(j, filename)
	if !ok {
		return nil, fmt.Errorf("%s of job %s: %w", filename, j.ID, storage.ErrNotFound)
	}
	all, err := sources(ctx, store, j.ID)
	if err != nil {
		return nil, err
	}
	d := &Download{store: store, files: fs, job: j.ID, name: filename, full: full, errs: k == 0}
	for _, src := range all {
		p := d.errorsOf(src)
		if !d.errs {
			p = d.resultsOf(src, k)
		}
		if p.bytes > 0 {
			d.pieces = append(d.pieces, p)
			d.size += p.bytes
		}
	}
	return d, nil
}

func (d *Download) errorsOf(src source) piece {
	if src.part != nil && src.part.ResultsOnly {
		return piece{}
	}
	p := piece{src: src, lines: src.Outcomes - src.Results, bytes: src.Totals.ErrorBytes}
	if d.full {
		p.bytes = src.Totals.ErrorFullBytes
	}
	return p
}

// resultsOf is what a source has of public file k: all of its results, or
// those before or behind the edge that it crosses.
func (d *Download) resultsOf(src source, k int64) piece {
	from := max(src.ResultsBefore, (k-1)*storage.ResultsPerFile)
	to := min(src.ResultsBefore+src.Results, k*storage.ResultsPerFile)
	if from >= to {
		return piece{}
	}
	all, split := src.Totals.ResultBytes, src.Split.ResultBytes
	if d.full {
		all, split = src.Totals.ResultFullBytes, src.Split.ResultFullBytes
	}
	p := piece{src: src, skip: from - src.ResultsBefore, lines: to - from}
	switch {
	case p.lines == src.Results:
		p.bytes = all
	case p.skip == 0:
		p.bytes = split
	default:
		p.bytes = all - split
	}
	return p
}

// Size is the length in bytes.
func (d *Download) Size() int64 { return d.size }

// ETag is a strong entity tag, with its quotes: the same job, file, view and
// length are the same bytes.
func (d *Download) ETag() string {
	view := "public"
	if d.full {
		view = "full"
	}
	return fmt.Sprintf(`"%s-%s-%s-%d"`, d.job, strings.TrimSuffix(d.name, ".jsonl"), view, d.size)
}

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// CopyRange writes length bytes of the file from the given place on. It passes
// over what lies before without reading it, but for the rest of one source.
// storage.ErrNotFound if the job is deleted meanwhile.
func (d *Download) CopyRange(ctx context.Context, w io.Writer, from, length int64) error {
	if from < 0 || length < 0 || length > d.size-from {
		return fmt.Errorf("%d bytes from %d of %s: it has %d", length, from, d.name, d.size)
	}
	r := &reader{d: d, stream: stream{ctx: ctx, store: d.store, files: d.files, id: d.job}, at: from, to: from + length}
	defer r.reset()
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	// Not io.Copy, which may hand the reader to w for larger bites.
	for {
		n, err := r.Read(*buf)
		if n > 0 {
			if _, werr := w.Write((*buf)[:n]); werr != nil {
				return werr
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Reader reads the file as http.ServeContent wants it. It opens nothing before
// the first Read after a Seek. One goroutine uses it at a time.
func (d *Download) Reader(ctx context.Context) io.ReadSeekCloser {
	return &reader{d: d, stream: stream{ctx: ctx, store: d.store, files: d.files, id: d.job}, to: d.size}
}

// reader renders lines as they are asked for.
type reader struct {
	d      *Download
	stream stream
	at, to int64 // the place that is read next, and the end

	open  bool // piece, lines and left mean something
	piece int
	lines int64  // of the piece, yet to come
	buf   []byte // a rendered line
	left  []byte // of buf
}

func (r *reader) Read(b []byte) (int, error) {
	n := 0
	for n < len(b) && r.at < r.to {
		if err := r.line(); err != nil {
			r.reset() // a Read after it begins anew at this place
			return n, err
		}
		m := copy(b[n:], r.left[:min(int64(len(r.left)), r.to-r.at)])
		r.left = r.left[m:]
		r.at += int64(m)
		n += m
	}
	if n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// line sees to it that left is not empty.
func (r *reader) line() error {
	skip := int64(0)
	if !r.open {
		skip = r.position()
	}
	for len(r.left) == 0 {
		if r.lines == 0 {
			r.enter(r.piece + 1)
			if err := r.pass(); err != nil {
				return err
			}
		}
		o, err := r.nextOf()
		if err != nil {
			return err
		}
		r.lines--
		length := o.PublicLen()
		if r.d.full {
			length = o.FullLen()
		}
		if skip >= length {
			skip -= length
			continue
		}
		if r.d.full {
			r.buf = o.AppendFull(r.buf[:0])
		} else {
			r.buf = o.AppendPublic(r.buf[:0])
		}
		r.left = r.buf[skip:]
		skip = 0
	}
	return nil
}

// position finds the piece that holds the place to read, and returns how many
// of its bytes lie before that.
func (r *reader) position() int64 {
	i, before := 0, int64(0)
	for before+r.d.pieces[i].bytes <= r.at {
		before += r.d.pieces[i].bytes
		i++
	}
	r.open, r.left = true, nil
	r.piece, r.lines = i-1, 0 // line enters it
	return r.at - before
}

func (r *reader) enter(i int) {
	r.piece = i
	if i < len(r.d.pieces) {
		r.lines = r.d.pieces[i].lines
		r.stream.open(r.d.pieces[i].src, 0)
	}
}

// pass reads over the results that belong to the file before.
func (r *reader) pass() error {
	if r.piece >= len(r.d.pieces) {
		return fmt.Errorf("%s of job %s is shorter than was counted", r.d.name, r.d.job)
	}
	for range r.d.pieces[r.piece].skip {
		if _, err := r.nextOf(); err != nil {
			return err
		}
	}
	return nil
}

// nextOf returns the next outcome of the piece's kind.
func (r *reader) nextOf() (*job.Outcome, error) {
	for {
		_, o, err := r.stream.next()
		if err == io.EOF {
			return nil, fmt.Errorf("%s of job %s has fewer lines than were counted", r.d.name, r.d.job)
		}
		if err != nil || o.Failed == r.d.errs {
			return o, err
		}
	}
}

func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.d.size
	}
	if offset < 0 {
		return r.at, errors.New("a place before the beginning")
	}
	if offset != r.at {
		r.reset()
		r.at = offset
	}
	return offset, nil
}

func (r *reader) Close() error {
	r.reset()
	return nil
}

// reset frees what is open; the next Read begins anew at its place.
func (r *reader) reset() {
	r.stream.close()
	r.open = false
}
