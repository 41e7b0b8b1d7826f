package rate

import (
	"math"
	"math/rand/v2"
	"testing"
)

// observed is a witness of requests, of which a bucket or window of prompts' tokens
// refuses some.
type observed struct {
	w    witness
	t    tokens
	z    [measures]sizes
	next int64
}

func newObserved() *observed { return &observed{t: newTokens(0)} }

func (o *observed) send(at, prompt float64) Ticket {
	k := Ticket{at: at, number: o.next, cost: spend{requests: 1, prompts: prompt}}
	o.next++
	o.t.log.add(at, k.cost)
	k.spent, k.ago = o.t.log.spent, o.t.log.minuteAgo(at)
	o.z[byPrompt].add(prompt)
	return k
}

func (o *observed) refuse(k Ticket) {
	o.t.log.add(k.at, k.cost.negative())
	o.t.never.add(&k, o.next)
}

func (o *observed) judge(k Ticket, unknown float64) {
	o.refuse(k)
	o.w.judge(&k, &o.t, &o.z, unknown, true)
}

// Who left before a refused request and is known only later to have been refused
// was never counted.
func TestWitnessHearsOfThoseRefusedBefore(t *testing.T) {
	o := newObserved()
	for i := range 20 {
		o.send(float64(i)/10, 100)
	}
	before := o.send(2, 700)
	o.judge(o.send(2.01, 100), 2)
	b := &o.w.evidence.newest()[anyMinute][byPrompt]
	if b.low != 2700 || b.high != 2800 || b.off < 200 {
		t.Errorf("the limit is between %v and %v or %v off, want 2700 and 2800, off by two requests", b.low, b.high, b.off)
	}
	o.refuse(before)
	b = &o.w.evidence.ring[0][anyMinute][byPrompt]
	o.judge(o.send(5, 100), 0)
	if b.low != 2000 || b.high != 2100 || b.off > 50 {
		t.Errorf("the limit is between %v and %v or %v off, want 2000 and 2100, hardly off", b.low, b.high, b.off)
	}
	if o.w.since.all[byPrompt] != 2000 {
		t.Errorf("%v tokens were accepted, want 2000", o.w.since.all[byPrompt])
	}
}

// A bucket that was full for a time is known by what it gave since, if its depth
// is known, and otherwise taken for a slower one.
func TestWitnessOfABucketThatWasFull(t *testing.T) {
	const rate, depth = 1000.0, 800.0
	rng := rand.New(rand.NewPCG(7, 7))
	o := newObserved()
	level, last := depth, 0.0
	for at := 0.0; at < 400; at += 0.1 {
		prompt := 100 * math.Exp(0.8*rng.NormFloat64()-0.32)
		if int(at)%20 < 5 {
			prompt /= 2 // it is full by then
		}
		level, last = min(depth, level+rate*(at-last)), at
		k := o.send(at, prompt)
		if level < prompt {
			o.judge(k, 0)
			continue
		}
		level -= prompt
		o.w.accepted(&k, &o.t)
		if o.w.evidence.n > 0 {
			o.w.likely(byPrompt, kindUnknown)
		}
	}
	endless, _ := o.w.evidence.likely(limiter(len(depths)-1), byPrompt, false)
	best, limit := o.w.evidence.likely(2, byPrompt, false) // eight mean requests
	if best < endless+surer || math.Abs(limit/rate-1) > 0.03 {
		t.Errorf("a bucket of 8 requests is as likely as %.1f, at %.0f a second; without end %.1f", best, limit, endless)
	}
}
