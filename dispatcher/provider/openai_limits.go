package provider

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/promptforge/promptforge/dispatcher/rate"
)

// aMinute is the longest that a limit of a minute takes to be whole again; one
// that takes much longer is a day's.
const aMinute = 10 * time.Minute

// openAILimits reads x-ratelimit-*. Source: OpenAI's rate limits guide, "Rate
// limits in headers": limits are per minute. At Groq requests are per day
// ("Rate Limits", "Rate Limit Headers" in its documentation), and so are they
// for OpenAI's models with a daily limit alone.
func openAILimits(e *Endpoint, h http.Header) rate.Limits {
	l := rate.Limits{
		RequestsPerMinute: headerNumber(h, "x-ratelimit-limit-requests"),
		TokensPerMinute:   headerNumber(h, "x-ratelimit-limit-tokens"),
		Requests:          budget(h, "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
		Tokens:            budget(h, "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
	}
	if l.Requests.Reset > aMinute || l.RequestsPerMinute > 0 && hostEnds(e, "groq.com") {
		l.RequestsPerMinute, l.Requests = 0, rate.Budget{}
	}
	l.NoneLeft = l.RequestsPerMinute > 0 && l.Requests.Known && l.Requests.Left == 0
	return l
}

// budget reads what is left of a limit, and when it is whole again: a duration
// such as 6m0s, a number of seconds, or a time.
func budget(h http.Header, left, reset string) rate.Budget {
	n, err := strconv.ParseFloat(strings.TrimSpace(h.Get(left)), 64)
	if err != nil || !(n >= 0) || n > 1e12 {
		return rate.Budget{}
	}
	return rate.Budget{Known: true, Left: n, Reset: resetIn(h, reset)}
}

func resetIn(h http.Header, name string) time.Duration {
	v := strings.TrimSpace(h.Get(name))
	if v == "" {
		return 0
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		if s, bad := strconv.ParseFloat(v, 64); bad == nil && s >= 0 && s <= longest.Seconds() {
			d = time.Duration(s * float64(time.Second))
		} else if t, bad := time.Parse(time.RFC3339, v); bad == nil {
			d = t.Sub(serverTime(h))
		}
	}
	return min(max(d, 0), longest)
}

// headerNumber is a header's number above 0; 0 where it has none.
func headerNumber(h http.Header, names ...string) float64 {
	for _, name := range names {
		n, err := strconv.ParseFloat(strings.TrimSpace(h.Get(name)), 64)
		if err == nil && n > 0 && n <= 1e12 {
			return n
		}
	}
	return 0
}

// hostEnds tells whether an endpoint is at a domain or below it.
func hostEnds(e *Endpoint, domain string) bool {
	u, err := url.Parse(e.BaseURL)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	return host == domain || strings.HasSuffix(host, "."+domain)
}
