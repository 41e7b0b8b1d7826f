package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/promptforge/promptforge/bench/rate"
)

func printEach(w io.Writer, rows []rate.Row, figures []rate.Figures, failing bool) {
	result := rate.Result{Figures: figures}
	for i := range rows {
		row := &rows[i]
		for k := range figures {
			f := &figures[k]
			if f.Row != row {
				continue
			}
			median, worst := f.Median(), f.Worst()
			met := row.Shown || row.Met(median.Value, median.Bar, 0)
			if failing && met {
				continue
			}
			mark := "  "
			if !met {
				mark = "✗ "
			}
			fmt.Fprintf(w, "  %s%-10s median %9.3f (bar %8.3f)  worst %9.3f (seed %d)  %s\n", mark, row.ID, median.Value, median.Bar, worst.Value, worst.Seed, f.Scenario.Name())
		}
		line := result.Line(row)
		fmt.Fprintf(w, "%-8s %-10s %3d of %3d met; lowest median %.3f (bar %.3f) in %s; worst %.3f (seed %d) in %s\n", row.Column, row.ID, line.Met, line.Scenarios,
			line.Lowest.Value, line.Lowest.Bar, line.LowestIn.Name(), line.Worst.Value, line.Worst.Seed, line.WorstIn.Name())
	}
}

// figure is a row of figures.json: one rule, one row, one scenario.
type figure struct {
	Rule     string  `json:"rule"`
	Row      string  `json:"row"`
	Column   string  `json:"column"`
	Scenario string  `json:"scenario"`
	Seeds    int     `json:"seeds"`
	Median   float64 `json:"median"`
	Bar      float64 `json:"bar"`
	Worst    float64 `json:"worst"`
	WorstOf  uint64  `json:"worst_seed"`
}

// write fills the folder: the report, every median and worst seed, and of each
// scenario a chart with its data, drawn with the first seed.
func write(folder, report string, rows []rate.Row, results []rate.Result) error {
	charts := filepath.Join(folder, "charts")
	if err := os.MkdirAll(charts, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "table.md"), []byte(report), 0o644); err != nil {
		return err
	}
	var all []figure
	for _, r := range results {
		for i := range r.Figures {
			f := &r.Figures[i]
			median, worst := f.Median(), f.Worst()
			all = append(all, figure{r.Rule, f.Row.ID, string(f.Row.Column), f.Scenario.Name(), len(f.Values), median.Value, median.Bar, worst.Value, worst.Seed})
		}
	}
	text, err := json.MarshalIndent(all, "", " ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "figures.json"), text, 0o644); err != nil {
		return err
	}
	var lab rate.Lab
	drawn := map[string]bool{}
	for i := range rows {
		for k := range rows[i].Scenarios {
			sc := &rows[i].Scenarios[k]
			if drawn[sc.Name()] {
				continue
			}
			drawn[sc.Name()] = true
			ch := lab.Run(sc, rate.Ours(sc), 1).Chart()
			name := filepath.Join(charts, fileName(sc.Name()))
			if err := writeFile(name+".png", ch.WritePNG); err != nil {
				return err
			}
			if err := writeFile(name+".csv", ch.WriteCSV); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeFile(name string, to func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := to(f); err != nil {
		return err
	}
	return f.Sync()
}

var notInNames = regexp.MustCompile(`[^a-z0-9.]+`)

// fileName is a scenario's name as a file has it.
func fileName(name string) string {
	name = strings.NewReplacer("×", "times-", "'", "").Replace(name)
	return strings.Trim(notInNames.ReplaceAllString(name, "-"), "-")
}
