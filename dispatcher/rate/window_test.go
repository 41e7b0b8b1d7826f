package rate

import (
	"math"
	"math/rand/v2"
	"testing"
)

// serve lets a server that does places requests at once at full speed, and
// shares beyond, answer what the window permits for so many answers.
func serve(w *window, places, latency, sigma float64, answers int, rng *rand.Rand) (widest float64) {
	t, number := 0.0, w.from
	for range answers {
		n := w.limit
		w.full()
		took := latency * max(1, n/places) * math.Exp(sigma*rng.NormFloat64()-sigma*sigma/2)
		t += took / n
		w.accepted(t, Ticket{at: t - took, number: number}, number+1)
		number++
		widest = max(widest, w.limit)
	}
	return widest
}

func TestWindowFindsWhatAServerDoesAtOnce(t *testing.T) {
	for _, places := range []float64{8, 64, 256} {
		for seed := range uint64(5) {
			w := newWindow(4096)
			widest := serve(&w, places, 1, 0.4, 20_000, rand.New(rand.NewPCG(seed, 1)))
			if w.limit < 0.85*places || w.limit > 1.3*places || widest > slowStep*places {
				t.Errorf("%v at once are of use: the window is %v, and was %v", places, w.limit, widest)
			}
			if w.learning {
				t.Error("it still says that it learns")
			}
		}
	}
}

func TestWindowOpensWhereLatencyStays(t *testing.T) {
	w := newWindow(4096)
	serve(&w, 1e6, 0.05, 0.4, 20_000, rand.New(rand.NewPCG(1, 1)))
	if w.limit != 4096 {
		t.Errorf("the window is %v", w.limit)
	}
}

func TestWindowNobodyFillsProvesNothing(t *testing.T) {
	w := newWindow(4096)
	for i := range int64(1000) {
		w.accepted(float64(i), Ticket{at: float64(i) - 0.1, number: i}, i+1)
	}
	if w.limit != startConcurrency {
		t.Errorf("the window is %v", w.limit)
	}
}

func TestWindowBecomesNarrowerWhereTheServerBecomesSlower(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	w := newWindow(4096)
	serve(&w, 64, 1, 0.4, 20_000, rng)
	serve(&w, 16, 1, 0.4, 20_000, rng)
	if w.limit > 40 {
		t.Errorf("16 of 64 places are left: the window is %v", w.limit)
	}
}
