package rate

import (
	"time"

	"github.com/promptforge/promptforge/bench/rate/plot"
)

// chartBin is the span of one point of a chart.
const chartBin = 5 * time.Second

// Chart is the run as requests a minute over time: when they were accepted or
// refused by the provider, against what it would let pass.
func (r *Run) Chart() *plot.Chart {
	ch := &plot.Chart{Title: r.Scenario.Name(), Bins: make([]plot.Bin, r.Scenario.Length/chartBin)}
	for i := range ch.Bins {
		at := time.Duration(i) * chartBin
		ch.Bins[i].Seconds = at.Seconds()
		ch.Bins[i].Limit = r.Scenario.chartLimit(r.ChangedAt, at)
	}
	for i := range r.Records {
		a := &r.Records[i]
		bin := int(a.Arrived / chartBin)
		switch {
		case a.Arrived == 0 || bin >= len(ch.Bins): // still on its way
		case a.Accepted:
			ch.Bins[bin].Accepted += float64(minute) / float64(chartBin)
		default:
			ch.Bins[bin].Refused += float64(minute) / float64(chartBin)
		}
	}
	return ch
}

// chartLimit is how many requests a minute the provider lets pass: by the
// tighter limit, with lengths and latencies at their means.
func (sc *Scenario) chartLimit(changedAt, now time.Duration) float64 {
	switch {
	case sc.Kind == Shared:
		return 60 * BestPoint(sc).PerSecond
	case sc.Kind == Concurrency:
		return float64(sc.Places) / sc.Latency.Minutes()
	case sc.TPM > 0 && (sc.RPM == 0 || sc.tokenRPM() < sc.RPM):
		return sc.tokenRPM()
	default:
		return sc.limitAt(changedAt, now)
	}
}
