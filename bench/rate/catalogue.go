package rate

import "time"

// limits are the requests a minute that scenarios have.
var limits = []float64{60, 300, 600, 6000, 30_000}

// law is a limiter by which scenarios are made.
type law struct {
	kind    Kind
	depth   time.Duration
	counted bool
}

// laws are all limiters of requests. Plain is a bucket of one request unless
// refusals count, and a fixed window forgets what it counted.
var laws = []law{
	{Bucket, 0, false},
	{Bucket, 0, true},
	{Bucket, time.Second, false},
	{Bucket, time.Second, true},
	{Bucket, minute, false},
	{Bucket, minute, true},
	{Plain, 0, true},
	{Fixed, 0, false},
	{Sliding, 0, false},
	{Sliding, 0, true},
}

// base is what most scenarios have in common.
func base(l law, rpm float64, column Headers) Scenario {
	return Scenario{
		Kind: l.kind, Depth: l.depth, Counted: l.counted, RPM: rpm, Headers: column,
		Latency: time.Second, Length: 2 * tenMinutes, MaxInFlight: DefaultInFlight,
	}
}

// cold are the scenarios of a cold start. Every second one has retry-after.
func cold(column Headers) []Scenario {
	var all []Scenario
	for i, l := range laws {
		for k, rpm := range limits {
			if l.depth == time.Second && rpm == 60 {
				continue // a bucket of one
			}
			sc := base(l, rpm, column)
			sc.RetryAfter = (i+k)%2 == 1
			all = append(all, sc)
		}
	}
	if column == Silent {
		for _, places := range []int{8, 100} {
			sc := base(law{kind: Concurrency}, 0, column)
			sc.Places = places
			all = append(all, sc)
		}
	}
	return all
}

// changeLength leaves 6 minutes at least after the change.
const changeLength = 12 * minute

// changing are the scenarios in which the limit changes. With headers a limit
// of 60 is raised only where answers take 10 s: the next request, whose answer
// brings the news, leaves up to a second after the raise, and the bar leaves room
// for that only there.
func changing(column Headers, factor float64) []Scenario {
	latencies := []time.Duration{50 * time.Millisecond, time.Second, 10 * time.Second}
	from := []float64{60, 300, 600, 3000}
	switch {
	case factor < 1:
		from = []float64{600, 3000, 30_000}
	case column == Told:
		from = []float64{300, 600, 3000, 60}
	}
	var all []Scenario
	for i, l := range laws {
		for k, rpm := range from {
			sc := base(l, rpm, column)
			sc.Change = Change{At: 5 * minute, Factor: factor}
			sc.Length = changeLength
			sc.Latency = latencies[(i+k)%3]
			if column == Told && rpm == 60 && sc.Latency < 10*time.Second {
				continue
			}
			sc.RetryAfter = (i+k)%2 == 1
			if rpm*max(1, factor)/60*sc.Latency.Seconds() > DefaultInFlight/2 {
				sc.MaxInFlight = 4 * DefaultInFlight
			}
			all = append(all, sc)
		}
	}
	return all
}

// tokenBound are the scenarios in which tokens are the limit.
func tokenBound(column Headers) []Scenario {
	var all []Scenario
	for _, kind := range []Kind{Bucket, Fixed, Sliding} {
		for _, upFront := range []bool{true, false} {
			for _, rpm := range []float64{120, 1200} {
				sc := base(law{kind: kind}, 0, column)
				sc.Lengths, sc.UpFront = HeavyTailed, upFront
				sc.TPM = rpm * sc.meanCharge()
				sc.RetryAfter = upFront
				if rpm == 1200 {
					sc.RPM, sc.Depth = 2*rpm, time.Second
				}
				all = append(all, sc)
			}
		}
	}
	return all
}

// besideTenant are the scenarios with a second tenant.
func besideTenant(column Headers) []Scenario {
	var all []Scenario
	for i, l := range laws {
		for k, rpm := range []float64{600, 6000} {
			sc := base(l, rpm, column)
			sc.Tenant = true
			sc.RetryAfter = (i+k)%2 == 1
			all = append(all, sc)
		}
	}
	return all
}

// lying are the scenarios with headers that are not true.
func lying() []Scenario {
	var all []Scenario
	for _, l := range []law{{Bucket, time.Second, false}, {Bucket, minute, true}, {Fixed, 0, false}, {Sliding, 0, true}} {
		for _, lie := range []Headers{TenTimes, ATenth, AlwaysFull, AlwaysEmpty, ForeignLimit, WrongReset} {
			for _, rpm := range []float64{300, 3000} {
				all = append(all, base(l, rpm, lie))
			}
		}
	}
	return all
}

// flaky are the providers that refuse some requests at random: without a limit
// but our own cap on requests at once, and with one.
func flaky() []Scenario {
	var all []Scenario
	for _, share := range []float64{0.01, 0.05, 0.1} {
		for _, latency := range []time.Duration{50 * time.Millisecond, time.Second} {
			sc := base(law{kind: Bucket}, 0, Silent)
			sc.Flaky, sc.Latency, sc.MaxInFlight = share, latency, 100
			all = append(all, sc)
		}
	}
	for _, l := range []law{{Bucket, time.Second, false}, {Bucket, minute, true}, {Fixed, 0, false}, {Sliding, 0, false}} {
		sc := base(l, 600, Silent)
		sc.Flaky = 0.05
		all = append(all, sc)
	}
	return all
}

// bounded are the scenarios in which a rule is asked what binds it.
func bounded(column Headers) []Scenario {
	all := only(cold(column), func(sc *Scenario) bool { return sc.Kind == Concurrency || sc.RPM >= 300 && sc.RPM < 30_000 })
	all = append(all, only(tokenBound(column), func(sc *Scenario) bool { return sc.tokenRPM() >= 300 })...)
	capped := base(law{kind: Sliding}, 1200, column)
	capped.CapRPM = 600
	varied := base(law{kind: Bucket, depth: time.Second}, 1200, column)
	varied.Lengths = HeavyTailed
	varied.TPM = 2 * varied.RPM * varied.meanCharge()
	machine := base(law{kind: Bucket, depth: time.Second}, 6000, column)
	machine.Latency, machine.MaxInFlight = 10*time.Second, 100
	return append(all, capped, varied, machine)
}

// latencyOnly are the servers that refuse nothing.
func latencyOnly() []Scenario {
	var all []Scenario
	for _, places := range []int{8, 64, 256} {
		for _, slope := range []float64{0, 0.5} {
			for _, latency := range []time.Duration{time.Second, 10 * time.Second} {
				sc := base(law{kind: Shared}, 0, Silent)
				sc.Places, sc.Slope, sc.Latency = places, slope, latency
				all = append(all, sc)
			}
		}
	}
	return all
}
