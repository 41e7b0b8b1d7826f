package main

import (
	"fmt"
	"math"
	"time"
)

// rest is when a job is expected to be done. Its zero value: nobody knows.
type rest struct{ about, earliest, latest time.Time }

// certain is the most by which the latest may exceed the earliest, as a factor,
// for one figure to tell both.
const certain = 1.2

// String is how long it takes from now on: 3m20s, or where that is uncertain
// 4–6 min.
func (r rest) String() string {
	if r.about.IsZero() {
		return ""
	}
	about := max(time.Second, time.Until(r.about))
	least, most := max(time.Second, time.Until(r.earliest)), time.Until(r.latest)
	if about > 365*24*time.Hour {
		return ""
	}
	if r.earliest.IsZero() || float64(most) <= certain*float64(least) || most <= 5*time.Second {
		return short(about)
	}
	unit, name := time.Second, "s"
	switch {
	case most > 90*time.Minute:
		unit, name = time.Hour, "h"
	case most > 90*time.Second:
		unit, name = time.Minute, "min"
	}
	low, high := int64(least/unit), int64(math.Ceil(float64(most)/float64(unit)))
	if low < 2 && unit > time.Second { // such as 40s–25 min
		return fmt.Sprintf("%s–%d %s", short(least), high, name)
	}
	return fmt.Sprintf("%d–%d %s", low, high, name)
}
