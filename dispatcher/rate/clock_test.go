package rate

import (
	"math"
	"testing"
)

// ticking is a lane whose requests take 100 tokens each but for those that say so.
type ticking struct {
	log spendLog
	c   minuteByClock
}

func (x *ticking) send(at, prompt float64) Ticket {
	k := Ticket{at: at, cost: spend{requests: 1, prompts: prompt}}
	x.log.add(at, k.cost)
	k.spent = x.log.spent
	x.c.leaves(&k, &x.log, 0.1)
	return k
}

func (x *ticking) refuse(k Ticket) {
	s := k.spent
	s.add(k.cost.negative())
	x.log.add(k.at+0.05, k.cost.negative())
	x.c.wasRefused(&k, s)
}

// A window that refused begins its minute when as much is accepted as it refused,
// not when something shorter is; each time its edge is known more exactly.
func TestMinuteBeginsWhenAsMuchIsAccepted(t *testing.T) {
	var x ticking
	x.send(1, 100)
	x.refuse(x.send(10, 300))
	x.send(12, 100)
	x.send(14, 100)
	if x.c.began(15) {
		t.Error("two short requests were accepted, and it is taken for a new minute")
	}
	x.send(18, 100)
	x.send(20, 100)
	x.send(22, 100)
	if !x.c.began(20) || x.c.begun.at != 20 || x.c.late != 10 {
		t.Fatalf("the minute began at %v or %v s earlier, want 20 and 10", x.c.begun.at, x.c.late)
	}
	if x.c.begun.all[byPrompt] != 400 {
		t.Errorf("%v tokens were accepted before it, want 400", x.c.begun.all[byPrompt])
	}
	if x.c.early[byPrompt] != 100 {
		t.Errorf("%v tokens were accepted before it at least, want 100", x.c.early[byPrompt])
	}
	if !x.c.holds(69) || x.c.holds(71) {
		t.Error("it is sure of seconds that may be in the next minute, or not of those in its own")
	}
	x.send(81, 100)
	if x.c.begun.at != 80 || x.c.begun.all[byPrompt] != 600 {
		t.Errorf("the next minute began at %v after %v tokens, want 80 and 600", x.c.begun.at, x.c.begun.all[byPrompt])
	}
	x.refuse(x.send(134, 100))
	x.send(150, 100)
	x.send(151, 100)
	x.send(152, 100)
	if math.Abs(x.c.begun.at-140) > 1e-9 || math.Abs(x.c.late-6) > 1e-9 {
		t.Errorf("the minute began at %v or %v s earlier, want 140 and 6", x.c.begun.at, x.c.late)
	}
}

// A refusal that is known later means that it was still shut.
func TestMinuteIsShutUntilNothingIsRefused(t *testing.T) {
	var x ticking
	x.refuse(x.send(10, 100))
	x.send(11, 100)
	k := x.send(11.02, 100) // the one before would be as much, and this one is refused
	x.refuse(k)
	x.send(11.2, 100)
	if x.c.began(12) {
		t.Error("it is taken for a new minute although one was refused in it")
	}
	// What agrees with nothing known stands for itself, and what takes longer than
	// a minute tells nothing.
	x.c.edge(30, 40)
	x.c.edge(150, 155)
	if x.c.begun.at != 155 || x.c.late != 5 {
		t.Errorf("the minute began at %v or %v s earlier, want 155 and 5", x.c.begun.at, x.c.late)
	}
	if x.c.edge(200, 260); x.c.began(260) {
		t.Error("a minute and more without a request tells when a minute began")
	}
}
