package rate

import "testing"

func TestPlacesNeedProof(t *testing.T) {
	var p places
	for i := range placesProof {
		p.refuse(float64(i), 8)
		for open := range 72 {
			p.accept(0, open%8, 0.1)
		}
	}
	if p.known {
		t.Error("known before its proof")
	}
	p.refuse(9, 8)
	if !p.known || p.limit != 8 {
		t.Errorf("after %d refusals at 8: %+v", placesProof+1, p)
	}
	for range placesRequests {
		p.accept(0, 7, 0.1)
	}
	if p.width(9+placesSeconds) != 9 || p.width(10) != 8 {
		t.Errorf("it tries %v", p.width(9+placesSeconds))
	}
	for range placesRaised {
		p.accept(0, 8, 0.1)
	}
	if p.limit < 8.5 {
		t.Errorf("nine at once are accepted, and the limit is %v", p.limit)
	}
	for i := range placesLost {
		p.refuse(20, 4-i)
	}
	if p.known {
		t.Error("refusals far below it did not end it")
	}
}

func TestPlacesAreRefutedByMoreAtOnce(t *testing.T) {
	var p places
	for i := range 3 * placesProof {
		p.refuse(float64(i), 8)
		for range 20 {
			p.accept(0, 10, 0.1)
		}
	}
	if p.known {
		t.Error("ten at once were accepted, and 8 is taken for the limit")
	}
}

func TestPlacesAloneProveNothing(t *testing.T) {
	var p places
	for i := range 3 * placesProof {
		p.refuse(float64(i), 0)
	}
	if p.known || p.limit != 0 {
		t.Errorf("refused while nothing else was under way: %+v", p)
	}
}

// A limit by time lets thousands pass before it refuses, whatever is at once.
func TestPlacesAreNotALimitByTime(t *testing.T) {
	var p places
	for i := range 3 * placesProof {
		p.refuse(float64(i), 100)
		for range placesShare * 100 {
			p.accept(0, 95, 0.1)
		}
	}
	if p.known {
		t.Error("a limit by time is taken for one of requests at once")
	}
}

// Under a limit of requests at once one is let in for each that is answered; a
// row of refusals is another limit, and must not become a flood.
func TestPlacesEndWithARowOfRefusals(t *testing.T) {
	p := places{limit: 100, known: true, extra: 1}
	for range placesStreak + 1 {
		p.refuse(1, 100)
	}
	if p.known {
		t.Error("it goes on although everything is refused")
	}
}

// Where answers take so short a time that but two or three are under way, a bucket
// refuses at the same number of requests at once, too; but it accepted more.
func TestPlacesAreNoFewerThanWereAcceptedAtOnce(t *testing.T) {
	for most, want := range map[int]bool{2: true, 3: true, 5: false} {
		var p places
		p.accept(0, most, 0.2)
		for i := range 2 * placesProof {
			p.refuse(float64(i), 2)
			for range 40 {
				p.accept(float64(i), 1, 0.2)
			}
		}
		if p.known != want {
			t.Errorf("%d accepted at once, refused at 2: known is %v", most, p.known)
		}
	}
	p := places{most: 100}
	for range 500 {
		p.refuse(0, 50)
	}
	if p.most > 1 {
		t.Errorf("after 500 refusals %v is still the most", p.most)
	}
}
