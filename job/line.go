package job

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits of an upload, after decompression (docs/api.md).
const (
	MaxLineBytes = 10 << 20
	MaxLines     = 10_000_000
)

// The codes of lines that cannot be used.
const (
	CodeInvalidLine       = "invalid_line"
	CodeDuplicatePromptID = "duplicate_prompt_id"
)

// LineError says why a line cannot be used. It becomes an error record.
type LineError struct {
	Code    string   // CodeInvalidLine or CodeDuplicatePromptID
	ID      PromptID // zero where none could be read
	Message string   // a sentence
}

func (e *LineError) Error() string { return e.Message }

// Blank tells whether a line is white space alone; such lines are passed over.
func Blank(line []byte) bool { return len(bytes.Trim(line, " \t\r\n")) == 0 }

// A Parser reads lines. It keeps its buffers between lines, so one goroutine
// uses it at a time.
type Parser struct {
	buf bytes.Buffer
	dec jsontext.Decoder
}

// Check reads a line as Parse does and returns its id alone.
func (p *Parser) Check(line []byte) (PromptID, error) {
	prompt, err := p.Parse(line, 0)
	if err != nil {
		return PromptID{}, err
	}
	return prompt.ID, nil
}

// Parse reads a line that is not blank, without its line break. An error is
// always a *LineError. The prompt aliases line, which must not change while
// the prompt lives.
func (p *Parser) Parse(line []byte, number int64) (*Prompt, error) {
	if len(line) > MaxLineBytes {
		return nil, TooLong()
	}
	if !utf8.Valid(line) {
		return nil, invalid(PromptID{}, "The line is not valid UTF-8.")
	}
	f, err := p.fields(line)
	if err != nil {
		return nil, err
	}
	return f.prompt(number)
}

// TooLong is the error of a line over MaxLineBytes.
func TooLong() *LineError {
	return invalid(PromptID{}, fmt.Sprintf("The line is longer than %d MiB.", MaxLineBytes>>20))
}

func invalid(id PromptID, message string) *LineError {
	return &LineError{Code: CodeInvalidLine, ID: id, Message: message}
}

// fields are a line's members as they stand in it.
type fields struct {
	values  map[string]jsontext.Value
	unknown []string
}

// known names every field that a line may have.
var known = map[string]bool{
	"prompt_id": true, "prompt": true, "system": true, "messages": true,
	"temperature": true, "top_p": true, "max_tokens": true, "stop": true, "seed": true,
	"response_format": true, "tools": true, "tool_choice": true, "extra_body": true, "metadata": true,
}

func (p *Parser) fields(line []byte) (fields, error) {
	f := fields{values: make(map[string]jsontext.Value, 4)}
	p.buf = *bytes.NewBuffer(line)
	p.dec.Reset(&p.buf)
	tok, err := p.dec.ReadToken()
	if err != nil {
		return f, notJSON(err)
	}
	if tok.Kind() != '{' {
		return f, invalid(PromptID{}, `The line is JSON but no object; it must look like {"prompt_id": "a", "prompt": "…"}.`)
	}
	for p.dec.PeekKind() != '}' {
		tok, err := p.dec.ReadToken()
		if err != nil {
			return f, f.notJSON(err)
		}
		name := tok.String()
		start := p.dec.InputOffset()
		if _, err := p.dec.ReadValue(); err != nil {
			return f, f.notJSON(err)
		}
		// The value is cut from the line itself, since the decoder's copy
		// lives only until its next read.
		value := line[start:p.dec.InputOffset()]
		value = bytes.TrimLeft(value, " \t\r\n:")
		if !known[name] {
			f.unknown = append(f.unknown, name)
			continue
		}
		f.values[name] = value
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return f, notJSON(err)
	}
	if _, err := p.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return f, invalid(PromptID{}, "The line has text after its JSON object; each line holds one object.")
	}
	return f, nil
}

// notJSON is a sentence about a syntax error. The parser's own text is not
// passed on: it may quote the prompt.
func notJSON(err error) *LineError {
	var syn *jsontext.SyntacticError
	if errors.As(err, &syn) {
		return invalid(PromptID{}, fmt.Sprintf("The line is not valid JSON (at byte %d).", syn.ByteOffset+1))
	}
	return invalid(PromptID{}, "The line is not valid JSON: it ends too early.")
}

// notJSON names a field that stands there twice, and the line's id where that
// was read by then. Of all other errors it is the sentence without them.
func (f *fields) notJSON(err error) *LineError {
	var syn *jsontext.SyntacticError
	if !errors.Is(err, jsontext.ErrDuplicateName) || !errors.As(err, &syn) {
		return notJSON(err)
	}
	var path []string
	for name := range syn.JSONPointer.Tokens() {
		path = append(path, name)
	}
	name := strings.Join(path, ".")
	if len(name) > 64 {
		name = strings.ToValidUTF8(name[:64], "") + "…"
	}
	var id PromptID
	if raw, ok := f.values["prompt_id"]; ok && name != "prompt_id" {
		if read, err := ParsePromptID(raw); err == nil {
			id = read
		}
	}
	return invalid(id, fmt.Sprintf("The line has the field %q twice.", name))
}

// misspelt finds the known field that a name most likely means.
func misspelt(name string) string {
	folded := strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(name))
	best, distance := "", 3
	for k := range known {
		d := editDistance(folded, strings.ReplaceAll(k, "_", ""))
		if d < distance || (d == distance && best != "" && k < best) {
			best, distance = k, d
		}
	}
	return best
}

func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diagonal
			if a[i-1] != b[j-1] {
				cost++
			}
			diagonal = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
