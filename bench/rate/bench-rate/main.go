// Command bench-rate runs the laboratory of bench/rate and prints its table.
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/promptforge/promptforge/bench/rate"
)

func main() {
	var (
		seeds     = flag.Int("seeds", 5, "seeds a scenario")
		ruleName  = flag.String("rule", "ours", "the rule: ours, origin, gradient2, aimd, static, retry")
		rowsLike  = flag.String("rows", ".", "only rows whose id and column match, like first/silent")
		scenarios = flag.String("scenarios", ".", "only scenarios whose name matches")
		each      = flag.Bool("each", false, "a line for each scenario")
		failing   = flag.Bool("failing", false, "with -each: only scenarios that miss their bar")
	)
	flag.Parse()
	rowRE, scRE := regexp.MustCompile(*rowsLike), regexp.MustCompile(*scenarios)

	var rows []rate.Row
	for _, row := range rate.Rows() {
		if !rowRE.MatchString(row.ID + "/" + string(row.Column)) {
			continue
		}
		var kept []rate.Scenario
		for _, sc := range row.Scenarios {
			if scRE.MatchString(sc.Name()) {
				kept = append(kept, sc)
			}
		}
		row.Scenarios = kept
		rows = append(rows, row)
	}
	for _, rule := range rate.Rules {
		if rule.Name != *ruleName {
			continue
		}
		began := time.Now()
		figures := rate.Measure(rows, rule.New, *seeds)
		print(rows, figures, *each, *failing)
		fmt.Printf("%s, %d seeds, %.1f s\n", rule.Name, *seeds, time.Since(began).Seconds())
		return
	}
	fmt.Fprintln(os.Stderr, "there is no rule", *ruleName)
	os.Exit(2)
}

func print(rows []rate.Row, figures []rate.Figures, each, failing bool) {
	for i := range rows {
		row := &rows[i]
		met, n := 0, 0
		var low, worst rate.Figure
		var lowAt, worstAt *rate.Scenario
		beyond := func(f rate.Figure) float64 {
			if row.Lower {
				return f.Value - f.Bar
			}
			return f.Bar - f.Value
		}
		for k := range figures {
			f := &figures[k]
			if f.Row != row {
				continue
			}
			n++
			median, bad := f.Median(), f.Worst()
			ok := row.Met(median.Value, median.Bar, 0)
			if ok {
				met++
			}
			if lowAt == nil || beyond(median) > beyond(low) {
				low, lowAt = median, f.Scenario
			}
			if worstAt == nil || beyond(bad) > beyond(worst) {
				worst, worstAt = bad, f.Scenario
			}
			if each && !(failing && ok) {
				mark := "  "
				if !ok {
					mark = "✗ "
				}
				fmt.Printf("  %s%-11s median %8.3f (bar %8.3f)  worst %8.3f (seed %d)  %s\n", mark, row.ID, median.Value, median.Bar, bad.Value, bad.Seed, f.Scenario.Name())
			}
		}
		if n == 0 {
			continue
		}
		fmt.Printf("%-8s %-10s %3d of %3d met; lowest median %.3f (bar %.3f) in %s; worst %.3f (seed %d) in %s\n",
			row.Column, row.ID, met, n, low.Value, low.Bar, lowAt.Name(), worst.Value, worst.Seed, worstAt.Name())
	}
}
