package simulator

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Config says how the provider behaves. The zero value answers everything at
// once, without limits, headers or faults.
type Config struct {
	// Latency passes before an answer begins. 0 or more.
	Latency time.Duration
	// PerToken is added for every token of the completion. 0 or more.
	PerToken time.Duration
	// Jitter multiplies Latency by a lognormal factor (median 1, sigma 0.3)
	// that is a hash of (Seed, prompt, attempt).
	Jitter bool

	// RPM is the limit of requests a minute; 0 is none.
	RPM int
	// TPM is the limit of tokens a minute; 0 is none. A request is charged
	// when it is admitted, with its prompt's tokens and those that its answer
	// has (not its max_tokens), whether or not a fault then takes the answer.
	// A request of more than TPM tokens can never pass: "Request too large".
	TPM int
	// Concurrency is how many admitted requests may be open; 0 is any number.
	Concurrency int
	// LimitKind is the law of RPM and TPM: [Bucket] (also when empty),
	// [Fixed] or [Sliding].
	LimitKind string

	// Headers sends the dialect's rate limit headers with every answer and
	// error, and says on a 429 for RPM or TPM how long to wait. A refusal for
	// Concurrency says no time: no server knows when a place falls free.
	Headers bool

	// Errors, Resets, Hang and Garbage are the shares of attempts, each from
	// 0 to 1 and at most 1 together, that are answered 500 or 503; have their
	// TCP connection reset before any byte; are never answered; get 200 with
	// a body that is HTML or ends in the middle.
	Errors, Resets, Hang, Garbage float64
	// Faults are more of them, of any class. Their shares count towards the 1.
	Faults []Fault

	// Seed picks the faults and the jitter.
	Seed uint64
}

// Fault is a share of the attempts, from 0 to 1, that end in one class of
// [Classes].
type Fault struct {
	Class string
	Share float64
}

// The kinds of limit that [Config.LimitKind] names.
const (
	// Bucket refills evenly and holds one second's worth, at least 1.
	Bucket = "bucket"
	// Fixed counts in windows of 60 s, the first of which opens with the
	// first request.
	Fixed = "fixed"
	// Sliding counts what was taken in the last 60 s.
	Sliding = "sliding"
)

// Validate returns nil or an error of one line per mistake, each a sentence
// that names the field as the command line does.
func (c Config) Validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"latency", c.Latency}, {"per-token", c.PerToken}} {
		if d.value < 0 {
			add("%s must not be negative, but is %v", d.name, d.value)
		}
	}
	for _, n := range []struct {
		name  string
		value int
	}{{"rpm", c.RPM}, {"tpm", c.TPM}, {"concurrency", c.Concurrency}} {
		if n.value < 0 {
			add("%s must not be negative, but is %d (0 means no limit)", n.name, n.value)
		}
	}
	switch c.LimitKind {
	case "", Bucket, Fixed, Sliding:
	default:
		add("limit-kind must be %s, %s or %s, but is %q", Bucket, Fixed, Sliding, c.LimitKind)
	}
	shares := []Fault{{"errors", c.Errors}, {"resets", c.Resets}, {"hang", c.Hang}, {"garbage", c.Garbage}}
	for _, f := range c.Faults {
		if _, known := classNamed(f.Class); !known {
			add("fault knows no class %q; the classes are %s", f.Class, strings.Join(Classes(), ", "))
		}
		shares = append(shares, Fault{"fault " + f.Class, f.Share})
	}
	sum := 0.0
	for _, f := range shares {
		if !isShare(f.Share) {
			add("%s must be a share from 0 to 1, but is %v", f.Class, f.Share)
		} else {
			sum += f.Share
		}
	}
	// The margin forgives ten shares of 0.1, whose sum is not exactly 1.
	if sum > 1+1e-9 {
		add("errors, resets, hang, garbage and the faults must together be at most 1, but are %v", sum)
	}
	return errors.Join(errs...)
}

// isShare is written so that NaN is none.
func isShare(x float64) bool { return x >= 0 && x <= 1 }
