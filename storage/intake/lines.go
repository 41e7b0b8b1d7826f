package intake

import (
	"bytes"
	"context"
	"crypto/sha256"
	"hash"
	"io"

	"github.com/promptforge/promptforge/job"
)

const (
	lineBuffer = 256 << 10
	// longestBuffer holds a line of the largest size with its line break.
	longestBuffer = job.MaxLineBytes + lineBuffer
)

var bom = []byte("\ufeff")

// lines cuts a body into physical lines, counting and hashing every byte.
type lines struct {
	ctx      context.Context
	body     io.Reader
	sum      hash.Hash
	maxBytes int64
	maxLines int64

	buf  []byte
	r, w int   // buf[r:w] is read and not handed out
	n    int64 // lines handed out
	size int64 // bytes read
	err  error // of the body
}

func newLines(ctx context.Context, body io.Reader, lim Limits) *lines {
	return &lines{
		ctx: ctx, body: body, sum: sha256.New(), buf: make([]byte, lineBuffer),
		maxBytes: lim.MaxBytes, maxLines: lim.MaxLines,
	}
}

// next returns the next line without line break and BOM, good until the
// following next. A line over job.MaxLineBytes comes as nil with long set: it
// was passed over, and never held whole. io.EOF after the last line.
func (l *lines) next() (line []byte, long bool, err error) {
	scanned := 0
	for {
		if i := bytes.IndexByte(l.buf[l.r+scanned:l.w], '\n'); i >= 0 {
			line = l.buf[l.r : l.r+scanned+i]
			l.r += scanned + i + 1
			return l.hand(line, long)
		}
		scanned = l.w - l.r
		if long || scanned > job.MaxLineBytes+1+len(bom) { // the one may be a carriage return
			long, scanned, l.r, l.w = true, 0, 0, 0
		}
		if l.err == nil {
			l.fill()
			continue
		}
		if l.err != io.EOF || (scanned == 0 && !long) {
			return nil, false, l.err
		}
		line = l.buf[l.r:l.w]
		l.r = l.w
		return l.hand(line, long)
	}
}

func (l *lines) hand(line []byte, long bool) ([]byte, bool, error) {
	l.n++
	if l.n > l.maxLines {
		return nil, false, tooManyLines(l.maxLines)
	}
	if l.n == 1 {
		line = bytes.TrimPrefix(line, bom)
	}
	line = bytes.TrimSuffix(line, []byte{'\r'})
	if long || len(line) > job.MaxLineBytes {
		return nil, true, nil
	}
	return line, false, nil
}

// fill reads more behind what is not handed out yet. It may set l.err.
func (l *lines) fill() {
	if l.r > 0 {
		l.w = copy(l.buf, l.buf[l.r:l.w])
		l.r = 0
	}
	if l.w == len(l.buf) {
		larger := make([]byte, min(4*len(l.buf), longestBuffer))
		l.w = copy(larger, l.buf[:l.w])
		l.buf = larger
	}
	for range 100 {
		if l.err = l.ctx.Err(); l.err != nil {
			return
		}
		n, err := l.body.Read(l.buf[l.w:])
		if n > 0 {
			l.sum.Write(l.buf[l.w : l.w+n])
			l.w += n
			l.size += int64(n)
		}
		switch {
		case l.size > l.maxBytes:
			l.err = tooManyBytes(l.maxBytes)
		case err == io.EOF:
			l.err = io.EOF
		case err != nil:
			l.err = &BodyError{Err: err}
		}
		if n > 0 || l.err != nil {
			return
		}
	}
	l.err = &BodyError{Err: io.ErrNoProgress}
}
