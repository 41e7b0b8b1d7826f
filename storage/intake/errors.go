package intake

import (
	"errors"
	"fmt"
	"strconv"
)

// TooLargeError refuses an upload over a limit. Its text is a sentence for the
// caller (413).
type TooLargeError struct{ Sentence string }

func (e *TooLargeError) Error() string { return e.Sentence }

func tooManyBytes(limit int64) error {
	return &TooLargeError{fmt.Sprintf("The file is larger than %s (after decompression); split it into several jobs.", size(limit))}
}

func tooManyLines(limit int64) error {
	return &TooLargeError{fmt.Sprintf("The file has more than %d lines; split it into several jobs.", limit)}
}

// size writes a number of bytes as an operator would set it.
func size(n int64) string {
	for _, u := range []struct {
		shift uint
		name  string
	}{{30, "GiB"}, {20, "MiB"}, {10, "KiB"}} {
		if n > 0 && n%(1<<u.shift) == 0 {
			return strconv.FormatInt(n>>u.shift, 10) + " " + u.name
		}
	}
	return strconv.FormatInt(n, 10) + " bytes"
}

// BodyError says that the body could not be read to its end: it was cut, the
// client went away, or it is corrupt (then a *CorruptError is inside). It is
// the client's fault or the network's, never the store's (400).
type BodyError struct{ Err error }

func (e *BodyError) Error() string { return "reading the upload: " + e.Err.Error() }

// Unwrap returns the body's own error.
func (e *BodyError) Unwrap() error { return e.Err }

// CorruptError says that a compressed body is not what its Content-Encoding
// says, or ends too early. Its text is a sentence for the caller (400).
type CorruptError struct {
	Encoding string // gzip or zstd
	Err      error  // the decompressor's
}

func (e *CorruptError) Error() string {
	if errors.Is(e.Err, errWindow) {
		return "The zstd data needs a window of more than 8 MiB; compress it without --long or --ultra."
	}
	return fmt.Sprintf("The body is not valid %s, or it ends too early.", e.Encoding)
}

// Unwrap returns the decompressor's error.
func (e *CorruptError) Unwrap() error { return e.Err }

// UnknownEncodingError refuses a Content-Encoding. Its text is a sentence for
// the caller (400).
type UnknownEncodingError struct{ Encoding string }

func (e *UnknownEncodingError) Error() string {
	return fmt.Sprintf("Content-Encoding %q is not understood; send the file as it is, or with gzip or zstd.", e.Encoding)
}
