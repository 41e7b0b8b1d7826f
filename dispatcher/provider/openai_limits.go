package provider

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/promptforge/promptforge/dispatcher/rate"
)

// openAILimits reads x-ratelimit-*. Source: OpenAI's rate limits guide, "Rate
// limits in headers": limits are per minute.
func openAILimits(h http.Header) rate.Limits {
	l := rate.Limits{
		RequestsPerMinute: headerNumber(h, "x-ratelimit-limit-requests"),
		TokensPerMinute:   headerNumber(h, "x-ratelimit-limit-tokens"),
	}
	l.NoneLeft = l.RequestsPerMinute > 0 && h.Get("x-ratelimit-remaining-requests") == "0"
	return l
}

func headerNumber(h http.Header, name string) float64 {
	n, err := strconv.ParseFloat(strings.TrimSpace(h.Get(name)), 64)
	if err != nil || !(n > 0) || n > 1e12 {
		return 0
	}
	return n
}

const (
	// nonsense is what a caller waits when told nonsense, and longest what
	// counts as such (docs/api.md).
	nonsense = 60 * time.Second
	longest  = 7 * 24 * time.Hour
)

// retryAfter reads retry-after-ms and retry-after (seconds, or a date). 0:
// neither is there.
func retryAfter(h http.Header) time.Duration {
	if v := h.Get("retry-after-ms"); v != "" {
		if ms, err := strconv.ParseFloat(v, 64); err == nil {
			return sane(time.Duration(ms * float64(time.Millisecond)))
		}
		return nonsense
	}
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	if s, err := strconv.ParseFloat(v, 64); err == nil {
		if s > longest.Seconds() {
			return nonsense
		}
		return sane(time.Duration(s * float64(time.Second)))
	}
	if at, err := http.ParseTime(v); err == nil {
		return sane(time.Until(at))
	}
	return nonsense
}

func sane(d time.Duration) time.Duration {
	if d < 0 || d > longest {
		return nonsense
	}
	return d
}
