package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/promptforge/promptforge/bench/rate"
)

// The figures in a document stand between these lines.
const (
	figuresBegin = "<!-- figures: written by make bench-rate -->"
	figuresEnd   = "<!-- end of figures -->"
)

// shown are the scenarios whose charts stand in the document.
var shown = []struct{ scenario, caption string }{
	{"bucket of 1 s, 300 rpm, counted, 1s, silent", "A cold start at a silent bucket of a second, where refusals count"},
	{"fixed, 300 rpm, 1s, silent", "A cold start at a silent fixed window"},
	{"sliding, 600 rpm, 1s, silent", "A cold start at a silent sliding window"},
	{"bucket of 60 s, 600 rpm, ×10, 50ms, silent", "A silent limit that is raised tenfold"},
	{"bucket of 60 s, 600 rpm, ×0.1, 1s, silent", "A silent limit that falls to a tenth"},
	{"sliding, 600 rpm, second tenant, 1s, silent", "Beside a second tenant"},
}

// writeDoc puts the report between the document's marks, and the charts that it
// shows into a folder of its name beside it.
func writeDoc(doc, report string) error {
	old, err := os.ReadFile(doc)
	if err != nil {
		return err
	}
	begin, end := bytes.Index(old, []byte(figuresBegin)), bytes.Index(old, []byte(figuresEnd))
	if begin < 0 || end < begin {
		return fmt.Errorf("%s has no line %q with a line %q after it", doc, figuresBegin, figuresEnd)
	}
	folder := strings.TrimSuffix(doc, filepath.Ext(doc))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var text strings.Builder
	text.Write(old[:begin])
	fmt.Fprintf(&text, "%s\n%s\n", figuresBegin, report)
	scenarios := byName()
	var lab rate.Lab
	for _, s := range shown {
		sc := scenarios[s.scenario]
		if sc == nil {
			return fmt.Errorf("there is no scenario %q to draw", s.scenario)
		}
		name := fileName(s.scenario) + ".png"
		if err := writeFile(filepath.Join(folder, name), lab.Run(sc, rate.Ours(sc), 1).Chart().WritePNG); err != nil {
			return err
		}
		fmt.Fprintf(&text, "%s:\n\n![%s](%s/%s)\n\n", s.caption, s.scenario, filepath.Base(folder), name)
	}
	text.Write(old[end:])
	return os.WriteFile(doc, []byte(text.String()), 0o644)
}

// byName are all scenarios of the table.
func byName() map[string]*rate.Scenario {
	all := map[string]*rate.Scenario{}
	rows := rate.Rows()
	for i := range rows {
		for k := range rows[i].Scenarios {
			all[rows[i].Scenarios[k].Name()] = &rows[i].Scenarios[k]
		}
	}
	return all
}
