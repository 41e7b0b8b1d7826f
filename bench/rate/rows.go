package rate

import (
	"math"
	"time"
)

// Row is one line of the table: what is measured, in which scenarios, and what
// must be reached.
type Row struct {
	ID, Title string
	Column    Headers // Silent or Told
	Scenarios []Scenario
	// Of is the figure of a run, and the bar it is held against.
	Of func(r *Run) (value, bar float64)
	// Lower tells that a value must not exceed its bar; else it must reach it.
	Lower bool
	// Bar is the bar in words.
	Bar string
	// Share tells that the value is capped at 1 in the table.
	Share bool
	// Slack is how far beyond its bar the worst seed may be; NaN: it is only
	// shown.
	Slack float64
	// Shown tells that the row has no bar.
	Shown bool
	// NeedsBound tells that only a rule that says what binds it has a figure.
	NeedsBound bool
	// Beside is the scenario that each is compared with: the value is then the
	// difference. Nil: none.
	Beside func(sc Scenario) Scenario
}

// Met tells whether a value is within its bar and the slack.
func (row *Row) Met(value, bar, slack float64) bool {
	if row.Lower {
		return value <= bar+slack+grain
	}
	return value >= bar-slack-grain
}

// Rows are all rows of the table in their order.
func Rows() []Row {
	var rows []Row
	for _, column := range []Headers{Told, Silent} {
		rows = append(rows, coldRows(column)...)
		rows = append(rows, changeRows(column)...)
		rows = append(rows, tokenRow(column))
		rows = append(rows, tenantRows(column)...)
		rows = append(rows, boundRow(column))
	}
	rows = append(rows, lyingRow(), flakyRow())
	return append(rows, latencyRows()...)
}

const shareSlack = 0.10

// pick is one of two by the column.
func pick(column Headers, told, silent float64) float64 {
	if column == Told {
		return told
	}
	return silent
}

// stubborn is a bucket that holds one request and counts refusals.
func (sc *Scenario) stubborn() bool {
	return sc.Counted && (sc.Kind == Plain || sc.Kind == Bucket && sc.Depth == 0)
}

func coldRows(column Headers) []Row {
	scenarios := cold(column)
	bar := func(sc *Scenario, told, silent, stubborn float64) float64 {
		if column == Silent && sc.stubborn() {
			return stubborn
		}
		return pick(column, told, silent)
	}
	return []Row{
		{
			ID: "first", Title: "answers in the first 10 minutes ÷ oracle's",
			Bar: words(column, "≥ 0.98", "≥ 0.93; counting buckets of 1 ≥ 0.90"), Share: true, Column: column, Scenarios: scenarios, Slack: shareSlack,
			Of: func(r *Run) (float64, float64) {
				return r.Share(0, tenMinutes), bar(r.Scenario, 0.98, 0.93, 0.90)
			},
		},
		{
			ID: "second", Title: "answers in the second 10 minutes ÷ oracle's",
			Bar: words(column, "≥ 0.99", "≥ 0.97; counting buckets of 1 ≥ 0.95"), Share: true, Column: column, Scenarios: scenarios, Slack: shareSlack,
			Of: func(r *Run) (float64, float64) {
				return r.Share(tenMinutes, 2*tenMinutes), bar(r.Scenario, 0.99, 0.97, 0.95)
			},
		},
		{
			ID: "refused1", Title: "refusals in the first 10 minutes",
			Bar: words(column, "≤ 2 + 1 ‰", "≤ 20 + 10 ‰"), Column: column, Scenarios: scenarios, Lower: true, Slack: math.NaN(),
			Of: func(r *Run) (float64, float64) {
				answers := float64(r.Answers(0, tenMinutes)) / 1000
				return float64(r.Refusals(0, tenMinutes)), pick(column, 2+answers, 20+10*answers)
			},
		},
		{
			ID: "refused2", Title: "refusals in the second 10 minutes",
			Bar: words(column, "≤ 1 ‰, or 1", "≤ 10 ‰; counting buckets of 1 ≤ 15 ‰"), Column: column, Scenarios: scenarios, Lower: true, Slack: math.NaN(),
			Of: func(r *Run) (float64, float64) {
				answers := float64(r.Answers(tenMinutes, 2*tenMinutes)) / 1000
				return float64(r.Refusals(tenMinutes, 2*tenMinutes)), max(1, answers*bar(r.Scenario, 1, 10, 15))
			},
		},
	}
}

func changeRows(column Headers) []Row {
	return []Row{
		{
			ID: "raise", Title: "bucket: seconds to 95 % of a limit raised tenfold",
			Bar: words(column, "≤ 5 s + latency", "≤ 60 s, below 300 rpm 18,000 ÷ rpm s"), Column: column, Lower: true, Slack: math.NaN(),
			Scenarios: only(changing(column, 10), func(sc *Scenario) bool { return !sc.window() }),
			Of: func(r *Run) (float64, float64) {
				bar := 5 + r.Scenario.Latency.Seconds()
				if column == Silent {
					bar = max(60, 18000/r.Scenario.RPM)
				}
				return r.RaiseTime().Seconds(), bar
			},
		},
		{
			// Two windows and 30 s; the worst three and 30 s.
			ID: "raisewin", Title: "window: seconds to 95 % of a limit raised tenfold",
			Bar: "≤ 150 s", Column: column, Lower: true, Slack: minute.Seconds(),
			Scenarios: only(changing(column, 10), (*Scenario).window),
			Of:        func(r *Run) (float64, float64) { return r.RaiseTime().Seconds(), (2*minute + 30*time.Second).Seconds() },
		},
		{
			ID: "fall", Title: "seconds until calm after a fall to a tenth",
			Bar: words(column, "≤ 1 s + latency; window: its end", "≤ 10 s or 15 s; window: its end"), Column: column, Scenarios: changing(column, 0.1), Lower: true, Slack: math.NaN(),
			Of: func(r *Run) (float64, float64) {
				sc := r.Scenario
				bar := 1 + sc.Latency.Seconds()
				if column == Silent {
					bar = 10
					if sc.Depth == time.Second || sc.Counted {
						bar = 15
					}
				}
				if sc.window() {
					bar = (r.WindowEdge - r.ChangedAt).Seconds()
				}
				return r.CalmTime().Seconds(), bar
			},
		},
		{
			ID: "probes", Title: "probes refused until the window's end after a fall",
			Bar: "≤ 8", Column: column, Lower: true, Slack: math.NaN(),
			Scenarios: only(changing(column, 0.1), (*Scenario).window),
			Of:        func(r *Run) (float64, float64) { return float64(r.Probes()), 8 },
		},
	}
}

func tokenRow(column Headers) Row {
	return Row{
		ID: "tokens", Title: "tokens charged ÷ limit, heavy-tailed lengths",
		Bar: words(column, "≥ 0.97", "≥ 0.90"), Share: true, Column: column, Scenarios: tokenBound(column), Slack: shareSlack,
		Of: func(r *Run) (float64, float64) { return r.TokenShare(), pick(column, 0.97, 0.90) },
	}
}

func tenantRows(column Headers) []Row {
	of := func(r *Run) (float64, float64) {
		return float64(r.Answers(0, r.Scenario.Length)) / r.Scenario.Length.Minutes() / BestRate(r.Scenario), pick(column, 0.95, 0.90)
	}
	shallow := func(sc *Scenario) bool {
		return sc.Kind == Plain || sc.Kind == Bucket && sc.RPM/60*sc.Depth.Seconds() < 10
	}
	deep := func(sc *Scenario) bool { return !shallow(sc) }
	return []Row{
		{
			ID: "tenant", Title: "beside a second tenant: answers ÷ the best constant rate's",
			Bar: words(column, "≥ 0.95", "≥ 0.90"), Share: true, Column: column, Slack: shareSlack,
			Scenarios: only(besideTenant(column), deep), Of: of,
		},
		{
			ID: "shallow", Title: "the same where fewer than 10 requests fit the bucket",
			Bar: "shown", Share: true, Column: column, Slack: math.NaN(), Shown: true,
			Scenarios: only(besideTenant(column), shallow), Of: of,
		},
		{
			ID: "crowded", Title: "beside a second tenant: refusals per 1,000 answers",
			Bar: "shown", Column: column, Slack: math.NaN(), Shown: true, Lower: true,
			Scenarios: besideTenant(column),
			Of: func(r *Run) (float64, float64) {
				return 1000 * float64(r.Refusals(0, r.Scenario.Length)) / float64(max(1, r.Answers(0, r.Scenario.Length))), 0
			},
		},
	}
}

func lyingRow() Row {
	return Row{
		ID: "lying", Title: "lying headers: answers ÷ oracle's, less that of silence",
		Bar: "≥ −0.05", Column: Told, Slack: shareSlack, Scenarios: lying(),
		Beside: func(sc Scenario) Scenario {
			sc.Headers = Silent
			return sc
		},
		Of: func(r *Run) (float64, float64) { return min(1, r.Share(0, r.Scenario.Length)), -0.05 },
	}
}

// flakyRow asks for nothing that a rule could not have that knows the limit.
func flakyRow() Row {
	return Row{
		ID: "flaky", Title: "some requests refused at random: answers ÷ what limit or places allow",
		Bar: "≥ 0.90", Share: true, Column: Silent, Slack: shareSlack, Scenarios: flaky(),
		Of: func(r *Run) (float64, float64) { return r.Share(0, r.Scenario.Length), 0.90 },
	}
}

func boundRow(column Headers) Row {
	row := Row{
		ID: "bound", Title: "bound_by right, share of time",
		Bar: words(column, "≥ 0.95", "≥ 0.90"), Column: column, NeedsBound: true, Slack: shareSlack,
		Scenarios: bounded(column),
		Of: func(r *Run) (float64, float64) {
			if column == Silent {
				return r.BoundShare(2 * minute), 0.90
			}
			return r.BoundShare(0), 0.95
		},
	}
	return row
}

func latencyRows() []Row {
	scenarios := latencyOnly()
	return []Row{
		{
			ID: "throughput", Title: "latency-only server: throughput ÷ best",
			Bar: "≥ 0.95", Share: true, Column: Silent, Scenarios: scenarios, Slack: shareSlack,
			Of: func(r *Run) (float64, float64) {
				best := BestPoint(r.Scenario)
				return float64(r.Answers(0, r.Scenario.Length)) / r.Scenario.Length.Seconds() / best.PerSecond, 0.95
			},
		},
		{
			ID: "p99", Title: "latency-only server: p99 latency ÷ that at the best point",
			Bar: "≤ 1.3", Column: Silent, Scenarios: scenarios, Lower: true, Slack: shareSlack,
			Of: func(r *Run) (float64, float64) {
				return r.LatencyP99().Seconds() / BestPoint(r.Scenario).P99.Seconds(), 1.3
			},
		},
	}
}

func words(column Headers, told, silent string) string {
	if column == Told {
		return told
	}
	return silent
}

func only(scenarios []Scenario, keep func(*Scenario) bool) []Scenario {
	var kept []Scenario
	for i := range scenarios {
		if keep(&scenarios[i]) {
			kept = append(kept, scenarios[i])
		}
	}
	return kept
}
