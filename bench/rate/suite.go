package rate

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
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

// reading is what a row reads off a scenario's runs, by seed.
type reading struct {
	row     *Row
	figures []Figure
}

// planned is a scenario and what is read off its runs.
type planned struct {
	sc       *Scenario
	readings []*reading
	from     int // the first seed that it is run with
	left     atomic.Int64
}

// plan is what has to be run for figures: each scenario once a seed, however many
// rows it is in or is compared with.
type plan struct {
	figures   []Figures // row by row
	besides   map[int]*reading
	scenarios []*planned
	byName    map[string]*planned
}

func newPlan(rows []Row, seeds int) *plan {
	p := &plan{besides: map[int]*reading{}, byName: map[string]*planned{}}
	for i := range rows {
		row := &rows[i]
		for k := range row.Scenarios {
			sc := &row.Scenarios[k]
			if row.Beside != nil {
				beside := row.Beside(*sc)
				p.besides[len(p.figures)] = p.read(&beside, row, seeds)
			}
			p.figures = append(p.figures, Figures{row, sc, p.read(sc, row, seeds).figures})
		}
	}
	return p
}

// read is what the row reads off the scenario.
func (p *plan) read(sc *Scenario, row *Row, seeds int) *reading {
	name := sc.Name()
	in := p.byName[name]
	if in == nil {
		in = &planned{sc: sc, from: 1}
		p.byName[name] = in
		p.scenarios = append(p.scenarios, in)
	}
	for _, r := range in.readings {
		if r.row == row {
			return r
		}
	}
	r := &reading{row, make([]Figure, seeds)}
	in.readings = append(in.readings, r)
	return r
}

// compare makes the figures of what is compared the difference.
func (p *plan) compare() {
	for i, beside := range p.besides {
		p.figures[i].Values = slices.Clone(p.figures[i].Values)
		for seed := range beside.figures {
			p.figures[i].Values[seed].Value -= beside.figures[seed].Value
		}
	}
}

// recall takes over what is kept.
func (p *planned) recall(kept *Kept) {
	if len(p.readings) == 0 {
		return
	}
	had := len(p.readings[0].figures)
	for _, r := range p.readings {
		had = min(had, copy(r.figures, kept.of(p.sc, r.row.key())))
	}
	p.from = had + 1
	p.left.Store(int64(len(p.readings[0].figures) - had))
}

// keep keeps what was run.
func (p *planned) keep(kept *Kept) error {
	figures := map[string][]Figure{}
	for _, r := range p.readings {
		figures[r.row.key()] = r.figures[p.from-1:]
	}
	return kept.add(p.sc, p.from, figures)
}

// key tells one row from another.
func (row *Row) key() string { return string(row.Column) + "/" + row.ID }

// Measurement is a rule that meets the scenarios of rows.
type Measurement struct {
	Rows  []Row
	Rule  Named
	Seeds int
	// Kept has figures that need not be measured again, and gets those that are
	// measured; nil: none are kept.
	Kept *Kept
	// Log is told now and then how far it is; nil: nobody is.
	Log io.Writer
}

// Measure runs the rule through all scenarios on all cores, with the seeds from 1
// on. The figures come row by row. It fails only where figures cannot be kept.
func (m *Measurement) Measure() ([]Figures, error) {
	p := newPlan(m.Rows, m.Seeds)
	type task struct {
		in   *planned
		seed int
	}
	tasks := make(chan task)
	told := progress{to: m.Log, rule: m.Rule.Name, began: time.Now()}
	var todo []*planned
	for _, in := range p.scenarios {
		if in.recall(m.Kept); in.left.Load() > 0 {
			todo = append(todo, in)
			told.work += float64(in.left.Load()) * in.sc.work()
		}
	}
	told.scenarios = len(todo)
	var workers sync.WaitGroup
	var failed atomic.Pointer[error]
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			var lab Lab
			for t := range tasks {
				in, seed := t.in, uint64(t.seed)
				run := lab.Run(in.sc, m.Rule.New(in.sc, seed), seed)
				for _, r := range in.readings {
					value, bar := r.row.Of(run)
					r.figures[t.seed-1] = Figure{seed, value, bar}
				}
				last := in.left.Add(-1) == 0
				if last {
					if err := in.keep(m.Kept); err != nil {
						failed.CompareAndSwap(nil, &err)
					}
				}
				told.ran(in.sc, last)
			}
		})
	}
	for _, in := range todo {
		for seed := in.from; seed <= m.Seeds && failed.Load() == nil; seed++ {
			tasks <- task{in, seed}
		}
	}
	close(tasks)
	workers.Wait()
	if err := failed.Load(); err != nil {
		return nil, fmt.Errorf("keep figures: %w", *err)
	}
	p.compare()
	return p.figures, nil
}

// Measure runs a rule through the scenarios of the rows and keeps nothing.
func Measure(rows []Row, newRule NewRule, seeds int) []Figures {
	m := Measurement{Rows: rows, Rule: Named{New: newRule}, Seeds: seeds}
	figures, err := m.Measure()
	if err != nil {
		panic(err) // nothing is kept
	}
	return figures
}
