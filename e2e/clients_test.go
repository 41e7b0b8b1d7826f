package e2e

import (
	"testing"
	"time"
)

// TestClientsTakeTurns: per client one job after the other in upload order,
// the clients side by side.
func TestClientsTakeTurns(t *testing.T) {
	d := deploy(t, []string{"--latency", "20ms", "--rpm", "6000"})
	other := d.newKey("other")
	keys := []string{d.key, other}
	var first, second [2]string
	for i, key := range keys {
		first[i] = d.submit(key, "", promptLines(150, "first"))
		second[i] = d.submit(key, "", promptLines(150, "second"))
	}
	if s := d.job(d.key, second[0]).Status; s != "PENDING" {
		t.Errorf("a client's second job is %s while its first runs", s)
	}
	var ends [2]time.Time
	for i, key := range keys {
		b := d.settled(key, second[i])
		a := d.settled(key, first[i])
		if b.StartedAt.Before(a.SettledAt.Truncate(time.Second)) {
			t.Errorf("client %d: the second job began at %s, the first was settled at %s", i, b.StartedAt, a.SettledAt)
		}
		ends[i] = *a.SettledAt
		d.answered(key, first[i], 150, "first")
		d.answered(key, second[i], 150, "second")
	}
	if apart := ends[0].Sub(ends[1]).Abs(); apart > 2*time.Second {
		t.Errorf("two clients with equal jobs ended %s apart", apart)
	}
}

// TestSmallJobBesideAHugeOne: on one capped credential 100 prompts of one
// client beside 20,000 of another take at most three times as long as alone.
func TestSmallJobBesideAHugeOne(t *testing.T) {
	d := deploy(t, []string{"--latency", "50ms", "--rpm", "3000"})
	small := d.newKey("small")
	d.settled(small, d.submit(small, "", promptLines(10, "warm")))
	timed := func(text string) time.Duration {
		begin := time.Now()
		d.settled(small, d.submit(small, "", promptLines(100, text)))
		return time.Since(begin)
	}
	alone := timed("alone")
	huge := d.submit(d.key, "", promptLines(20_000, "huge"))
	until(t, "the huge job's start", func() bool { return d.job(d.key, huge).CompletedCount > 100 })
	beside := timed("beside")
	t.Logf("alone %s, beside 20,000 prompts %s: %.2f times", alone, beside, beside.Seconds()/alone.Seconds())
	if beside > 3*alone {
		t.Errorf("beside a huge job it took %s, alone %s", beside, alone)
	}
	if j := d.job(d.key, huge); j.Status != "PROCESSING" {
		t.Errorf("the huge job was %s: it was no neighbour", j.Status)
	}
}
