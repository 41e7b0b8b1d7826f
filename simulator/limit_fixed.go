package simulator

import "time"

// fixed counts in windows of a minute, end to end, of which the first opens
// with the first request.
type fixed struct {
	limit int
	start time.Time // of the window that used belongs to; zero before the first
	used  int
}

// advance moves to now's window.
func (f *fixed) advance(now time.Time) {
	if f.start.IsZero() {
		return
	}
	if windows := now.Sub(f.start) / minute; windows > 0 {
		f.start = f.start.Add(windows * minute)
		f.used = 0
	}
}

func (f *fixed) wait(now time.Time, n int) time.Duration {
	f.advance(now)
	if f.used+n <= f.limit {
		return 0
	}
	return f.start.Add(minute).Sub(now)
}

func (f *fixed) take(now time.Time, n int) {
	f.advance(now)
	if f.start.IsZero() {
		f.start = now
	}
	f.used += n
}

func (f *fixed) remaining(now time.Time) int {
	f.advance(now)
	return f.limit - f.used
}

func (f *fixed) reset(now time.Time) time.Duration {
	f.advance(now)
	if f.used == 0 {
		return 0
	}
	return f.start.Add(minute).Sub(now)
}
