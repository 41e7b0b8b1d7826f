package rate

import "testing"

// No rule has more requests under way than the scenario lets a client have, even
// against a server that refuses nothing.
func TestRulesKeepTheCap(t *testing.T) {
	sc := base(law{kind: Shared}, 0, Silent)
	sc.Places, sc.Length = 8, tenMinutes
	var lab Lab
	for _, rule := range rules {
		run := lab.Run(&sc, rule.New(&sc, 1), 1)
		if open := len(run.Records) - run.Answers(0, sc.Length); open > sc.MaxInFlight {
			t.Errorf("%s has %d requests under way, at most %d may be", rule.Name, open, sc.MaxInFlight)
		}
	}
}
