package rate

import (
	"fmt"
	"io"
	"math"
	"slices"
)

// Result is what a rule reached over all rows.
type Result struct {
	Rule    string
	Figures []Figures
}

// Line is one row of the table for one rule.
type Line struct {
	Row       *Row
	Scenarios int
	// Met counts the scenarios whose median seed reaches the bar.
	Met int
	// Typical is the median over the scenarios of the median seed.
	Typical float64
	// Lowest is the median seed of the scenario that is farthest from its bar,
	// Worst the worst seed of all; each with its scenario.
	Lowest, Worst     Figure
	LowestIn, WorstIn *Scenario
}

// Passed tells that all scenarios reach their bar and the worst seed stays
// within the slack.
func (l *Line) Passed() bool {
	if l.Row.Shown {
		return true
	}
	return l.Met == l.Scenarios && (math.IsNaN(l.Row.Slack) || l.Row.Met(l.Worst.Value, l.Worst.Bar, l.Row.Slack))
}

// Line sums a row's figures up; nil where the result has none for it.
func (r *Result) Line(row *Row) *Line {
	line := &Line{Row: row}
	var medians []float64
	for i := range r.Figures {
		f := &r.Figures[i]
		if f.Row.ID != row.ID || f.Row.Column != row.Column {
			continue
		}
		median, worst := f.Median(), f.Worst()
		line.Scenarios++
		medians = append(medians, median.Value)
		if row.Met(median.Value, median.Bar, 0) {
			line.Met++
		}
		if line.LowestIn == nil || row.beyond(median) > row.beyond(line.Lowest) {
			line.Lowest, line.LowestIn = median, f.Scenario
		}
		if line.WorstIn == nil || row.beyond(worst) > row.beyond(line.Worst) {
			line.Worst, line.WorstIn = worst, f.Scenario
		}
	}
	if line.Scenarios == 0 {
		return nil
	}
	slices.Sort(medians)
	line.Typical = medians[len(medians)/2]
	return line
}

// beyond is how far a figure is on the wrong side of its bar.
func (row *Row) beyond(f Figure) float64 {
	if row.Lower {
		return f.Value - f.Bar
	}
	return f.Bar - f.Value
}

// Table writes the table in Markdown: ours in full, of the others the lowest
// median and how many scenarios reach the bar.
func Table(w io.Writer, rows []Row, results []Result) {
	fmt.Fprint(w, "| row | column | bar | scenarios met | typical | lowest median | worst seed | |")
	for _, other := range results[1:] {
		fmt.Fprintf(w, " %s |", other.Rule)
	}
	fmt.Fprint(w, "\n|---|---|---|---|---|---|---|---|")
	for range results[1:] {
		fmt.Fprint(w, "---|")
	}
	fmt.Fprintln(w)
	for i := range rows {
		row := &rows[i]
		line := results[0].Line(row)
		if line == nil {
			continue
		}
		verdict := "pass"
		switch {
		case row.Shown:
			verdict = ""
		case !line.Passed():
			verdict = "**miss**"
		}
		met := fmt.Sprintf("%d of %d", line.Met, line.Scenarios)
		if row.Shown {
			met = fmt.Sprint(line.Scenarios)
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s | %s | %s | %s |", row.Title, row.Column, row.Bar, met,
			row.show(line.Typical), row.show(line.Lowest.Value), row.show(line.Worst.Value), verdict)
		for k := range results[1:] {
			other := results[k+1].Line(row)
			switch {
			case row.NeedsBound || other == nil:
				fmt.Fprint(w, " – |")
			case row.Shown:
				fmt.Fprintf(w, " %s |", row.show(other.Typical))
			default:
				fmt.Fprintf(w, " %s (%d) |", row.show(other.Typical), other.Met)
			}
		}
		fmt.Fprintln(w)
	}
}

// show writes a value; a share is capped at 1, and the uncapped one stands in
// brackets where it is more.
func (row *Row) show(v float64) string {
	switch {
	case row.Share && v > 1.0005:
		return fmt.Sprintf("1 (%.3f)", v)
	case math.Abs(v) >= 100:
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.3f", v)
	}
}

// Notes writes, row by row, which scenario is lowest and which seed is worst.
func Notes(w io.Writer, rows []Row, ours Result) {
	for i := range rows {
		if line := ours.Line(&rows[i]); line != nil {
			fmt.Fprintf(w, "- %s, %s: lowest median in %s; worst is seed %d of %s (%s)\n", rows[i].ID, rows[i].Column,
				line.LowestIn.Name(), line.Worst.Seed, line.WorstIn.Name(), rows[i].show(line.Worst.Value))
		}
	}
}
