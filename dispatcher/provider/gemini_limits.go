package provider

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/promptforge/promptforge/dispatcher/rate"
)

// geminiLimit reads a limit out of a quota that was exceeded: Gemini sends no
// headers, and names its limits only when it refuses. Quotas are named like
// GenerateRequestsPerMinutePerProjectPerModel-FreeTier and
// GenerateContentInputTokensPerModelPerMinute-FreeTier.
func geminiLimit(l *rate.Limits, quota string, value jsontext.Value) {
	n, err := strconv.ParseFloat(plain(value), 64)
	if err != nil || !(n > 0) || n > 1e12 || quotaPeriod(quota) != perMinute {
		return
	}
	switch {
	case strings.Contains(quota, "InputTokens"):
		l.InputTokensPerMinute = n
	case strings.Contains(quota, "Requests"):
		l.RequestsPerMinute = n
	}
}
