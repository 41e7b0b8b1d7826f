package provider

import "time"

// untilPacificMidnight is how long Google's day lasts: "Requests per day (RPD)
// quotas reset at midnight Pacific time" (ai.google.dev/gemini-api/docs/rate-limits).
func untilPacificMidnight(now time.Time) time.Duration {
	today := now.Add(pacificOffset(now)).UTC().Truncate(24 * time.Hour)
	next := today.Add(24 * time.Hour) // by a clock in California
	// The clocks may change meanwhile, at two in the morning.
	return next.Add(-pacificOffset(next.Add(-pacificOffset(now)))).Sub(now)
}

// pacificOffset is what a clock in California is ahead of UTC: daylight saving
// time lasts from the second Sunday of March until the first one of November, at
// two by the clock that is valid then (15 U.S.C. 260a). A rule of three lines is
// here for a time zone database of half a megabyte.
func pacificOffset(t time.Time) time.Duration {
	const standard, daylight = -8 * time.Hour, -7 * time.Hour
	year := t.UTC().Year()
	begins := sundayOn(year, time.March, 8).Add(2*time.Hour - standard)
	ends := sundayOn(year, time.November, 1).Add(2*time.Hour - daylight)
	if !t.Before(begins) && t.Before(ends) {
		return daylight
	}
	return standard
}

// sundayOn is the first Sunday on or after a day.
func sundayOn(year int, month time.Month, day int) time.Time {
	t := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	return t.AddDate(0, 0, (7-int(t.Weekday()))%7)
}
