package pjson

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error is a mistake of the caller in a body or a query: INVALID_ARGUMENT over
// gRPC, 400 over HTTP.
type Error struct {
	// Field is the path of the field at fault, such as "metadata.team"; empty
	// where no single field is.
	Field string
	// Sentence says what is wrong, and is meant to be shown.
	Sentence string
	// Cause is what the reader of the body returned, such as a
	// *http.MaxBytesError; nil where the text itself was at fault.
	Cause error
}

// Error returns the sentence.
func (e *Error) Error() string { return e.Sentence }

// Unwrap returns the cause, which may be nil.
func (e *Error) Unwrap() error { return e.Cause }

// GRPCStatus makes status.FromError see INVALID_ARGUMENT with the sentence.
func (e *Error) GRPCStatus() *status.Status {
	return status.New(codes.InvalidArgument, e.Sentence)
}

// errorf makes an Error about one field, or about none. The sentence is made
// valid UTF-8, since gRPC carries no other.
func errorf(field, format string, args ...any) *Error {
	return &Error{
		Field:    field,
		Sentence: strings.ToValidUTF8(fmt.Sprintf(format, args...), "\uFFFD"),
	}
}

// maxShown is how many bytes of a caller's text a sentence repeats.
const maxShown = 64

// quote puts a caller's text into a sentence: quoted, and cut when long.
func quote(text string) string {
	if len(text) <= maxShown {
		return fmt.Sprintf("%q", text)
	}
	cut := maxShown
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return fmt.Sprintf("%q", text[:cut]+"…")
}
