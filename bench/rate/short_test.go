package rate

import (
	"strings"
	"testing"
	"time"
)

// shortSeeds are few, so that the short form takes seconds, with the race
// detector too.
const shortSeeds = 1

// short are scenarios that run quickly, some of each row.
func short(sc *Scenario) bool {
	switch {
	case sc.Kind == Shared:
		return sc.Places == 8
	case sc.Kind == Concurrency:
		return sc.Places == 8
	case sc.Flaky > 0:
		return sc.Flaky == 0.05 && (sc.RPM > 0 || sc.Latency > 100*time.Millisecond)
	case sc.TPM > 0:
		return sc.RPM == 0
	case sc.Change.Factor > 1:
		return sc.RPM == 60 || sc.RPM == 300 && sc.Headers != Silent
	case sc.Tenant || sc.Change.Factor > 0:
		return sc.RPM == 600
	default:
		return sc.RPM == 300
	}
}

// atLeast is how many scenarios of the short form reach their bar, by row and
// column. It may only be raised.
var atLeast = map[string]int{
	"first/headers":     10,
	"second/headers":    10,
	"refused1/headers":  10,
	"refused2/headers":  10,
	"raise/headers":     9,
	"raisewin/headers":  4,
	"fall/headers":      10,
	"probes/headers":    3,
	"tokens/headers":    6,
	"tenant/headers":    7,
	"bound/headers":     10,
	"first/silent":      11,
	"second/silent":     11,
	"refused1/silent":   11,
	"refused2/silent":   11,
	"raise/silent":      7,
	"raisewin/silent":   2,
	"fall/silent":       9,
	"probes/silent":     3,
	"tokens/silent":     5,
	"tenant/silent":     7,
	"bound/silent":      11,
	"flaky/silent":      4,
	"lying/headers":     24,
	"throughput/silent": 4,
	"p99/silent":        2,
}

// The table in small: whoever makes the rule worse hears of it here.
func TestShortForm(t *testing.T) {
	rows := Rows()
	for i := range rows {
		rows[i].Scenarios = only(rows[i].Scenarios, short)
	}
	ours := Result{"ours", Measure(rows, func(sc *Scenario, _ uint64) Rule { return Ours(sc) }, shortSeeds)}
	for i := range rows {
		row := &rows[i]
		line := ours.Line(row)
		if line == nil {
			t.Errorf("%s, %s has no scenario in the short form", row.ID, row.Column)
			continue
		}
		name := row.ID + "/" + string(row.Column)
		if row.Shown {
			continue
		}
		want, ok := atLeast[name]
		if !ok || line.Met < want {
			t.Errorf("%s: %d of %d scenarios reach their bar, want %d; the lowest, %s, has %.3f (bar %.3f)",
				name, line.Met, line.Scenarios, want, line.LowestIn.Name(), line.Lowest.Value, line.Lowest.Bar)
		}
	}
	var table strings.Builder
	Table(&table, rows, []Result{ours})
	t.Log("\n" + table.String())
}
