package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage/files"
	"github.com/promptforge/promptforge/storage/results"
)

// get serves one file of a job's results, as the job is now.
func (h *Handler) get(w http.ResponseWriter, r *http.Request, g grant) {
	j, err := h.Store.Job(r.Context(), g.client, g.job)
	if err != nil {
		h.refuse(w, r, g, problem.FromStore(err))
		return
	}
	d, err := results.Open(r.Context(), h.Store, h.Files, j, g.file, g.full)
	if err != nil {
		h.refuse(w, r, g, readProblem(err))
		return
	}
	h.serve(w, r, g, file{size: d.Size(), etag: d.ETag(), copy: d.CopyRange})
}

// readProblem is problem.FromStore, but for a damaged file, which asking again does
// not mend.
func readProblem(err error) error {
	var damaged *files.DamagedError
	if errors.As(err, &damaged) {
		return problem.From(err)
	}
	return problem.FromStore(err)
}

// file is what a download sends, all of it or a part.
type file struct {
	size int64
	etag string // strong, with its quotes
	copy func(ctx context.Context, w io.Writer, offset, length int64) error
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, g grant, f file) {
	header := w.Header()
	header.Set("ETag", f.etag)
	header.Set("Accept-Ranges", "bytes")
	header.Set("Cache-Control", "private, no-store")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("X-Content-Type-Options", "nosniff")
	switch precondition(r.Header, f.etag) {
	case http.StatusNotModified:
		w.WriteHeader(http.StatusNotModified)
		return
	case http.StatusPreconditionFailed:
		problem.Write(w, problem.New(problem.PreconditionFailed, "The file is not the version that If-Match names; get it without If-Match."))
		return
	}
	part := span{length: f.size}
	if ranged(r, f.etag) {
		var ok bool
		if part, ok = rangeOf(r.Header.Get("Range"), f.size); !ok {
			header.Set("Content-Range", "bytes */"+strconv.FormatInt(f.size, 10))
			problem.Write(w, problem.New(problem.RangeNotSatisfiable, "The range is outside the file, which has "+strconv.FormatInt(f.size, 10)+" bytes."))
			return
		}
	}
	header.Set("Content-Type", "application/x-ndjson")
	header.Set("Content-Disposition", `attachment; filename="`+g.file+`"`)
	header.Set("Content-Length", strconv.FormatInt(part.length, 10))
	status := http.StatusOK
	if part.partial {
		status = http.StatusPartialContent
		header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", part.start, part.start+part.length-1, f.size))
	}
	if r.Method == http.MethodHead || part.length == 0 {
		w.WriteHeader(status)
		return
	}
	h.send(w, r, g, f, part, status)
}

// send writes the bytes. What goes wrong before the first of them is answered
// as any error is; afterwards the connection is broken off, since ending it
// cleanly would pass a cut file for a whole one.
func (h *Handler) send(w http.ResponseWriter, r *http.Request, g grant, f file, part span, status int) {
	out := &pacedWriter{
		w: w, status: status, idle: h.IdleTimeout, control: http.NewResponseController(w), permitted: h.keyed(r.Context(), g.client),
	}
	err := f.copy(r.Context(), out, part.start, part.length)
	if err == nil && out.written != part.length {
		err = fmt.Errorf("%d bytes came of %d", out.written, part.length)
	}
	if err == nil {
		err = out.end()
	}
	if err == nil {
		return
	}
	if !out.begun {
		for _, name := range []string{"ETag", "Accept-Ranges", "Content-Disposition", "Content-Range", "Content-Length"} {
			w.Header().Del(name)
		}
		h.refuse(w, r, g, readProblem(err))
		return
	}
	h.Log.InfoContext(context.WithoutCancel(r.Context()), "a download was broken off", "job", g.job, "client", g.client, "file", g.file, "error", err)
	panic(http.ErrAbortHandler)
}

// pacedWriter begins the answer with the first byte, and gives each piece its
// own time to be taken: a reader may be slow, but not dead.
type pacedWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	idle    time.Duration
	// permitted is called before each piece, and its error ends the download.
	permitted func() error
	status    int
	begun     bool
	written   int64
}

// piece is small enough for a slow reader to take within the idle time.
const piece = 16 << 10

func (p *pacedWriter) Write(b []byte) (int, error) {
	if !p.begun {
		p.begun = true
		p.w.WriteHeader(p.status)
	}
	done := 0
	for done < len(b) {
		if err := p.permitted(); err != nil {
			return done, err
		}
		ignore(p.control.SetWriteDeadline(time.Now().Add(p.idle)))
		n, err := p.w.Write(b[done:min(done+piece, len(b))])
		done += n
		p.written += int64(n)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// end passes on what is buffered, and takes the last deadline off the
// connection, which may serve other requests.
func (p *pacedWriter) end() error {
	err := p.control.Flush()
	if errors.Is(err, http.ErrNotSupported) {
		err = nil
	}
	ignore(p.control.SetWriteDeadline(time.Time{}))
	return err
}
