package provider

import (
	"slices"
	"strings"

	"github.com/promptforge/promptforge/job"
)

var mistralTooLong = append(slices.Clone(tooLong), "too large for model")

// mistralVerdicts is read from the top; what is not here is as everywhere.
// Source: Mistral's documentation, "Error glossary" and "Guardrails", and bodies
// as users report them (see the tests).
var mistralVerdicts = []verdict{
	{Fatal, job.CodeServerError, faultModel, says(400, "invalid_model", "unknown_model", "invalid model")},
	{Fatal, job.CodeServerError, faultModel, says(404, "model_not_found", "unknown_model", "invalid_model", "does not exist")},
	// A plan with no request a minute for this model never lets one pass.
	{Fatal, job.CodeServerError, faultCredit, func(r *refused) bool {
		return r.status == 429 && strings.TrimSpace(r.header.Get("x-ratelimit-limit-req-minute")) == "0"
	}},
	{Fatal, job.CodeServerError, faultCredit, func(r *refused) bool { return r.status == 429 && mistralSpent(r, "month") }},
	{Fatal, job.CodeServerError, faultCredit, says(429, "monthly", "insufficient_quota", "usage limit", "spend limit")},
	{UsedUp, job.CodeRateLimit, faultOther, func(r *refused) bool { return r.status == 429 && mistralSpent(r, "day") }},
	{UsedUp, job.CodeRateLimit, faultOther, says(429, "per day", "daily")},
	{Terminal, job.CodeContextLength, faultOther, says(400, mistralTooLong...)},
	{Terminal, job.CodeContextLength, faultOther, says(422, mistralTooLong...)},
	{Fatal, job.CodeServerError, faultCredit, says(403, "inactive subscription", "usage limit reached")},
	// A guardrail that the request itself asks for blocks with 403.
	{Terminal, job.CodeContentFiltered, faultOther, says(403, "guardrail", "moderation", "content_filter")},
}

// mistralSpent tells whether a header says that nothing is left of the quota of
// a day or a month.
func mistralSpent(r *refused, period string) bool {
	for _, name := range []string{
		"x-ratelimit-remaining-tokens-" + period, "x-ratelimit-remaining-req-" + period, "x-ratelimitbysize-remaining-" + period,
	} {
		if strings.TrimSpace(r.header.Get(name)) == "0" {
			return true
		}
	}
	return false
}
