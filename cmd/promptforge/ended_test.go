package main

import "testing"

func TestTheEndSaysWhatMayBePaidTwice(t *testing.T) {
	t.Parallel()
	one, none := int64(1), int64(0)
	j := &wireJob{Status: "COMPLETED", PossiblyRepaid: &one}
	want := "The job is COMPLETED: " + counts(j) + ". At most 1 request may have been paid for twice, after a crash or a stop that gave them up."
	if got := ended(j); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	j.PossiblyRepaid = &none
	if got := ended(j); got != "The job is COMPLETED: "+counts(j)+"." {
		t.Errorf("nothing was repaid: %q", got)
	}
}
