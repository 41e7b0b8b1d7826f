package provider

import (
	"net/http"

	"github.com/promptforge/promptforge/dispatcher/rate"
)

// mistralLimits reads Mistral's headers: x-ratelimit-*-req-minute and
// -tokens-minute, -req-10-second where the plan has it, and the older
// x-ratelimitbysize-*, which counts tokens. Source: headers as users show them
// (github.com/mistralai/client-ts/issues/169), and Mistral's Go and R clients
// of others for the older ones.
func mistralLimits(h http.Header) rate.Limits {
	l := rate.Limits{
		RequestsPerMinute: headerNumber(h, "x-ratelimit-limit-req-minute"),
		TokensPerMinute:   headerNumber(h, "x-ratelimit-limit-tokens-minute", "x-ratelimitbysize-limit-minute"),
		Requests:          budget(h, "x-ratelimit-remaining-req-minute", "x-ratelimit-reset-req-minute"),
		Tokens:            budget(h, "x-ratelimit-remaining-tokens-minute", "x-ratelimit-reset-tokens-minute"),
	}
	for name, aMinute := range map[string]float64{"second": 60, "10-second": 6} {
		if n := headerNumber(h, "x-ratelimit-limit-req-"+name) * aMinute; n > 0 && (l.RequestsPerMinute == 0 || n < l.RequestsPerMinute) {
			l.RequestsPerMinute = n
			l.Requests = budget(h, "x-ratelimit-remaining-req-"+name, "x-ratelimit-reset-req-"+name)
		}
	}
	if !l.Tokens.Known {
		l.Tokens = budget(h, "x-ratelimitbysize-remaining-minute", "ratelimitbysize-reset")
	}
	l.NoneLeft = l.RequestsPerMinute > 0 && l.Requests.Known && l.Requests.Left == 0
	return l
}
