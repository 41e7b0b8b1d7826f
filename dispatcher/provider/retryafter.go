package provider

import (
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	// afterNonsense is what a prompt waits whose answer asks for nonsense, and
	// what is longer than longest counts as such (docs/api.md).
	afterNonsense = 60 * time.Second
	longest       = 7 * 24 * time.Hour

	// nonsense stands for a wait that is named and cannot be meant.
	nonsense time.Duration = -1
)

// askedWait is how long an answer asks to wait. Of several waits the longest
// counts; 0: none is named. Nonsense counts only where nothing else is named.
func askedWait(h http.Header, found time.Duration, message string) time.Duration {
	header := retryAfter(h)
	if wait := max(header, found); wait > 0 {
		return wait
	}
	if wait := tryAgainIn(message); wait != 0 {
		return wait
	}
	return min(header, found)
}

// retryAfter reads retry-after-ms and retry-after (seconds, or a date). 0:
// neither is there.
func retryAfter(h http.Header) time.Duration {
	if v := h.Get("retry-after-ms"); v != "" {
		return seconds(v, 1e-3)
	}
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	if at, err := http.ParseTime(v); err == nil {
		return sane(at.Sub(serverTime(h)))
	}
	return seconds(v, 1)
}

// seconds reads a number of units, each so many seconds.
func seconds(v string, unit float64) time.Duration {
	n, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
	if err != nil || !(n >= 0 && n*unit <= longest.Seconds()) {
		return nonsense
	}
	return time.Duration(n * unit * float64(time.Second))
}

func sane(d time.Duration) time.Duration {
	if d < 0 || d > longest {
		return nonsense
	}
	return d
}

// serverTime is the server's clock, by which its dates are meant; ours where
// it does not tell.
func serverTime(h http.Header) time.Time {
	if t, err := http.ParseTime(h.Get("Date")); err == nil {
		return t
	}
	return time.Now()
}

var tryAgain = regexp.MustCompile(`(?:try again|retry) in ((?:[0-9]+(?:\.[0-9]+)?(?:ms|[hms]))+)`)

// tryAgainIn reads a wait out of a message in lower case, such as "please try
// again in 7m12s". 0: it names none.
func tryAgainIn(message string) time.Duration {
	m := tryAgain.FindStringSubmatch(message)
	if m == nil {
		return 0
	}
	d, err := time.ParseDuration(m[1])
	if err != nil {
		return 0
	}
	return sane(d)
}
