package main

import "testing"

// One of a thing is not several.
func TestNumbersOfThings(t *testing.T) {
	for got, want := range map[string]string{
		plural(0, "job"):                             "0 jobs",
		plural(1, "job"):                             "1 job",
		plural(12345, "job"):                         "12,345 jobs",
		subject(1, "file", "is", "are"):              "1 file is",
		subject(2, "file", "is", "are"):              "2 files are",
		subject(1, "more file", "belongs", "belong"): "1 more file belongs",
		isAre(1):    "1 is",
		isAre(1000): "1,000 are",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestClipped(t *testing.T) {
	for most, want := range map[int]string{7: "äbcdefg", 8: "äbcdefg", 6: "äbcde…"} {
		if got := clipped("äbcdefg", most); got != want {
			t.Errorf("of %d: %q, want %q", most, got, want)
		}
	}
}
