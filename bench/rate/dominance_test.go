package rate

import (
	"strings"
	"testing"
)

func TestDominated(t *testing.T) {
	sc := base(law{Fixed, 0, false}, 600, Silent)
	rows := DominanceRows()
	figures := func(answers, refused float64) Result {
		one := func(row *Row, v float64) Figures {
			return Figures{Row: row, Scenario: &sc, Values: []Figure{{Seed: 1, Value: v}}}
		}
		return Result{"other", []Figures{one(&rows[0], answers), one(&rows[1], refused)}}
	}
	for _, c := range []struct {
		name             string
		answers, refused float64
		better           bool
	}{
		{"the same", 0.95, 5, false},
		{"more answers", 0.965, 5, true},
		{"a little more", 0.955, 5, false},
		{"more answers, more refusals", 0.99, 5.1, false},
		{"fewer refusals", 0.95, 3.9, true},
		{"fewer refusals, fewer answers", 0.949, 0, false},
	} {
		found := Dominated(figures(0.95, 5), figures(c.answers, c.refused))
		if got := len(found) == 1; got != c.better {
			t.Errorf("%s: better is %v", c.name, got)
		}
		if c.better && !strings.Contains(found[0].String(), "fixed, 600 rpm") {
			t.Errorf("%s: %s", c.name, found[0])
		}
	}
}

func TestTable(t *testing.T) {
	rows := []Row{
		{ID: "share", Title: "a share", Bar: "≥ 0.9", Share: true, Column: Silent, Slack: 0.1},
		{ID: "count", Title: "a count", Bar: "≤ 3", Lower: true, Column: Silent, Slack: 0},
	}
	easy, hard := base(law{Fixed, 0, false}, 600, Silent), base(law{Fixed, 0, false}, 60, Silent)
	values := func(row *Row, sc *Scenario, bar float64, v ...float64) Figures {
		f := Figures{Row: row, Scenario: sc}
		for i, value := range v {
			f.Values = append(f.Values, Figure{uint64(i + 1), value, bar})
		}
		return f
	}
	ours := Result{"ours", []Figures{
		values(&rows[0], &easy, 0.9, 1.05, 1.2, 0.99),
		values(&rows[0], &hard, 0.9, 0.92, 0.95, 0.85),
		values(&rows[1], &easy, 3, 1, 2, 4),
	}}
	line := ours.Line(&rows[0])
	if line.Met != 2 || line.Lowest.Value != 0.92 || line.LowestIn != &hard || line.Worst.Value != 0.85 || line.Worst.Seed != 3 || !line.Passed() {
		t.Errorf("%+v", line)
	}
	if line := ours.Line(&rows[1]); line.Met != 1 || line.Passed() {
		t.Errorf("a worst seed beyond its slack passes: %+v", line)
	}
	var b strings.Builder
	Table(&b, rows, []Result{ours, {"rival", ours.Figures[:1]}})
	for _, want := range []string{
		"| a share | silent | ≥ 0.9 | 2 of 2 | 1 (1.050) | 0.920 | 0.850 | pass | 1 (1.050) (1) |",
		"| a count | silent | ≤ 3 | 1 of 1 | 2.000 | 2.000 | 4.000 | **miss** | – |",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no line %s in\n%s", want, b.String())
		}
	}
	b.Reset()
	Notes(&b, rows, ours)
	if !strings.Contains(b.String(), "worst is seed 3 of fixed, 60 rpm") {
		t.Error(b.String())
	}
}

func TestRulesNamed(t *testing.T) {
	if got, err := RulesNamed(""); err != nil || len(got) != 6 || got[0].Name != "ours" {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := RulesNamed("retry,origin"); err != nil || len(got) != 2 || got[0].Name != "retry" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := RulesNamed("ours,guess"); err == nil || !strings.Contains(err.Error(), `"guess"`) {
		t.Errorf("%v", err)
	}
}

// Each scenario of the catalogue has a name of its own in its row, since
// results are kept by name.
func TestNamesTellScenariosApart(t *testing.T) {
	byName := map[string]Scenario{}
	for _, row := range append(Rows(), DominanceRows()...) {
		inRow := map[string]bool{}
		for _, sc := range row.Scenarios {
			name := sc.Name()
			if inRow[name] {
				t.Errorf("%s/%s has %s twice", row.ID, row.Column, name)
			}
			inRow[name] = true
			if other, ok := byName[name]; ok && other != sc {
				t.Errorf("two scenarios are called %s: %+v and %+v", name, other, sc)
			}
			byName[name] = sc
		}
	}
}
