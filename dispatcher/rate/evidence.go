package rate

import (
	"math"
	"slices"
)

const (
	// spansJudged is how many of the newest figures are looked at.
	spansJudged = 8
	// Of more than mostAll figures, or of a window mostOfWindow, closeShare are
	// looked at, those that are closest.
	mostAll      = 3
	mostOfWindow = 2
	closeShare   = 0.65
	// A figure is not taken to be more exact than exactLeast, nor than so many
	// units in it.
	exactLeast = 0.002
	exactUnits = 1.5
	// A window's count is so exact, or so many units, if it is what is counted; what
	// is farther off is less likely, by windowOff at most.
	windowExact = 0.005
	windowUnits = 3.0
	windowOff   = 2.0
	// What left last weighs recentKept of what left next. Where a measure is what is
	// counted, refused is what follows more than usual: by a standard deviation or
	// so, and by recentMost at most.
	recentKept   = 0.9
	recentMemory = 200
	recentMost   = 2.0
	recentShift  = 1.0
	proofKept    = 0.95
	// unproved is so unlikely that refusals have nothing to do with it.
	unproved = -0.5
	// unlike is the standard deviation of requests' tokens, over their mean, from
	// which on it is worth finding out whether they are counted.
	unlike = 0.2
)

// sizes are how much requests are of a measure.
type sizes struct{ n, mean, square, most float64 }

func (z *sizes) add(amount float64) {
	z.n = min(z.n+1, recentMemory)
	z.most = max(z.most, amount)
	z.mean += (amount - z.mean) / z.n
	z.square += (amount*amount - z.square) / z.n
}

// vary tells whether they do: what is alike cannot be told from requests.
func (z *sizes) vary() bool { return z.square-z.mean*z.mean > unlike*unlike*z.mean*z.mean }

// variance is that of a request's measure, in the mean request's.
func (z *sizes) variance() float64 {
	if z.mean <= 0 {
		return 0
	}
	return max(0, z.square/(z.mean*z.mean)-1)
}

// recent is what left a short time ago, by a measure.
type recent struct {
	sum    float64
	mean   float64 // of sum
	square float64 // mean square of what it is off
	n      int
	proof  float64 // logarithm: how much more likely refusals follow much of it
}

func (r *recent) sent(amount float64) {
	r.sum = r.sum*recentKept + amount
	r.n++
	off := r.sum - r.mean
	weight := 1 / float64(min(r.n, recentMemory))
	r.mean += off * weight
	r.square += (off*off - r.square) * weight
}

func (r *recent) refused() {
	if r.square <= 0 {
		return
	}
	off := min(recentMost, max(-recentMost, (r.sum-r.mean)/math.Sqrt(r.square)))
	r.proof = r.proof*proofKept + recentShift*(off-recentShift/2)
}

// figures are the newest of a look, by each measure.
type figures struct {
	ring [spansJudged][measures]float64
	n    int
}

func (f *figures) add(all [measures]float64) {
	f.ring[f.n%spansJudged] = all
	f.n++
}

// of are those of a measure.
func (f *figures) of(m measure) []float64 {
	all := make([]float64, 0, spansJudged)
	for i := range min(f.n, spansJudged) {
		all = append(all, f.ring[i][m])
	}
	return all
}

// likely is the logarithm of how likely a measure is by how close most of its
// figures are: some spans have two minutes, or a bucket that was full, in them.
func (f *figures) likely(m measure, windows bool) float64 {
	all := f.of(m)
	if len(all) < 2 {
		return math.Inf(-1)
	}
	least := slices.Min(f.of(byRequest))
	slices.Sort(all)
	n := len(all)
	if n > mostAll || windows && n > mostOfWindow {
		n = int(math.Ceil(closeShare * float64(n)))
	}
	width := math.Inf(1)
	for i := 0; i+n <= len(all); i++ {
		width = min(width, math.Log(max(1e-9, all[i+n-1])/max(1e-9, all[i])))
	}
	exact := max(exactLeast, exactUnits/max(1, least))
	likely := -math.Log(width + exact)
	if windows {
		off := width / max(windowExact, windowUnits/max(1, least))
		likely -= min(windowOff, off*off/2)
	}
	return float64(n-1) * likely
}
