package simulator

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// quick reads the chat request that nearly all of them are (a model, messages
// of a role and a string, numbers and flags) in one pass, a fifth of the time
// of encoding/json, which was half of the simulator's work. It is only a short
// cut: it gives up on whatever it does not know, right or wrong, and
// encoding/json decides. A fuzz test holds the two together.
type quick struct {
	b []byte
	i int
}

// chat reports false when it gave up; what it returns then has no meaning.
func (q *quick) chat() (in openAIChat, ok bool) {
	ok = q.object(func(name []byte) bool {
		switch string(name) {
		case `"model"`:
			raw, ok := q.plain()
			in.Model = string(raw)
			return ok
		case `"messages"`:
			if in.Messages != nil {
				return false
			}
			in.Messages = make([]openAIMessage, 0, 4)
			return q.messages(&in.Messages)
		case `"max_tokens"`:
			return q.integer(&in.MaxTokens)
		case `"max_completion_tokens"`:
			return q.integer(&in.MaxCompletionTokens)
		case `"temperature"`:
			return q.fraction(&in.Temperature)
		case `"top_p"`:
			return q.fraction(&in.TopP)
		case `"seed"`, `"n"`, `"presence_penalty"`, `"frequency_penalty"`:
			return q.number() != nil
		case `"user"`:
			_, ok := q.plain()
			return ok
		case `"stream"`:
			return q.word("false")
		}
		return false
	})
	q.space()
	return in, ok && q.i == len(q.b)
}

func (q *quick) messages(into *[]openAIMessage) bool {
	if !q.is('[') {
		return false
	}
	for {
		var m openAIMessage
		if !q.object(func(name []byte) bool {
			switch string(name) {
			case `"role"`:
				raw, ok := q.plain()
				m.Role = string(raw)
				return ok
			case `"content"`:
				m.Content = q.text()
				return m.Content != nil
			}
			return false
		}) {
			return false
		}
		*into = append(*into, m)
		if !q.is(',') {
			return q.is(']')
		}
	}
}

// object calls member for each name (with its quotes), which reads the value.
func (q *quick) object(member func(name []byte) bool) bool {
	if !q.is('{') {
		return false
	}
	for {
		name := q.text()
		if name == nil || !q.is(':') || !member(name) {
			return false
		}
		if !q.is(',') {
			return q.is('}')
		}
	}
}

// text is a JSON string with its quotes, nil when there is none.
func (q *quick) text() []byte {
	if !q.is('"') {
		return nil
	}
	from, escaped := q.i-1, false
	for q.i < len(q.b) {
		c := q.b[q.i]
		q.i++
		switch {
		case c == '"':
			raw := q.b[from:q.i]
			if escaped && !json.Valid(raw) {
				return nil
			}
			return raw
		case c == '\\':
			escaped = true
			q.i++
		case c < 0x20:
			return nil
		}
	}
	return nil
}

// plain is the inside of a string that is its own decoding.
func (q *quick) plain() ([]byte, bool) {
	raw := q.text()
	if raw == nil || bytes.IndexByte(raw, '\\') >= 0 || !utf8.Valid(raw) {
		return nil, false
	}
	return raw[1 : len(raw)-1], true
}

// number is a number as JSON writes it, nil when there is none.
func (q *quick) number() []byte {
	q.space()
	from := q.i
	for q.i < len(q.b) && (q.b[q.i] >= '0' && q.b[q.i] <= '9' || bytes.IndexByte([]byte("+-.eE"), q.b[q.i]) >= 0) {
		q.i++
	}
	if raw := q.b[from:q.i]; len(raw) > 0 && json.Valid(raw) {
		return raw
	}
	return nil
}

// integer gives up on more than 9 digits, on signs, fractions and exponents.
func (q *quick) integer(into **int) bool {
	raw := q.number()
	if len(raw) == 0 || len(raw) > 9 {
		return false
	}
	n := 0
	for _, c := range raw {
		if c < '0' || c > '9' {
			return false
		}
		n = n*10 + int(c-'0')
	}
	*into = &n
	return true
}

func (q *quick) fraction(into **float64) bool {
	x, err := strconv.ParseFloat(string(q.number()), 64)
	*into = &x
	return err == nil
}

// skip passes over any value, of which it checks no more than it must to find
// the end.
func (q *quick) skip() bool {
	q.space()
	if q.i == len(q.b) {
		return false
	}
	switch q.b[q.i] {
	case '"':
		return q.text() != nil
	case '{', '[':
		for depth := 0; q.i < len(q.b); {
			switch q.b[q.i] {
			case '"':
				if q.text() == nil {
					return false
				}
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			q.i++
			if depth == 0 {
				return true
			}
		}
		return false
	}
	for q.i < len(q.b) && bytes.IndexByte([]byte(",}] \n\t\r"), q.b[q.i]) < 0 {
		q.i++
	}
	return true
}

func (q *quick) word(w string) bool {
	q.space()
	if !bytes.HasPrefix(q.b[q.i:], []byte(w)) {
		return false
	}
	q.i += len(w)
	return true
}

// is passes over white space and c.
func (q *quick) is(c byte) bool {
	q.space()
	if q.i < len(q.b) && q.b[q.i] == c {
		q.i++
		return true
	}
	return false
}

func (q *quick) space() {
	for q.i < len(q.b) && (q.b[q.i] == ' ' || q.b[q.i] == '\n' || q.b[q.i] == '\t' || q.b[q.i] == '\r') {
		q.i++
	}
}
