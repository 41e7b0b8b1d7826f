//go:build failpoint

package failpoint

import (
	"errors"
	"syscall"
	"testing"
)

func TestParse(t *testing.T) {
	got, err := parse("a=crash,b=enospc@3x0,c=stallx2")
	if err != nil || len(got) != 3 || got["a"] != (fault{"crash", 1, 1}) || got["b"] != (fault{"enospc", 3, 0}) || got["c"] != (fault{"stall", 1, 2}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, bad := range []string{"a", "a=", "a=burn", "a=crash@x", "a=crashxy"} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestHit(t *testing.T) {
	faults = map[string]fault{"full": {"enospc", 2, 2}, "odd": {"error", 1, 0}}
	for visit, want := range []error{nil, syscall.ENOSPC, syscall.ENOSPC, nil} {
		if err := Hit("full"); !errors.Is(err, want) {
			t.Errorf("visit %d: %v, want %v", visit+1, err, want)
		}
	}
	for range 3 {
		if err := Hit("odd"); !errors.Is(err, ErrInjected) {
			t.Errorf("%v", err)
		}
	}
	if err := Hit("another"); err != nil {
		t.Error(err)
	}
}
