// Command bench-rate runs the laboratory of bench/rate: it prints the table of
// all rows, says where another rule is better than ours, and draws a chart of
// each scenario.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/promptforge/promptforge/bench/rate"
)

type options struct {
	seeds, rivalSeeds int
	rules             string
	rows, scenarios   *regexp.Regexp
	each, failing     bool
	keep, out, doc    string
}

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench-rate:", err)
		os.Exit(1)
	}
}

func parse(args []string, usage io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("bench-rate", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.IntVar(&o.seeds, "seeds", 1000, "seeds a scenario for ours")
	flags.IntVar(&o.rivalSeeds, "rival-seeds", 100, "seeds a scenario for the other rules")
	flags.StringVar(&o.rules, "rules", "", "the rules, ours first (default: all)")
	rows := flags.String("rows", ".", "only rows whose id and column match, like first/silent")
	scenarios := flags.String("scenarios", ".", "only scenarios whose name matches")
	flags.BoolVar(&o.each, "each", false, "a line for each scenario of the first rule, and nothing else")
	flags.BoolVar(&o.failing, "failing", false, "like -each, but only scenarios that miss their bar")
	flags.StringVar(&o.keep, "keep", "", "a folder with a file for each rule, whose figures are not measured again; none: all are measured")
	flags.StringVar(&o.out, "out", "", "a folder for table.md, figures.json and the charts; none: only print")
	flags.StringVar(&o.doc, "doc", "", "a Markdown file whose figures are replaced; none: no file")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.rows, err = regexp.Compile(*rows); err != nil {
		return o, fmt.Errorf("-rows: %w", err)
	}
	if o.scenarios, err = regexp.Compile(*scenarios); err != nil {
		return o, fmt.Errorf("-scenarios: %w", err)
	}
	if o.seeds < 1 || o.rivalSeeds < 1 {
		return o, fmt.Errorf("-seeds and -rival-seeds are at least 1")
	}
	return o, nil
}

// run prints the report to out and what it is at to log.
func run(args []string, out, log io.Writer) (err error) {
	o, err := parse(args, log)
	if err != nil {
		return err
	}
	rules, err := rate.RulesNamed(o.rules)
	if err != nil {
		return err
	}
	rows := keep(rate.Rows(), o)
	compared := keep(rate.DominanceRows(), o)
	if o.each || o.failing {
		rules = rules[:1]
	}
	kept, err := openKept(o.keep, rules)
	if err != nil {
		return err
	}
	defer func() {
		if closed := closeKept(kept); err == nil {
			err = closed
		}
	}()
	if o.each || o.failing {
		m := rate.Measurement{Rows: rows, Rule: rules[0], Seeds: o.seeds, Kept: kept[0], Log: log}
		figures, err := m.Measure()
		if err != nil {
			return err
		}
		printEach(out, rows, figures, o.failing)
		return nil
	}

	var results []rate.Result
	for i, rule := range rules {
		seeds := o.rivalSeeds
		if i == 0 {
			seeds = o.seeds
		}
		began := time.Now()
		m := rate.Measurement{Rows: slices.Concat(rows, compared), Rule: rule, Seeds: seeds, Kept: kept[i], Log: log}
		figures, err := m.Measure()
		if err != nil {
			return err
		}
		results = append(results, rate.Result{Rule: rule.Name, Figures: figures})
		fmt.Fprintf(log, "%s: %d seeds in %v\n", rule.Name, seeds, time.Since(began).Round(time.Second))
	}
	var report strings.Builder
	rate.Table(&report, rows, results)
	fmt.Fprintf(&report, "\nSeeds: %d of ours, %d of each other rule.%s\n\n", o.seeds, o.rivalSeeds, o.restricted())
	rate.Notes(&report, rows, results[0])
	for _, other := range results[1:] {
		better := rate.Dominated(results[0], other)
		fmt.Fprintf(&report, "\n%s is better in %d scenarios\n", other.Rule, len(better))
		for _, b := range better {
			fmt.Fprintln(&report, "-", b)
		}
	}
	fmt.Fprint(out, report.String())
	if o.doc != "" {
		if err := writeDoc(o.doc, report.String()); err != nil {
			return err
		}
	}
	if o.out == "" {
		return nil
	}
	return write(o.out, report.String(), slices.Concat(rows, compared), results)
}

// openKept opens the file of each rule, so that one that cannot be used is told of
// before hours are spent. All are nil where nothing is kept.
func openKept(folder string, rules []rate.Named) ([]*rate.Kept, error) {
	kept := make([]*rate.Kept, len(rules))
	if folder == "" {
		return kept, nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	for i, rule := range rules {
		k, err := rate.OpenKept(filepath.Join(folder, rule.Name+".jsonl"), rule.Name)
		if err != nil {
			return nil, errors.Join(err, closeKept(kept[:i]))
		}
		kept[i] = k
	}
	return kept, nil
}

func closeKept(all []*rate.Kept) error {
	var errs []error
	for _, k := range all {
		if k != nil {
			errs = append(errs, k.Close())
		}
	}
	return errors.Join(errs...)
}

// restricted says what was left out, so that nobody takes a part for the whole.
func (o options) restricted() string {
	if o.rows.String() == "." && o.scenarios.String() == "." {
		return ""
	}
	return fmt.Sprintf(" Not everything was run: only rows that match `%s` and scenarios that match `%s`.", o.rows, o.scenarios)
}

// keep leaves the rows and scenarios that were asked for.
func keep(rows []rate.Row, o options) []rate.Row {
	var kept []rate.Row
	for _, row := range rows {
		if !o.rows.MatchString(row.ID + "/" + string(row.Column)) {
			continue
		}
		row.Scenarios = slices.DeleteFunc(slices.Clone(row.Scenarios), func(sc rate.Scenario) bool {
			return !o.scenarios.MatchString(sc.Name())
		})
		if len(row.Scenarios) > 0 {
			kept = append(kept, row)
		}
	}
	return kept
}
