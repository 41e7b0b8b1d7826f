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
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		low, high := math.Floor(float64(least)/float64(u.unit)), math.Ceil(float64(most)/float64(u.unit))
		switch {
		case low >= 2 || u.unit == time.Second:
			return fmt.Sprintf("%d–%d %s", int64(low), int64(high), u.name)
		case high >= 20: // such as 40 s to 25 min
			return fmt.Sprintf("%s–%d %s", short(least), int64(high), u.name)
		}
	}
	return ""
}
