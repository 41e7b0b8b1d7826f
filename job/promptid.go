package job

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxPromptIDBytes bounds a prompt_id that is a string.
const MaxPromptIDBytes = 256

// PromptID is a caller's name for a prompt: a string, or an integer within
// int64 that keeps the digits it came with. 7 and "7" are two ids. The zero
// PromptID is "none", null in JSON.
type PromptID struct {
	kind byte // 0 none, 's' string, 'i' integer
	text string
}

// StringID is an id that is a string.
func StringID(s string) PromptID { return PromptID{kind: 's', text: s} }

// IntID is an id that is an integer.
func IntID(n int64) PromptID { return PromptID{kind: 'i', text: strconv.FormatInt(n, 10)} }

// ParsePromptID reads an id from its JSON value. Its errors end a sentence
// that begins with "prompt_id".
func ParsePromptID(v jsontext.Value) (PromptID, error) {
	switch v.Kind() {
	case '"':
		s, err := jsontext.AppendUnquote(nil, v)
		if err != nil {
			return PromptID{}, errors.New("is not a valid JSON string")
		}
		if len(s) > MaxPromptIDBytes {
			return PromptID{}, fmt.Errorf("is longer than %d bytes", MaxPromptIDBytes)
		}
		return StringID(string(s)), nil
	case '0':
		if _, err := strconv.ParseInt(string(v), 10, 64); err != nil {
			return PromptID{}, errors.New("must be a string or a whole number within 64 bits, written without a point or an exponent")
		}
		return PromptID{kind: 'i', text: string(v)}, nil
	default:
		return PromptID{}, errors.New("must be a string or a whole number")
	}
}

// IsZero tells whether there is no id.
func (id PromptID) IsZero() bool { return id.kind == 0 }

// Text returns the id if it is a string.
func (id PromptID) Text() (string, bool) { return id.text, id.kind == 's' }

// Int64 returns the id if it is an integer.
func (id PromptID) Int64() (int64, bool) {
	if id.kind != 'i' {
		return 0, false
	}
	n, err := strconv.ParseInt(id.text, 10, 64)
	return n, err == nil
}

// AppendKey appends bytes that are equal for equal ids only; -0 and 0 are one.
func (id PromptID) AppendKey(b []byte) []byte {
	b = append(b, id.kind)
	if n, ok := id.Int64(); ok {
		return strconv.AppendInt(b, n, 10)
	}
	return append(b, id.text...)
}

// AppendJSON appends the id as JSON: null, the digits as they came, or the string.
func (id PromptID) AppendJSON(b []byte) []byte {
	switch id.kind {
	case 'i':
		return append(b, id.text...)
	case 's':
		return appendString(b, id.text)
	default:
		return append(b, "null"...)
	}
}

// String is the id for a person.
func (id PromptID) String() string { return string(id.AppendJSON(nil)) }

// appendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD, so
// that a provider's broken text can't break a line.
func appendString(b []byte, s string) []byte {
	out, _ := jsontext.AppendQuote(b, s)
	return out
}
