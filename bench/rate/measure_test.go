package rate

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/dispatcher/rate"
)

// paced are records of requests sent evenly from from to to, answered at once.
func paced(from, to, space time.Duration, accepted bool) []Record {
	var all []Record
	for at := from; at < to; at += space {
		all = append(all, Record{Sent: at, Arrived: at, Answered: at + time.Millisecond, Accepted: accepted})
	}
	return all
}

func changedRun(factor float64) *Run {
	sc := base(law{Bucket, time.Second, false}, 600, Silent)
	sc.Change = Change{At: 5 * minute, Factor: factor}
	sc.Length = changeLength
	return &Run{Scenario: &sc, ChangedAt: 5 * minute, WindowEdge: 6 * minute}
}

func TestRaiseTime(t *testing.T) {
	r := changedRun(10)
	// At the old rate for 20 s more, then at the new one: 95 % of 5 s are there
	// a little before 5 s, since the old rate counts too.
	r.Records = append(paced(0, 5*minute+20*time.Second, 100*time.Millisecond, true),
		paced(5*minute+20*time.Second, 7*minute, 10*time.Millisecond, true)...)
	if got := r.RaiseTime().Seconds(); got < 24.6 || got > 24.75 {
		t.Errorf("%.2f s, want about 24.7", got)
	}
	r.Records = r.Records[:3100]
	if got := r.RaiseTime(); got != r.Scenario.Length-r.ChangedAt {
		t.Errorf("never raised: %v", got)
	}
}

func TestCalmTime(t *testing.T) {
	for _, c := range []struct {
		name   string
		refuse time.Duration // everything from the fall on for so long
		want   time.Duration
	}{
		{"nothing refused", 0, 0},
		{"three refused", 250 * time.Millisecond, 0},
		{"much refused", 10 * time.Second, 9600 * time.Millisecond},
		{"never calm", changeLength, changeLength - 5*minute},
	} {
		r := changedRun(0.1)
		fall := r.ChangedAt
		r.Records = append(paced(0, fall, 100*time.Millisecond, true), paced(fall, fall+c.refuse, 100*time.Millisecond, false)...)
		r.Records = append(r.Records, paced(fall+c.refuse, r.Scenario.Length, time.Second, true)...)
		if got := r.CalmTime(); got < c.want-time.Millisecond || got > c.want+time.Millisecond {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestProbes(t *testing.T) {
	r := changedRun(0.1)
	fall := r.ChangedAt
	for i := range 5 {
		at := fall + time.Duration(i)*10*time.Second
		r.Records = append(r.Records, Record{Sent: at, Arrived: at, Answered: at + time.Second})
	}
	// One was under way when the first refusal came back, one is after the edge.
	r.Records = append(r.Records, Record{Sent: fall + 500*time.Millisecond, Arrived: fall + time.Second, Answered: fall + 2*time.Second},
		Record{Sent: r.WindowEdge, Arrived: r.WindowEdge, Answered: r.WindowEdge + 1})
	if got := r.Probes(); got != 4 {
		t.Errorf("%d probes, want 4", got)
	}
}

func TestAnswersAndRefusalsCountWhatCameBack(t *testing.T) {
	r := changedRun(10)
	r.Records = []Record{
		{Sent: 1, Arrived: 2, Accepted: true}, // not answered
		{Sent: 1, Arrived: 2, Answered: minute - 1, Accepted: true},
		{Sent: 1, Arrived: 2, Answered: minute, Accepted: true},
		{Sent: 1, Arrived: 2, Answered: minute - 1},
		{Sent: 1},
	}
	if a, f := r.Answers(0, minute), r.Refusals(0, minute); a != 1 || f != 1 {
		t.Errorf("%d answers, %d refusals", a, f)
	}
	if p := r.LatencyP99(); p != minute-1 {
		t.Errorf("p99 %v", p)
	}
	if p := (&Run{}).LatencyP99(); p != 0 {
		t.Errorf("p99 of nothing: %v", p)
	}
}

func TestBoundShare(t *testing.T) {
	r := changedRun(10)
	r.Bounds = []rate.Bound{rate.BoundLearning, rate.BoundLearning, rate.BoundRPM, rate.BoundRPM}
	if got := r.BoundShare(0); got != 0.5 {
		t.Errorf("from the beginning: %v", got)
	}
	if got := r.BoundShare(2 * time.Second); got != 1 {
		t.Errorf("from 2 s: %v", got)
	}
	if got := r.BoundShare(time.Hour); got != 0 {
		t.Errorf("after the end: %v", got)
	}
}

// What binds is told apart in the scenarios that ask for it.
func TestTruth(t *testing.T) {
	seen := map[rate.Bound]bool{}
	for _, sc := range bounded(Silent) {
		seen[sc.Truth()] = true
	}
	for _, b := range []rate.Bound{rate.BoundRPM, rate.BoundTPM, rate.BoundConcurrency, rate.BoundCap, rate.BoundMachine} {
		if !seen[b] {
			t.Errorf("no scenario is bound by %s", b)
		}
	}
}

// The oracle is what an even pace at the limit gets that nobody refuses.
func TestOracle(t *testing.T) {
	var lab Lab
	sc := base(law{Bucket, minute, false}, 600, Silent)
	run := lab.Run(&sc, NewPaced(600), 1)
	for _, span := range [][2]time.Duration{{0, tenMinutes}, {tenMinutes, 2 * tenMinutes}} {
		if got, want := float64(run.Answers(span[0], span[1])), sc.Oracle(0, span[0], span[1]); math.Abs(got-want) > 10 {
			t.Errorf("%v: %.0f answers, the oracle has %.0f", span, got, want)
		}
	}
	places := base(law{kind: Concurrency}, 0, Silent)
	places.Places = 20
	run = lab.Run(&places, &constant{limit: 20}, 1)
	if got, want := float64(run.Answers(0, tenMinutes)), places.Oracle(0, 0, tenMinutes); math.Abs(got/want-1) > 0.01 {
		t.Errorf("20 at once: %.0f answers, the oracle has %.0f", got, want)
	}
	raised := changedRun(10)
	if got := raised.Scenario.Oracle(raised.ChangedAt, 0, 6*minute+time.Second); got != 600*5+6000 {
		t.Errorf("a minute after a raise: %.0f", got)
	}
}

// A place that falls free is found by the scan, and the knee is where it is.
func TestBestPointIsTheKnee(t *testing.T) {
	for _, sc := range latencyOnly() {
		if sc.Places > 8 || sc.Latency > time.Second {
			continue
		}
		best := BestPoint(&sc)
		want := float64(sc.Places) / sc.Latency.Seconds() / (1 + sc.Slope)
		if float64(best.AtOnce) < 0.9*float64(sc.Places) || float64(best.AtOnce) > 1.15*float64(sc.Places) || math.Abs(best.PerSecond/want-1) > 0.05 {
			t.Errorf("%s: %+v, want about %.1f a second", sc.Name(), best, want)
		}
	}
}

func TestBestRateLeavesTheTenantItsHalf(t *testing.T) {
	sc := base(law{Sliding, 0, false}, 600, Silent)
	sc.Tenant = true
	if got := BestRate(&sc); got < 0.42*600 || got > 0.52*600 {
		t.Errorf("%.0f a minute", got)
	}
}

// A rule that says "ask again at once" would hang the loop.
func TestRuleThatSpinsPanics(t *testing.T) {
	defer func() {
		if text, _ := recover().(string); !strings.Contains(text, "says to ask again at") {
			t.Errorf("panicked with %q", text)
		}
	}()
	sc := base(law{Bucket, 0, false}, 60, Silent)
	new(Lab).Run(&sc, spinner{}, 1)
}

type spinner struct{ Rule }

func (spinner) Permit(now time.Time, _ Request) (bool, time.Time) { return false, now }
