package rate

import (
	"fmt"
	"strings"
	"time"

	"github.com/promptforge/promptforge/dispatcher/rate"
)

// Headers is what a provider says of its limits with each answer.
type Headers string

// The headers.
const (
	Silent       Headers = "silent"
	Told         Headers = "headers"
	TenTimes     Headers = "says tenfold"      // limit and remaining are ten times the truth
	ATenth       Headers = "says a tenth"      // limit and remaining are a tenth of the truth
	AlwaysFull   Headers = "says full"         // remaining is always the limit
	AlwaysEmpty  Headers = "says empty"        // remaining is always 0
	ForeignLimit Headers = "says another's"    // the limit of something else: 60,000 a minute, none used
	WrongReset   Headers = "says reset at 0 s" // the limit is true, reset is always 0
)

// Lengths is how long prompts and answers are.
type Lengths string

// The lengths.
const (
	Alike       Lengths = ""             // all the same
	HeavyTailed Lengths = "heavy-tailed" // lognormal, cut at 4,096
)

// Change is a limit that changes for good.
type Change struct {
	At     time.Duration // from At to At + 60 s, by the seed
	Factor float64       // 0: no change
}

// Scenario is a provider and how long it is used. The zero value of a field is
// none of it.
type Scenario struct {
	Kind Kind
	// RPM and TPM are the provider's limits.
	RPM, TPM float64
	// Depth is what a bucket of requests holds, as time at its limit; 0: one
	// request.
	Depth time.Duration
	// UpFront charges max_tokens when a request is taken, rather than the real
	// use when it is answered.
	UpFront bool
	Lengths Lengths
	// Places is how many requests Concurrency lets in, or Shared serves at full
	// speed.
	Places int
	// Slope is how much slower each is when all places of Shared are taken.
	Slope float64

	Headers    Headers
	Counted    bool // refusals count against the limit
	RetryAfter bool // refusals say how long to wait
	// Flaky is the share of requests that are refused at random, before any
	// limit looks at them.
	Flaky float64

	Latency time.Duration // mean of an accepted request's, lognormal
	Change  Change
	Tenant  bool // a second one sends half the limit

	Length      time.Duration
	MaxInFlight int // the rule's own cap
	CapRPM      int // the operator's cap; 0: none
}

// Name says all that tells one scenario from another.
func (sc *Scenario) Name() string {
	parts := []string{string(sc.Kind)}
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	switch {
	case sc.unlimited():
		parts[0] = "no limit"
	case sc.Kind == Bucket && sc.Depth == 0:
		parts[0] = "bucket of 1"
	case sc.Kind == Bucket:
		parts[0] = fmt.Sprintf("bucket of %.0f s", sc.Depth.Seconds())
	case sc.Places > 0:
		parts[0] = fmt.Sprintf("%s %d", sc.Kind, sc.Places)
	}
	if sc.Slope > 0 {
		add("slope %.1f", sc.Slope)
	}
	if sc.RPM > 0 {
		add("%.0f rpm", sc.RPM)
	}
	if sc.TPM > 0 {
		add("%.0f tpm", sc.TPM)
		if sc.UpFront {
			add("up front")
		}
	}
	if sc.Lengths != Alike {
		add("%s", sc.Lengths)
	}
	if sc.Change.Factor > 0 {
		add("×%g", sc.Change.Factor)
	}
	if sc.Counted {
		add("counted")
	}
	if sc.Flaky > 0 {
		add("%g %% refused at random", 100*sc.Flaky)
	}
	if sc.Tenant {
		add("second tenant")
	}
	if sc.RetryAfter {
		add("retry-after")
	}
	if sc.CapRPM > 0 {
		add("cap %d", sc.CapRPM)
	}
	if sc.MaxInFlight != DefaultInFlight {
		add("%d at once", sc.MaxInFlight)
	}
	add("%v", sc.Latency)
	add("%s", sc.Headers)
	return strings.Join(parts, ", ")
}

// DefaultInFlight is the cap on requests under way, as in serve.
const DefaultInFlight = 4096

// unlimited tells that nothing but our own cap on requests at once binds.
func (sc *Scenario) unlimited() bool { return sc.Kind == Bucket && sc.RPM == 0 && sc.TPM == 0 }

// window tells that the limiter counts by the minute.
func (sc *Scenario) window() bool { return sc.Kind == Fixed || sc.Kind == Sliding }

// limitAt is the limit of requests a minute, the change included.
func (sc *Scenario) limitAt(changedAt, now time.Duration) float64 {
	if sc.Change.Factor > 0 && now >= changedAt {
		return sc.RPM * sc.Change.Factor
	}
	return sc.RPM
}

// Truth is what binds a rule that does everything right.
func (sc *Scenario) Truth() rate.Bound {
	needed := sc.RPM / 60 * sc.Latency.Seconds()
	switch {
	case sc.CapRPM > 0 && (sc.RPM == 0 || float64(sc.CapRPM) < sc.RPM):
		return rate.BoundCap
	case sc.Kind == Concurrency || sc.Kind == Shared:
		return rate.BoundConcurrency
	case sc.TPM > 0 && (sc.RPM == 0 || sc.tokenRPM() < sc.RPM):
		return rate.BoundTPM
	case sc.unlimited() || needed > float64(sc.MaxInFlight):
		return rate.BoundMachine
	default:
		return rate.BoundRPM
	}
}

// tokenRPM is how many requests a minute the limit of tokens allows.
func (sc *Scenario) tokenRPM() float64 { return sc.TPM / sc.meanCharge() }
