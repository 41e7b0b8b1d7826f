package job

import (
	"encoding/binary"
	"errors"
)

// Outcome is how a prompt ended, as it is recorded: once, for ever. The bytes
// of its public line are made when it is recorded, so that everything shown
// later is a copy and never a second opinion.
type Outcome struct {
	Line   int64 // of its prompt
	Failed bool  // an error record; otherwise a result

	// Public is the line that a client downloads, a JSON object without its
	// line break: Result.AppendJSON or Failure.AppendJSON.
	Public []byte
	// Response is the provider's whole answer as one line of JSON; nil where
	// there was none or it was no JSON.
	Response []byte

	HTTPStatus       int    // of the last answer; 0 where there was none
	RequestID        string // the provider's name for its last answer
	PromptTokens     int64
	CompletionTokens int64
}

// PublicLen is the length of the public line with its line break.
func (o *Outcome) PublicLen() int64 { return int64(len(o.Public)) + 1 }

const responseKey = `,"response":`

// FullLen is the length of the line that AppendFull appends, with its line break.
func (o *Outcome) FullLen() int64 {
	n := o.PublicLen() + int64(len(responseKey))
	if o.Response == nil {
		return n + int64(len("null"))
	}
	return n + int64(len(o.Response))
}

// AppendPublic appends the public line and its line break.
func (o *Outcome) AppendPublic(b []byte) []byte {
	return append(append(b, o.Public...), '\n')
}

// AppendFull appends the public line with the provider's whole answer as its
// last field, response, null where there was none, and the line break.
func (o *Outcome) AppendFull(b []byte) []byte {
	b = append(b, o.Public[:len(o.Public)-1]...)
	b = append(b, responseKey...)
	if o.Response == nil {
		b = append(b, "null"...)
	} else {
		b = append(b, o.Response...)
	}
	return append(b, "}\n"...)
}

// outcomeFormat begins every encoded outcome, so that a later format can be told apart.
const outcomeFormat = 1

// ErrBadOutcome says that bytes are no encoded outcome: a damaged store or part.
var ErrBadOutcome = errors.New("the bytes of an outcome are damaged")

// AppendBinary appends the outcome as the store and the parts keep it.
func (o *Outcome) AppendBinary(b []byte) []byte {
	flags := byte(0)
	if o.Failed {
		flags |= 1
	}
	if o.Response != nil {
		flags |= 2
	}
	b = append(b, outcomeFormat, flags)
	for _, n := range []int64{o.Line, int64(o.HTTPStatus), o.PromptTokens, o.CompletionTokens} {
		b = binary.AppendVarint(b, n)
	}
	b = appendBytes(b, []byte(o.RequestID))
	b = appendBytes(b, o.Public)
	return appendBytes(b, o.Response)
}

func appendBytes(b, v []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// DecodeOutcome reads what AppendBinary wrote. The outcome aliases b. An error
// is ErrBadOutcome.
func DecodeOutcome(b []byte) (Outcome, error) {
	var o Outcome
	if len(b) < 2 || b[0] != outcomeFormat {
		return o, ErrBadOutcome
	}
	o.Failed = b[1]&1 != 0
	hasResponse := b[1]&2 != 0
	b = b[2:]
	var numbers [4]int64
	for i := range numbers {
		v, n := binary.Varint(b)
		if n <= 0 {
			return o, ErrBadOutcome
		}
		numbers[i], b = v, b[n:]
	}
	o.Line, o.HTTPStatus, o.PromptTokens, o.CompletionTokens = numbers[0], int(numbers[1]), numbers[2], numbers[3]
	var texts [3][]byte
	for i := range texts {
		v, n := binary.Uvarint(b)
		if n <= 0 || v > uint64(len(b)-n) {
			return o, ErrBadOutcome
		}
		end := n + int(v)
		texts[i], b = b[n:end:end], b[end:]
	}
	if len(b) != 0 || len(texts[1]) < 2 {
		return o, ErrBadOutcome
	}
	o.RequestID, o.Public = string(texts[0]), texts[1]
	if hasResponse {
		o.Response = texts[2]
	}
	return o, nil
}
