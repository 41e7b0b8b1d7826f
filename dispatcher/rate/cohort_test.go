package rate

import (
	"math"
	"math/rand/v2"
	"testing"
)

// exposed are requests whose answers take a lognormal time of this median, each
// looked at for so many seconds.
func exposed(rng *rand.Rand, n int, median, seconds float64) []exposure {
	var all []exposure
	for range n {
		took := median * math.Exp(0.4*rng.NormFloat64())
		all = append(all, exposure{min(took, seconds), took <= seconds})
	}
	return all
}

func TestHazardTellsHowMuchSlowerAnswersAre(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, looked := range []float64{12, 1000} { // before most answers came, and after all
		h := hazardOf(exposed(rng, 1000, 10, looked))
		for _, slower := range []float64{1, 1.5, 2} {
			if found := h.slower(exposed(rng, 1000, 10*slower, looked), 4); math.Abs(found/slower-1) > 0.1 {
				t.Errorf("looked at for %v s, answers that are %v times as slow are taken for %v times", looked, slower, found)
			}
		}
	}
}

func TestHazardIsSureBeforeMostAnswersCame(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	h := hazardOf(exposed(rng, 100, 10, 1000))
	if d := h.deviations(exposed(rng, 64, 10, 10), math.Sqrt2); d < beyondChance {
		t.Errorf("that answers take no longer is told by %v deviations", d)
	}
	if d := h.deviations(exposed(rng, 64, 20, 18), math.Sqrt2); d > -beyondChance {
		t.Errorf("that answers take twice as long is told by %v deviations", d)
	}
	if d := h.deviations(exposed(rng, 64, 10, 3), math.Sqrt2); math.Abs(d) > 1 {
		t.Errorf("after 3 s nothing is known, and it is told by %v deviations", d)
	}
}

func TestCohortLeavesOutWhatHasNoAnswer(t *testing.T) {
	var c cohort
	for i := range int64(3) {
		c.sent(Ticket{at: float64(i), number: 2 * i})
	}
	c.accepted(5, Ticket{at: 0, number: 0})
	c.gone(Ticket{at: 1, number: 2})
	c.gone(Ticket{at: 9, number: 9}) // of another
	all := c.exposures(6, nil)
	if len(all) != 2 || all[0] != (exposure{5, true}) || all[1] != (exposure{4, false}) {
		t.Errorf("exposures %v", all)
	}
}

func TestCohortHasItsFirstRequests(t *testing.T) {
	var c cohort
	for i := range int64(2 * cohortMost) {
		c.sent(Ticket{number: i})
	}
	if len(c) != cohortMost || c[cohortMost-1].number != cohortMost-1 {
		t.Errorf("%d requests", len(c))
	}
}
