package rate

import (
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// passed counts how many units a pacer lets pass in a span when asked as often
// as it says.
func passed(p *Pacer, from time.Time, span time.Duration, units float64) int {
	n := 0
	for now := from; now.Before(from.Add(span)); {
		if at := p.Ready(now); at.After(now) {
			now = at
			continue
		}
		p.Take(now, units)
		n++
	}
	return n
}

func TestPacerKeepsItsRate(t *testing.T) {
	for _, perMinute := range []float64{1, 60, 600, 30_000} {
		var p Pacer
		p.SetRate(start, perMinute)
		got := passed(&p, start, 10*time.Minute, 1)
		if want := 10 * perMinute; float64(got) < want*0.999 || float64(got) > want*1.001+2 {
			t.Errorf("at %v a minute %d passed in ten minutes", perMinute, got)
		}
	}
}

func TestPacerPaysForALargeUnitAfterwards(t *testing.T) {
	var p Pacer
	p.SetRate(start, 60)
	p.Take(start, 30)
	at := p.Ready(start)
	if wait := at.Sub(start); wait < 29*time.Second || wait > 30*time.Second {
		t.Errorf("after 30 units at one a second it waits %s", wait)
	}
}

func TestPacerSavesUpLittle(t *testing.T) {
	var p Pacer
	p.SetRate(start, 6000)
	p.Take(start, 1)
	late := start.Add(time.Hour)
	n := 0
	for p.Ready(late) == late {
		p.Take(late, 1)
		n++
	}
	if n > 7 {
		t.Errorf("%d passed at once after an idle hour at 100 a second", n)
	}
	p.Drain(late.Add(time.Hour))
	if p.pacer.balance > 0 {
		t.Errorf("%v is left after Drain", p.pacer.balance)
	}
}

func TestPacerWithoutALimit(t *testing.T) {
	var p Pacer
	p.Take(start, 1e9)
	if at := p.Ready(start); at.After(start) {
		t.Error("the zero pacer made somebody wait")
	}
}
