package judge

import "encoding/json"

// Line is a line of a prompts file and what must come of it.
type Line struct {
	Number int    // in the file, from 1, blank lines counted
	ID     string // its prompt_id as JSON: 7, "a"; null where none can be read
	// Prompt is the text that is sent, unlike that of any other line of the
	// history; empty for a line that cannot be used.
	Prompt string
	Answer string // the text of its result; empty where an error record is due
	Error  string // the code of its error record; empty where a result is due
	// Retries is how many requests fail, by order, before the one that counts.
	Retries int
}

// File is a prompts file.
type File struct{ Lines []Line }

// Outcome is a result or an error record as a client was given it.
type Outcome struct {
	Offset int64
	ID     string // as in Line
	Result string
	Error  string // the code; empty for a result
	Line   int    // of a line that cannot be used; otherwise 0
	Raw    []byte // all of it, in bytes that are the same whenever it is
}

// Download is a result file as a client was given it.
type Download struct {
	Name   string
	ETag   string
	Length int64 // what Content-Length said
	Body   []byte
}

// fileLine is a line of a downloaded file.
type fileLine struct {
	PromptID json.RawMessage `json:"prompt_id"`
	Result   string          `json:"result"`
	Error    string          `json:"error"`
	Line     int             `json:"line"`
}

// Count is what the provider saw of one prompt.
type Count struct {
	Requests    int64 `json:"requests"`
	RateLimited int64 `json:"rate_limited"`
}

// Counts is what the provider saw of all prompts, by their text.
type Counts func(prompt string) Count
