package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/promptforge/promptforge/job"
)

// promptsFile is what a prompts file asks for.
type promptsFile struct {
	count    int                    // every line that is not blank
	usable   map[string]*job.Prompt // by job.PromptID.AppendKey
	unusable map[int64]string       // by line number: why
}

func readPrompts(name string) (*promptsFile, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p := &promptsFile{usable: map[string]*job.Prompt{}, unusable: map[int64]string{}}
	err = eachLine(f, func(number int64, line []byte) error {
		if number == 1 {
			line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
		}
		if job.Blank(line) {
			return nil
		}
		p.count++
		var parser job.Parser
		prompt, err := parser.Parse(bytes.Clone(line), number)
		if err != nil {
			p.unusable[number] = err.Error()
			return nil
		}
		key := string(prompt.ID.AppendKey(nil))
		if _, taken := p.usable[key]; taken {
			p.unusable[number] = "its prompt_id stands before"
			return nil
		}
		p.usable[key] = prompt
		return nil
	})
	return p, err
}

// eachLine calls do for each line, without its line break, numbered from 1.
func eachLine(r io.Reader, do func(number int64, line []byte) error) error {
	lines := bufio.NewReaderSize(r, 1<<16)
	for number := int64(1); ; number++ {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			if err := do(number, bytes.TrimRight(line, "\r\n")); err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
