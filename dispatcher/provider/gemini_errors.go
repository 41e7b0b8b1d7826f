package provider

import (
	"bytes"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/promptforge/promptforge/dispatcher/rate"
	"github.com/promptforge/promptforge/job"
)

// geminiError is an error with what its details say of limits.
type geminiError struct {
	apiError
	limits rate.Limits
}

// geminiStatuses are the statuses of google.rpc.Code, for bodies without a
// number. Source: google/rpc/code.proto.
var geminiStatuses = map[string]int{
	"INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "OUT_OF_RANGE": 400,
	"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "NOT_FOUND": 404, "ABORTED": 409,
	"RESOURCE_EXHAUSTED": 429, "CANCELLED": 499, "INTERNAL": 500, "UNKNOWN": 500,
	"UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504,
}

// readGeminiError finds the error in a body, also where the body is a list, as
// that of a stream. The zero error where there is none.
// Source: Google's API design guide, "Errors" (google.rpc.Status).
func readGeminiError(raw []byte) *geminiError {
	type wire struct {
		Error *struct {
			Code    float64        `json:"code"`
			Message string         `json:"message"`
			Status  string         `json:"status"`
			Details jsontext.Value `json:"details"`
		} `json:"error"`
	}
	opts := json.JoinOptions(lenient...)
	var w wire
	if raw = bytes.TrimSpace(raw); len(raw) > 0 && raw[0] == '[' {
		var all []wire
		if json.Unmarshal(raw, &all, opts) == nil && len(all) > 0 {
			w = all[len(all)-1]
		}
	} else if json.Unmarshal(raw, &w, opts) != nil || w.Error == nil {
		return &geminiError{apiError: *readOpenAIError(raw)} // a gateway's own error
	}
	if w.Error == nil {
		return &geminiError{}
	}
	e := &geminiError{apiError: apiError{message: w.Error.Message, code: w.Error.Status, kind: w.Error.Status}}
	if n := int(w.Error.Code); n >= 400 && n <= 599 {
		e.status = n
	} else {
		e.status = geminiStatuses[w.Error.Status]
	}
	e.readDetails(w.Error.Details)
	return e
}

// readDetails takes reasons, quotas and waits out of an error's details.
// Source: google/rpc/error_details.proto.
func (e *geminiError) readDetails(v jsontext.Value) {
	var details []struct {
		Type     string `json:"@type"`
		Reason   string `json:"reason"`
		Metadata struct {
			QuotaLimit string `json:"quota_limit"`
		} `json:"metadata"`
		RetryDelay string `json:"retryDelay"`
		Violations []struct {
			QuotaID    string         `json:"quotaId"`
			QuotaValue jsontext.Value `json:"quotaValue"`
		} `json:"violations"`
	}
	if v.Kind() != '[' || json.Unmarshal(v, &details, json.JoinOptions(lenient...)) != nil {
		return
	}
	for _, d := range details {
		switch d.Type[strings.LastIndexByte(d.Type, '.')+1:] {
		case "ErrorInfo":
			e.details = append(e.details, d.Reason, quotaPeriod(d.Metadata.QuotaLimit))
		case "RetryInfo":
			e.retryAfter = retryDelay(d.RetryDelay)
		case "QuotaFailure":
			for _, q := range d.Violations {
				e.details = append(e.details, quotaPeriod(q.QuotaID))
				geminiLimit(&e.limits, q.QuotaID, q.QuotaValue)
			}
		}
	}
}

// retryDelay reads a duration such as 58s or 3.5s.
func retryDelay(v string) time.Duration {
	number, ok := strings.CutSuffix(v, "s")
	switch {
	case v == "":
		return 0
	case !ok:
		return nonsense
	}
	return seconds(number, 1)
}

const perDay, perMinute = "per_day", "per_minute"

// quotaPeriod is what of a quota's name matters.
func quotaPeriod(id string) string {
	switch {
	case strings.Contains(id, "PerDay"):
		return perDay
	case strings.Contains(id, "PerMinute"):
		return perMinute
	default:
		return id
	}
}

// noQuota is how an error says that the account has nothing of a quota, so
// that no wait helps: a free account at a model that is not free.
var noQuota = regexp.MustCompile(`limit: 0($|[^0-9.])`)

// geminiVerdicts is read from the top; what is not here is as everywhere.
// Source: "Troubleshooting" and "Rate limits" in the Gemini API's
// documentation, and bodies as users report them (see the tests).
var geminiVerdicts = []verdict{
	{Fatal, job.CodeServerError, faultCredential, says(400, "api_key_invalid", "api key not valid", "api key expired", "api_key_expired")},
	{Fatal, job.CodeServerError, faultCredential, says(403, "api_key_service_blocked", "api_key_http_referrer_blocked", "api_key_ip_address_blocked", "unregistered callers", "api key was reported as leaked")},
	{Fatal, job.CodeServerError, faultCredit, says(400, "enable billing", "billing is disabled", "billing_disabled")},
	{Fatal, job.CodeServerError, faultOther, says(400, "user location is not supported", "free tier is not available")},
	{Fatal, job.CodeServerError, faultCredit, says(429, "prepayment credits are depleted", "monthly spending cap", "spending cap", "spend cap")},
	{Fatal, job.CodeServerError, faultCredit, func(r *refused) bool { return r.status == 429 && noQuota.MatchString(r.message) }},
	{UsedUp, job.CodeRateLimit, faultOther, says(429, perDay, "per day", "perday")},
	{Fatal, job.CodeServerError, faultModel, says(404, "not_found", "is not found for api version")},
	{Terminal, job.CodeContextLength, faultOther, says(400, "input token count", "exceeds the maximum number of tokens", "input context is too long", "request payload size exceeds")},
	{Transient, job.CodeServerError, faultOther, statusIs(499)},
}

// refusedByGemini says what an error means. RetryInfo is of the minute also
// where it is the day's quota that is used up.
func refusedByGemini(e *Endpoint, a *Answer, status int, h http.Header, found *geminiError) {
	a.Limits = found.limits
	classify(e, a, geminiVerdicts, status, h, &found.apiError)
	if a.Class == UsedUp {
		a.DayEnds = untilPacificMidnight(serverTime(h))
	}
}
