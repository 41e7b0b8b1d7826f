package intake

import (
	"bufio"
	"errors"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxWindow is the window that a zstd body may ask for: what RFC 9659 allows
// for Content-Encoding.
const maxWindow = 8 << 20

var errWindow = zstd.ErrWindowSizeExceeded

// Decompress reads a body by its Content-Encoding: none, identity, gzip or
// zstd; any other is an *UnknownEncodingError. It reads nothing yet. However
// far the data expand, it holds a few hundred KiB for gzip and some 9 MiB for
// zstd. Corrupt data are a *CorruptError from Read; an error of the body
// itself comes out as it is. Close frees the memory and does not close the
// body.
func Decompress(encoding string, body io.Reader) (io.ReadCloser, error) {
	d := &decompressor{source: source{r: body}}
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "", "identity":
		return io.NopCloser(body), nil
	case "gzip":
		d.encoding, d.open = "gzip", openGzip
	case "zstd":
		d.encoding, d.open = "zstd", openZstd
	default:
		return nil, &UnknownEncodingError{Encoding: encoding}
	}
	return d, nil
}

func openGzip(r io.Reader) (io.Reader, func(), error) {
	z, err := gzip.NewReader(bufio.NewReaderSize(r, 64<<10))
	return z, func() {}, err
}

func openZstd(r io.Reader) (io.Reader, func(), error) {
	z, err := zstd.NewReader(r,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, func() {}, err
	}
	return z, z.Close, nil
}

// decompressor opens its format at the first Read, so that nothing is read
// from a body that is refused for other reasons.
type decompressor struct {
	encoding string
	open     func(io.Reader) (io.Reader, func(), error)
	source   source
	z        io.Reader
	free     func()
	failed   error
}

func (d *decompressor) Read(b []byte) (int, error) {
	if d.failed != nil {
		return 0, d.failed
	}
	if d.z == nil {
		z, free, err := d.open(&d.source)
		d.free = free
		if err != nil {
			return 0, d.fail(err, 0)
		}
		d.z = z
	}
	n, err := d.z.Read(b)
	if err != nil {
		err = d.fail(err, n)
	}
	return n, err
}

// fail tells the body's own errors from the format's.
func (d *decompressor) fail(err error, n int) error {
	switch {
	case d.source.err != nil:
		d.failed = d.source.err
	case err == io.EOF && d.z != nil && (d.source.n > 0 || n > 0):
		d.failed = io.EOF
	case err == io.EOF:
		d.failed = &CorruptError{Encoding: d.encoding, Err: io.ErrUnexpectedEOF}
	default:
		d.failed = &CorruptError{Encoding: d.encoding, Err: err}
	}
	return d.failed
}

func (d *decompressor) Close() error {
	if d.free != nil {
		d.free()
	}
	d.z, d.free = nil, nil
	if d.failed == nil {
		d.failed = errors.New("the body was closed")
	}
	return nil
}

// source is the compressed body; it remembers its own error.
type source struct {
	r   io.Reader
	n   int64
	err error // never io.EOF
}

func (s *source) Read(b []byte) (int, error) {
	n, err := s.r.Read(b)
	s.n += int64(n)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}
