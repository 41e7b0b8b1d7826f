package rate

import (
	"math"
	"math/rand/v2"
)

// A heavy-tailed prompt is lognormal with a median of 200 tokens, its answer
// with one of 150, cut at max_tokens, which is one of maxTokens.
const (
	mostTokens     = 4096
	promptMedian   = 200
	promptSigma    = 1.0
	answerMedian   = 150
	answerSigma    = 1.2
	alikePrompt    = 200
	alikeAnswer    = 200
	bytesPerToken  = 4
	bytesOfAFrame  = 40 // what a line has beside its prompt
	samplesForMean = 200_000
)

var maxTokens = [...]int{256, 1024, 4096}

// length is what a prompt takes.
type length struct {
	prompt, answer, maxTokens int
	bytes                     int
}

func (l length) charge(upFront bool) float64 {
	if upFront {
		return float64(l.prompt + l.maxTokens)
	}
	return float64(l.prompt + l.answer)
}

func (k Lengths) draw(rng *rand.Rand) length {
	if k == Alike {
		return length{alikePrompt, alikeAnswer, alikeAnswer, bytesOfAFrame + bytesPerToken*alikePrompt}
	}
	prompt := lognormal(rng, promptMedian, promptSigma)
	most := maxTokens[rng.IntN(len(maxTokens))]
	answer := min(lognormal(rng, answerMedian, answerSigma), most)
	// A token is about four bytes, more or less.
	bytes := bytesOfAFrame + int(float64(prompt)*bytesPerToken*(0.8+0.4*rng.Float64()))
	return length{prompt, answer, most, bytes}
}

func lognormal(rng *rand.Rand, median, sigma float64) int {
	return max(1, min(mostTokens, int(median*math.Exp(sigma*rng.NormFloat64()))))
}

// meanCharge is the tokens that a request is charged, on average.
func (sc *Scenario) meanCharge() float64 {
	key := meanKey{sc.Lengths, sc.UpFront}
	return means[key]
}

type meanKey struct {
	lengths Lengths
	upFront bool
}

// means are measured once, with a seed of their own.
var means = func() map[meanKey]float64 {
	m := map[meanKey]float64{}
	for _, lengths := range []Lengths{Alike, HeavyTailed} {
		for _, upFront := range []bool{false, true} {
			rng := rand.New(rand.NewPCG(1, 1))
			sum := 0.0
			for range samplesForMean {
				sum += lengths.draw(rng).charge(upFront)
			}
			m[meanKey{lengths, upFront}] = sum / samplesForMean
		}
	}
	return m
}()

// tokenDepth is what a bucket of tokens holds: ten mean requests, and the
// largest one.
func (sc *Scenario) tokenDepth() float64 {
	largest := float64(alikePrompt + alikeAnswer)
	if sc.Lengths != Alike {
		largest = 2 * mostTokens
	}
	return max(10*sc.meanCharge(), largest)
}
