package simulator

import (
	"math"
	"time"
)

// outcome is what becomes of one attempt.
type outcome struct {
	act  act
	kind failureKind // of actFail
	mute bool        // a refusal does not say how long to wait
}

type act int

const (
	actAnswer   act = iota
	actFilter       // answered, the text withheld
	actRefuse       // answered with a refusal
	actSpend        // answered with no text, all tokens spent
	actFail         // an error in the dialect's words
	actReset        // the connection is reset before any byte
	actHang         // nothing, until the client leaves
	actCut          // half a body that claims to be whole
	actTruncate     // half a body, then the connection is closed
	actNothing      // 200 and no body
	actHTML         // 200 and a page instead of JSON
	actSSE          // 200 and an error as an event of a stream
	actError200     // 200 and the JSON of an error
)

func fails(kind failureKind) outcome { return outcome{act: actFail, kind: kind} }

// decide is a pure function of (seed, prompt, attempt): markers first, then
// the shares.
func (c *Config) decide(rq *request, attempt uint32) outcome {
	if o, found := marked(rq.prompt, attempt); found {
		return o
	}
	u := unit(rq.key.hash(c.Seed, attempt, forFault))
	variant := rq.key.hash(c.Seed, attempt, forVariant)
	if u < c.Errors {
		return fails([...]failureKind{serverError, unavailable}[variant%2])
	}
	if u -= c.Errors; u < c.Resets {
		return outcome{act: actReset}
	}
	if u -= c.Resets; u < c.Hang {
		return outcome{act: actHang}
	}
	if u -= c.Hang; u < c.Garbage {
		return outcome{act: [...]act{actCut, actTruncate, actHTML}[variant%3]}
	}
	u -= c.Garbage
	for _, f := range c.Faults {
		if u < f.Share {
			o, _ := classNamed(f.Class) // Validate knows it
			return o
		}
		u -= f.Share
	}
	return outcome{act: actAnswer}
}

// sigma of the jitter: 95 of 100 latencies lie between 0.56 and 1.8 times the
// median.
const sigma = 0.3

// latency is how long an attempt takes before its answer begins.
func (c *Config) latency(k key, attempt uint32) time.Duration {
	if !c.Jitter || c.Latency == 0 {
		return c.Latency
	}
	// Box and Muller's normal from two even ones; 1-u keeps the logarithm
	// finite.
	u := 1 - unit(k.hash(c.Seed, attempt, forJitter))
	v := unit(k.hash(c.Seed, attempt, forAngle))
	z := math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*v)
	return time.Duration(float64(c.Latency) * math.Exp(sigma*z))
}
