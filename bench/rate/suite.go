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

	besides []float64 // what Values are compared with; nil: nothing
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

// use is where a scenario's runs are needed: for figures, or as what figures of
// another scenario are compared with.
type use struct {
	figures *Figures
	beside  bool
}

// plan is what has to be run for figures: each scenario once a seed, however many
// rows it is in or is compared with.
type plan struct {
	figures []Figures // row by row
	order   []*Scenario
	uses    map[string][]use // by the scenario's name
}

func newPlan(rows []Row, seeds int) *plan {
	p := &plan{uses: map[string][]use{}}
	n := 0
	for i := range rows {
		n += len(rows[i].Scenarios)
	}
	p.figures = make([]Figures, 0, n) // uses point into it
	for i := range rows {
		row := &rows[i]
		for k := range row.Scenarios {
			sc := &row.Scenarios[k]
			p.figures = append(p.figures, Figures{Row: row, Scenario: sc, Values: make([]Figure, seeds)})
			f := &p.figures[len(p.figures)-1]
			p.need(sc, use{figures: f})
			if row.Beside != nil {
				f.besides = make([]float64, seeds)
				beside := row.Beside(*sc)
				p.need(&beside, use{f, true})
			}
		}
	}
	return p
}

func (p *plan) need(sc *Scenario, u use) {
	name := sc.Name()
	if p.uses[name] == nil {
		p.order = append(p.order, sc)
	}
	p.uses[name] = append(p.uses[name], u)
}

// Measure runs a rule through the scenarios of the rows on all cores. The
// figures come row by row.
func Measure(rows []Row, newRule NewRule, seeds int) []Figures {
	p := newPlan(rows, seeds)
	type task struct {
		sc   *Scenario
		uses []use
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
				for _, u := range t.uses {
					value, bar := u.figures.Row.Of(run)
					if u.beside {
						u.figures.besides[t.seed] = value
					} else {
						u.figures.Values[t.seed] = Figure{seed, value, bar}
					}
				}
			}
		})
	}
	for _, sc := range p.order {
		uses := p.uses[sc.Name()]
		for seed := range seeds {
			tasks <- task{sc, uses, seed}
		}
	}
	close(tasks)
	workers.Wait()
	p.compare()
	return p.figures
}

// compare makes the figures of what is compared the difference.
func (p *plan) compare() {
	for i := range p.figures {
		f := &p.figures[i]
		for seed, beside := range f.besides {
			f.Values[seed].Value -= beside
		}
		f.besides = nil
	}
}
