package provider

import (
	"net/http"

	"github.com/promptforge/promptforge/dispatcher/rate"
)

// anthropicLimits reads anthropic-ratelimit-*. Source: Anthropic's API
// reference, "Rate limits", "Response headers": limits are per minute, resets
// are times in RFC 3339, and the plain tokens are those of the tightest limit.
func anthropicLimits(h http.Header) rate.Limits {
	const prefix = "anthropic-ratelimit-"
	left := func(what string) rate.Budget {
		return budget(h, prefix+what+"-remaining", prefix+what+"-reset")
	}
	l := rate.Limits{
		RequestsPerMinute:     headerNumber(h, prefix+"requests-limit"),
		TokensPerMinute:       headerNumber(h, prefix+"tokens-limit"),
		InputTokensPerMinute:  headerNumber(h, prefix+"input-tokens-limit"),
		OutputTokensPerMinute: headerNumber(h, prefix+"output-tokens-limit"),
		Requests:              left("requests"),
		Tokens:                left("tokens"),
		InputTokens:           left("input-tokens"),
		OutputTokens:          left("output-tokens"),
	}
	if l.TokensPerMinute == 0 && l.InputTokensPerMinute > 0 && l.OutputTokensPerMinute > 0 {
		l.TokensPerMinute = l.InputTokensPerMinute + l.OutputTokensPerMinute
	}
	l.NoneLeft = l.RequestsPerMinute > 0 && l.Requests.Known && l.Requests.Left == 0
	return l
}
