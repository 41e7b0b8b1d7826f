package rate

import (
	"fmt"
	"math"
)

// A rule is better than ours by more than these in one thing, and not worse in
// the other, or it is not better.
const (
	betterAnswers = 0.01
	betterRefused = 1 // a thousand answers
)

// DominanceRows are the two figures by which rules are compared, in every
// scenario in which something is refused.
func DominanceRows() []Row {
	var all []Scenario
	for _, column := range []Headers{Told, Silent} {
		all = append(all, cold(column)...)
		all = append(all, changing(column, 10)...)
		all = append(all, changing(column, 0.1)...)
		all = append(all, besideTenant(column)...)
		all = append(all, tokenBound(column)...)
	}
	all = append(all, lying()...)
	return []Row{
		{
			ID: "answers", Title: "answers ÷ oracle's", Shown: true, Slack: math.NaN(), Scenarios: all,
			Of: func(r *Run) (float64, float64) {
				if r.Scenario.TPM > 0 {
					return min(1, r.TokenShare()), 0
				}
				return min(1, r.Share(0, r.Scenario.Length)), 0
			},
		},
		{
			ID: "refusals", Title: "refusals per 1,000 answers", Shown: true, Slack: math.NaN(), Scenarios: all, Lower: true,
			Of: func(r *Run) (float64, float64) {
				return 1000 * float64(r.Refusals(0, r.Scenario.Length)) / float64(max(1, r.Answers(0, r.Scenario.Length))), 0
			},
		},
	}
}

// Better is a scenario in which another rule is better than ours.
type Better struct {
	Rule                      string
	Scenario                  *Scenario
	Answers, Refused          float64 // the other's
	OursAnswered, OursRefused float64
}

func (b Better) String() string {
	return fmt.Sprintf("%s: %s has %.3f of the answers and %.1f refusals per 1,000, ours %.3f and %.1f",
		b.Scenario.Name(), b.Rule, b.Answers, b.Refused, b.OursAnswered, b.OursRefused)
}

// Dominated lists the scenarios in which a rule is better than ours by more
// than 0.01 in answers or 1 per 1,000 in refusals and no worse in the other, by
// the median of the seeds.
func Dominated(ours, other Result) []Better {
	var found []Better
	theirs := map[string]*Figures{}
	for i := range other.Figures {
		f := &other.Figures[i]
		theirs[f.Row.ID+"/"+f.Scenario.Name()] = f
	}
	refused := map[string]float64{}
	for i := range ours.Figures {
		if f := &ours.Figures[i]; f.Row.ID == "refusals" {
			refused[f.Scenario.Name()] = f.Median().Value
		}
	}
	for i := range ours.Figures {
		f := &ours.Figures[i]
		if f.Row.ID != "answers" {
			continue
		}
		sc := f.Scenario
		b := Better{
			Rule: other.Rule, Scenario: sc, OursAnswered: f.Median().Value, OursRefused: refused[sc.Name()],
			Answers: theirs["answers/"+sc.Name()].Median().Value, Refused: theirs["refusals/"+sc.Name()].Median().Value,
		}
		more := b.Answers > b.OursAnswered+betterAnswers && b.Refused <= b.OursRefused
		calmer := b.Refused < b.OursRefused-betterRefused && b.Answers >= b.OursAnswered
		if more || calmer {
			found = append(found, b)
		}
	}
	return found
}
