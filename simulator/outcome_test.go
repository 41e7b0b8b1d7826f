package simulator

import (
	"fmt"
	"math"
	"testing"
	"time"
)

func promptOf(i int) *request {
	p := fmt.Sprint("prompt ", i)
	return &request{prompt: p, key: keyOf(p)}
}

func TestSharesOfFaults(t *testing.T) {
	cfg := Config{Errors: 0.10, Resets: 0.04, Hang: 0.02, Garbage: 0.06, Seed: 3}
	const n = 100_000
	count := map[outcome]int{}
	retried := 0 // prompts that fail at both of their first attempts
	for i := range n {
		rq := promptOf(i)
		o := cfg.decide(rq, 0)
		count[o]++
		if o.act == actFail && cfg.decide(rq, 1).act == actFail {
			retried++
		}
	}
	for _, c := range []struct {
		what  outcome
		share float64
	}{
		{fails(serverError), 0.05},
		{fails(unavailable), 0.05},
		{outcome{act: actReset}, 0.04},
		{outcome{act: actHang}, 0.02},
		{outcome{act: actCut}, 0.02},
		{outcome{act: actTruncate}, 0.02},
		{outcome{act: actHTML}, 0.02},
		{outcome{act: actAnswer}, 0.78},
	} {
		// 5 standard deviations of a binomial.
		if got, off := float64(count[c.what])/n, 5*math.Sqrt(c.share*(1-c.share)/n); math.Abs(got-c.share) > off {
			t.Errorf("%+v: share %.4f, want %.4f", c.what, got, c.share)
		}
	}
	// A second attempt is a new throw: 1 in 100 fails twice.
	if got := float64(retried) / n; math.Abs(got-0.01) > 0.002 {
		t.Errorf("%.4f fail twice, want 0.01", got)
	}
}

func TestFaultsDependOnSeed(t *testing.T) {
	a, b := Config{Errors: 0.5, Seed: 1}, Config{Errors: 0.5, Seed: 2}
	same, differ := 0, 0
	for i := range 1000 {
		rq := promptOf(i)
		if first, again := a.decide(rq, 0), a.decide(promptOf(i), 0); first != again {
			t.Fatal("one seed, two fates")
		}
		if (a.decide(rq, 0).act == actFail) == (b.decide(rq, 0).act == actFail) {
			same++
		} else {
			differ++
		}
	}
	if same < 400 || differ < 400 {
		t.Errorf("%d same, %d different under another seed", same, differ)
	}
}

func TestSharesAtTheirEnds(t *testing.T) {
	for i := range 1000 {
		rq := promptOf(i)
		if o := (&Config{}).decide(rq, 0); o.act != actAnswer {
			t.Fatalf("no shares, yet %+v", o)
		}
		if o := (&Config{Resets: 1}).decide(rq, 0); o.act != actReset {
			t.Fatalf("all are reset, but not this: %+v", o)
		}
	}
}

func TestMarked(t *testing.T) {
	answer := outcome{act: actAnswer}
	for _, c := range []struct {
		prompt string
		found  bool
		want   []outcome // at attempts 0, 1, …
	}{
		{"none", false, []outcome{answer}},
		{"[simulate:500]", false, []outcome{answer}},
		{"x [[simulate:500]] y", true, []outcome{fails(serverError), fails(serverError)}},
		{"[[simulate:reset:2]]", true, []outcome{{act: actReset}, {act: actReset}, answer}},
		{"[[simulate:500:1]] [[simulate:429:3]]", true, []outcome{fails(serverError), fails(rateLimited), fails(rateLimited), answer}},
		{"[[simulate:500:1]][[simulate:400]]", true, []outcome{fails(serverError), fails(badRequest), fails(badRequest)}},
		{"[[simulate:500:0]]", true, []outcome{answer}},
		{"[[simulate:50O]]", true, []outcome{fails(badMarker)}},
		{"[[simulate:500:x]]", true, []outcome{fails(badMarker)}},
		{"[[simulate:500:-1]]", true, []outcome{fails(badMarker)}},
		{"[[simulate:500", true, []outcome{fails(badMarker)}},
	} {
		for attempt, want := range c.want {
			got, found := marked(c.prompt, uint32(attempt))
			if got != want || found != c.found {
				t.Errorf("%q at %d: %+v, %v; want %+v", c.prompt, attempt, got, found, want)
			}
		}
	}
	// A marker spares its prompt the shares, also when it is used up.
	cfg := Config{Errors: 1}
	rq := &request{prompt: "[[simulate:reset:1]]"}
	if o := cfg.decide(rq, 1); o != answer {
		t.Errorf("a used-up marker gives %+v", o)
	}
}

func TestJitter(t *testing.T) {
	cfg := Config{Latency: 100 * time.Millisecond, Jitter: true, Seed: 9}
	const n = 50_000
	var sum, squares float64
	for i := range n {
		k := promptOf(i).key
		d := cfg.latency(k, 0)
		if d != cfg.latency(k, 0) {
			t.Fatal("one attempt, two latencies")
		}
		log := math.Log(float64(d) / float64(cfg.Latency))
		sum, squares = sum+log, squares+log*log
	}
	mean := sum / n
	deviation := math.Sqrt(squares/n - mean*mean)
	if math.Abs(mean) > 0.01 || math.Abs(deviation-sigma) > 0.01 {
		t.Errorf("mean %.4f and deviation %.4f of the logarithm, want 0 and %v", mean, deviation, sigma)
	}
	cfg.Jitter = false
	if d := cfg.latency(key{}, 0); d != cfg.Latency {
		t.Errorf("without jitter %v", d)
	}
}
