package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/promptforge/promptforge/job"
)

// maxDifferences is how many are told.
const maxDifferences = 10

// record is a line of a results file or of errors.jsonl.
type record struct {
	PromptID     json.RawMessage `json:"prompt_id"`
	Result       *string         `json:"result"`
	FinishReason string          `json:"finish_reason"`
	Error        *string         `json:"error"`
	Line         int64           `json:"line"`
}

// comparison collects what is found.
type comparison struct {
	prompts   *promptsFile
	simulated bool

	seen        map[string]string // a prompt's key to where its record stands
	lines       map[int64]string
	answered    int
	failed      int
	unusable    int
	differences []string
}

func (c *comparison) differ(format string, args ...any) {
	if len(c.differences) < maxDifferences {
		c.differences = append(c.differences, fmt.Sprintf(format, args...))
	}
}

// readFolder reads all records. An error means that the files can't be read.
func (c *comparison) readFolder(dir string) error {
	c.seen, c.lines = map[string]string{}, map[int64]string{}
	parts, err := filepath.Glob(filepath.Join(dir, "results_part_*.jsonl"))
	if err != nil {
		return err
	}
	sort.Strings(parts)
	for _, name := range parts {
		if err := c.readFile(name, c.result); err != nil {
			return err
		}
	}
	return c.readFile(filepath.Join(dir, "errors.jsonl"), c.failure)
}

func (c *comparison) readFile(name string, take func(where string, r *record)) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	err = eachLine(f, func(number int64, line []byte) error {
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return err
		}
		take(fmt.Sprintf("%s:%d", filepath.Base(name), number), &r)
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// prompt finds the prompt of a record, and marks it as seen.
func (c *comparison) prompt(where string, r *record) *job.Prompt {
	id, err := job.ParsePromptID(jsontext.Value(r.PromptID))
	if err != nil {
		c.differ("%s: the record's prompt_id %s is none", where, r.PromptID)
		return nil
	}
	key := string(id.AppendKey(nil))
	p, ok := c.prompts.usable[key]
	if !ok {
		c.differ("%s: no prompt has the id %s", where, id)
		return nil
	}
	if before, twice := c.seen[key]; twice {
		c.differ("%s: the prompt %s has a record already, at %s", where, id, before)
		return nil
	}
	c.seen[key] = where
	if want := p.ID.AppendJSON(nil); !bytes.Equal(want, id.AppendJSON(nil)) {
		c.differ("%s: the id came as %s and went back as %s", where, want, r.PromptID)
		return nil
	}
	return p
}

func (c *comparison) result(where string, r *record) {
	p := c.prompt(where, r)
	switch {
	case p == nil:
	case r.Result == nil:
		c.differ("%s: the record of %s has no result", where, p.ID)
	case c.simulated && !answers(p, *r.Result, r.FinishReason):
		c.differ("%s: the result of %s is not the simulator's answer to it: %.80q", where, p.ID, *r.Result)
	default:
		c.answered++
	}
}

func (c *comparison) failure(where string, r *record) {
	if r.Error == nil {
		c.differ("%s: the record has no error", where)
		return
	}
	if r.Line > 0 {
		why, ok := c.prompts.unusable[r.Line]
		before, twice := c.lines[r.Line]
		switch {
		case !ok:
			c.differ("%s: line %d of the prompts could be used, and has the error %s", where, r.Line, *r.Error)
		case twice:
			c.differ("%s: line %d (%s) has a record already, at %s", where, r.Line, why, before)
		default:
			c.unusable++
		}
		c.lines[r.Line] = where
		return
	}
	if c.prompt(where, r) != nil {
		c.failed++
	}
}

// missing finds what has no record.
func (c *comparison) missing() {
	var lines []int64
	reasons := map[int64]string{}
	for key, p := range c.prompts.usable {
		if _, ok := c.seen[key]; !ok {
			lines = append(lines, p.Line)
			reasons[p.Line] = fmt.Sprintf("the prompt %s (line %d) has no record", p.ID, p.Line)
		}
	}
	for line, why := range c.prompts.unusable {
		if _, ok := c.lines[line]; !ok {
			lines = append(lines, line)
			reasons[line] = fmt.Sprintf("line %d, which cannot be used (%s), has no error record", line, why)
		}
	}
	sort.Slice(lines, func(i, j int) bool { return lines[i] < lines[j] })
	for _, line := range lines {
		c.differ("%s", reasons[line])
	}
}

func (c *comparison) summary() string {
	text := fmt.Sprintf("%d of %d prompts answered, each with its own answer", c.answered, c.prompts.count)
	if c.failed > 0 {
		text += fmt.Sprintf("; %d ended as errors", c.failed)
	}
	if c.unusable > 0 {
		text += fmt.Sprintf("; %d lines could not be used", c.unusable)
	}
	return text
}
