package rate

import (
	"testing"
	"time"
)

// A bucket of one that was refused slightly needs no more than what a refusal
// may cost.
func TestSlightRefusalIsNotWaitedOutForLong(t *testing.T) {
	for _, counted := range []bool{false, true} {
		b := &bucket{perSecond: 1, depth: 1, level: 1, counted: counted}
		c := New(Config{Concurrency: 100}, nil, start)
		accepted, refused := driveWith(c, 30*time.Minute, func() time.Duration { return time.Second }, b.ask)
		if accepted < 1720 || refused > 40 {
			t.Errorf("counted is %v: %d of 1800 accepted, %d refused", counted, accepted, refused)
		}
		if c.learner.patient {
			t.Errorf("counted is %v: a probe after a slight refusal came too early", counted)
		}
	}
}

// penal lets nothing pass for some time after each refusal.
type penal struct {
	bucket
	until time.Time
}

func (p *penal) ask(now time.Time) (bool, Feedback) {
	if now.Before(p.until) {
		return false, Feedback{Verdict: Refused}
	}
	ok, f := p.bucket.ask(now)
	if !ok {
		p.until = now.Add(2 * time.Second)
	}
	return ok, f
}

// One that wants more is given more from then on, and has not fallen.
func TestSlightRefusalIsWaitedOutWhereItMustBe(t *testing.T) {
	p := &penal{bucket: bucket{perSecond: 1, depth: 1, level: 1}}
	c := New(Config{Concurrency: 100}, nil, start)
	accepted, refused := driveWith(c, 30*time.Minute, func() time.Duration { return time.Second }, p.ask)
	if accepted < 1600 || refused > 60 || !c.learner.patient {
		t.Errorf("%d of 1800 accepted, %d refused, patient is %v", accepted, refused, c.learner.patient)
	}
}
