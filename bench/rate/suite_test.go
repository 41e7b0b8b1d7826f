package rate

import (
	"sync"
	"testing"
	"time"
)

// However many rows look at a scenario, or are held against it, it is run once
// a seed.
func TestMeasureRunsAScenarioOnce(t *testing.T) {
	silent := base(law{kind: Bucket}, 60, Silent)
	silent.Length = minute
	full, empty := silent, silent
	full.Headers, empty.Headers = AlwaysFull, AlwaysEmpty
	sent := func(r *Run) (float64, float64) { return float64(len(r.Records)), 1 }
	rows := []Row{
		{ID: "plain", Column: Silent, Scenarios: []Scenario{silent}, Of: sent},
		{
			ID: "compared", Column: Told, Scenarios: []Scenario{full, empty}, Of: sent,
			Beside: func(sc Scenario) Scenario { sc.Headers = Silent; return sc },
		},
		{ID: "again", Column: Silent, Scenarios: []Scenario{silent}, Of: sent},
	}
	var mu sync.Mutex
	runs := map[string]int{}
	// The rule sends one request more for each seed, and ten more where headers lie.
	figures := Measure(rows, func(sc *Scenario, seed uint64) Rule {
		mu.Lock()
		defer mu.Unlock()
		runs[sc.Name()]++
		n := int(seed)
		if sc.Headers != Silent {
			n += 10
		}
		return &few{left: n}
	}, 3)
	if len(runs) != 3 {
		t.Errorf("%d scenarios were run: %v", len(runs), runs)
	}
	for name, n := range runs {
		if n != 3 {
			t.Errorf("%s was run %d times", name, n)
		}
	}
	for _, f := range figures {
		for i, v := range f.Values {
			want := float64(i + 1)
			if f.Row.ID == "compared" {
				want = 10
			}
			if v.Seed != uint64(i+1) || v.Value != want || v.Bar != 1 {
				t.Errorf("%s, %s: figure %d is %+v, want %v", f.Row.ID, f.Scenario.Name(), i, v, want)
			}
		}
	}
}

// few sends a few requests at once.
type few struct{ left int }

func (f *few) Permit(time.Time, Request) (bool, time.Time) { return f.left > 0, time.Time{} }
func (f *few) Sent(time.Time, Request)                     { f.left-- }
func (f *few) Answered(time.Time, Answer)                  {}
