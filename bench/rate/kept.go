package rate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
)

// Kept is a file with a rule's figures, from which a run goes on where another
// ended, or was killed. The first line says what the figures were measured with,
// each other line has those of one scenario, for some seeds. A line is written as
// soon as its scenario is done.
type Kept struct {
	mu      sync.Mutex
	file    *os.File
	figures map[Scenario]map[string][]Figure // by the row's key, from seed 1
}

// keptHeader is the first line. A rule's figures are good as long as the code is
// the same that decides them.
type keptHeader struct {
	Rule   string `json:"rule"`
	MadeBy string `json:"made_by"`
}

// keptLine is each other line.
type keptLine struct {
	Name     string                  `json:"name"` // for whoever reads it
	Scenario Scenario                `json:"scenario"`
	From     int                     `json:"from"`    // the first seed
	Figures  map[string][][2]float64 `json:"figures"` // value and bar, by the row's key
}

// OpenKept opens a rule's file and reads what it holds, or begins it. One that
// was measured with other code is refused. Close it.
func OpenKept(name, rule string) (*Kept, error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	k := &Kept{file: file, figures: map[Scenario]map[string][]Figure{}}
	if err := k.read(keptHeader{rule, madeBy(rule)}); err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return k, nil
}

// Close closes the file.
func (k *Kept) Close() error { return k.file.Close() }

// read takes in all whole lines. What follows the last was being written when its
// program was killed.
func (k *Kept) read(want keptHeader) error {
	text, err := io.ReadAll(k.file)
	if err != nil {
		return err
	}
	whole := bytes.LastIndexByte(text, '\n') + 1
	if whole < len(text) {
		if err := k.file.Truncate(int64(whole)); err != nil {
			return err
		}
	}
	if whole == 0 {
		return k.write(want)
	}
	lines := bytes.Split(text[:whole-1], []byte("\n"))
	var header keptHeader
	switch err := json.Unmarshal(lines[0], &header); {
	case err != nil:
		return fmt.Errorf("line 1 is not what bench-rate writes; delete the file to measure anew: %w", err)
	case header.Rule != want.Rule:
		return fmt.Errorf("it has the figures of %q, not of %q; delete the file to measure anew", header.Rule, want.Rule)
	case header.MadeBy != want.MadeBy:
		return fmt.Errorf("it was measured with other code (%s) than this (%s); delete the file to measure anew", header.MadeBy, want.MadeBy)
	}
	for i, text := range lines[1:] {
		var line keptLine
		if err := json.Unmarshal(text, &line); err != nil {
			return fmt.Errorf("line %d is not what bench-rate writes; delete the file to measure anew: %w", i+2, err)
		}
		k.take(&line)
	}
	return nil
}

// take adds what a line has beyond what is there.
func (k *Kept) take(line *keptLine) {
	rows := k.figures[line.Scenario]
	if rows == nil {
		rows = map[string][]Figure{}
		k.figures[line.Scenario] = rows
	}
	for row, figures := range line.Figures {
		for i, f := range figures {
			if seed := line.From + i; seed == len(rows[row])+1 {
				rows[row] = append(rows[row], Figure{uint64(seed), f[0], f[1]})
			}
		}
	}
}

// of are the figures of a scenario and a row, from seed 1 on.
func (k *Kept) of(sc *Scenario, row string) []Figure {
	if k == nil {
		return nil
	}
	return k.figures[*sc][row]
}

// add keeps a scenario's figures from a seed on.
func (k *Kept) add(sc *Scenario, from int, figures map[string][]Figure) error {
	if k == nil {
		return nil
	}
	line := keptLine{sc.Name(), *sc, from, map[string][][2]float64{}}
	for row, all := range figures {
		for _, f := range all {
			line.Figures[row] = append(line.Figures[row], [2]float64{f.Value, f.Bar})
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.write(line)
}

// write appends a line at once, so that a kill leaves all others whole.
func (k *Kept) write(line any) error {
	text, err := json.Marshal(line)
	if err != nil {
		return err
	}
	_, err = k.file.Write(append(text, '\n'))
	return err
}
