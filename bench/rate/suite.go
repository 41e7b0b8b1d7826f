package rate

import (
	"runtime"
	"slices"
	"sync"
)

// Figures are a row's values in one scenario, by seed.
type Figures struct {
	Row      *Row
	Scenario *Scenario
	Values   []Figure
}

// Figure is the value of one seed and the bar it is held against.
type Figure struct {
	Seed       uint64
	Value, Bar float64
}

// Median is the figure of the median seed.
func (f *Figures) Median() Figure { return f.sorted()[len(f.Values)/2] }

// Worst is the figure of the worst seed.
func (f *Figures) Worst() Figure { return f.sorted()[len(f.Values)-1] }

// sorted are the values, best first.
func (f *Figures) sorted() []Figure {
	sorted := slices.Clone(f.Values)
	slices.SortFunc(sorted, func(a, b Figure) int {
		better := (a.Value - a.Bar) - (b.Value - b.Bar)
		if f.Row.Lower {
			better = -better
		}
		switch {
		case better > 0:
			return -1
		case better < 0:
			return 1
		default:
			return int(a.Seed) - int(b.Seed)
		}
	})
	return sorted
}

// NewRule makes a rule for a scenario.
type NewRule func(sc *Scenario, seed uint64) Rule

// Measure runs a rule through the scenarios of the rows, each once a seed
// however many rows it is in, on all cores. The figures come row by row.
func Measure(rows []Row, newRule NewRule, seeds int) []Figures {
	type use struct{ at, row int }
	var all []Figures
	uses := map[string][]use{}
	var order []*Scenario
	for i := range rows {
		for k := range rows[i].Scenarios {
			sc := &rows[i].Scenarios[k]
			name := sc.Name()
			if uses[name] == nil {
				order = append(order, sc)
			}
			uses[name] = append(uses[name], use{len(all), i})
			all = append(all, Figures{Row: &rows[i], Scenario: sc, Values: make([]Figure, seeds)})
		}
	}
	type task struct {
		sc   *Scenario
		seed int
	}
	tasks := make(chan task)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			var lab Lab
			for t := range tasks {
				seed := uint64(t.seed + 1)
				run := lab.Run(t.sc, newRule(t.sc, seed), seed)
				for _, u := range uses[t.sc.Name()] {
					value, bar := rows[u.row].Of(run)
					all[u.at].Values[t.seed] = Figure{seed, value, bar}
				}
				for _, u := range uses[t.sc.Name()] {
					row := &rows[u.row]
					if row.Beside == nil {
						continue
					}
					beside := row.Beside(*t.sc)
					value, _ := row.Of(lab.Run(&beside, newRule(&beside, seed), seed))
					all[u.at].Values[t.seed].Value -= value
				}
			}
		})
	}
	for _, sc := range order {
		for seed := range seeds {
			tasks <- task{sc, seed}
		}
	}
	close(tasks)
	workers.Wait()
	return all
}
