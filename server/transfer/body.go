package transfer

import (
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/promptforge/promptforge/server/problem"
)

// body is an upload as it arrives, still compressed. It checks what can only
// be known of the whole, and remembers what went wrong with it: whoever reads
// it through a decompressor may see another error, or none.
type body struct {
	r       io.Reader
	left    int64 // bytes that may still come
	digests []digest
	// alive is called before each read, and asleep after the last.
	alive, asleep func()
	// permitted is called before each read, and its error ends the upload.
	permitted func() error
	err       error // of the last read; io.EOF after the whole
}

// newBody reads an upload of at most limit bytes after decompression.
func newBody(r io.Reader, limit int64) *body {
	nothing := func() {}
	return &body{r: r, left: sentLimit(limit), alive: nothing, asleep: nothing, permitted: func() error { return nil }}
}

// sentLimit is how many bytes a file of limit bytes may take as it is sent. A
// file that does not compress grows by a little, and a compressed one may hold
// any number of empty frames: without an end they would come for ever.
func sentLimit(limit int64) int64 { return limit + limit/64 + 1<<20 }

func tooLarge() error {
	return problem.New(problem.UploadTooLarge, "The file is larger than this server takes; split it into several jobs.")
}

// watch cuts the upload when idle passes without a byte.
func (b *body) watch(w http.ResponseWriter, idle time.Duration) {
	c := http.NewResponseController(w)
	// The server's own limits for a request and its answer, where it has
	// some, are not made for a file.
	ignore(c.SetWriteDeadline(time.Time{}))
	b.alive = func() { ignore(c.SetReadDeadline(time.Now().Add(idle))) }
	// What is checked and kept after the last byte takes the time that it
	// takes, and the connection is no dead one for it.
	b.asleep = func() { ignore(c.SetReadDeadline(time.Time{})) }
}

// ignore says that an error is of no use: without deadlines a transfer still
// works.
func ignore(error) {}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.err = b.permitted(); b.err != nil {
		return 0, b.err
	}
	b.alive()
	n, err := b.r.Read(p)
	for _, d := range b.digests {
		d.hash.Write(p[:n])
	}
	b.left -= int64(n)
	switch {
	case b.left < 0:
		n, err = 0, tooLarge()
	case err == io.EOF:
		b.asleep()
		for _, d := range b.digests {
			if bad := d.check(); bad != nil {
				err = bad
				break
			}
		}
	}
	b.err = err
	return n, err
}

// finish reads what a decompressor left and tells whether the upload came
// whole.
func (b *body) finish() error {
	if _, err := io.Copy(io.Discard, b); err != nil {
		return b.problem()
	}
	return nil
}

// problem is what was wrong with the upload itself; nil if nothing was.
func (b *body) problem() error {
	var p *problem.Problem
	switch {
	case b.err == nil || b.err == io.EOF:
		return nil
	case errors.As(b.err, &p):
		return p
	case errors.Is(b.err, os.ErrDeadlineExceeded):
		return problem.New(problem.BadRequest, "The upload was cut since nothing came for too long; send it again.").Because(b.err)
	default:
		return problem.New(problem.BadRequest, "The upload broke off before its end; send it again.").Because(b.err)
	}
}
