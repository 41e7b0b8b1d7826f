package simulator

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// geminiError is the object that an error's body holds under "error". Statuses
// are those of google.rpc.Code, details those of google.rpc's error details;
// sentences are those of answers seen from the API.
type geminiError struct {
	code            int
	status, message string
	details         []string // JSON
}

func (gemini) appendFailure(b []byte, f *failure) ([]byte, int) {
	if f.kind == blocked {
		// Google answers 200 without a candidate.
		c := []byte(`{"promptFeedback":{"blockReason":"PROHIBITED_CONTENT"},`)
		c = appendGeminiUsage(c, f.tokens, &answer{})
		c = append(c, `,"modelVersion":`...)
		return indent(b, append(appendString(c, f.model), '}')), http.StatusOK
	}
	e := f.gemini()
	c := append([]byte(nil), `{"error":{"code":`...)
	c = strconv.AppendInt(c, int64(e.code), 10)
	c = append(c, `,"message":`...)
	c = appendString(c, e.message)
	c = append(c, `,"status":`...)
	c = appendString(c, e.status)
	if len(e.details) > 0 {
		c = append(c, `,"details":[`...)
		c = append(c, strings.Join(e.details, ",")...)
		c = append(c, ']')
	}
	return indent(b, append(c, `}}`...)), e.code
}

const (
	geminiInvalid   = "INVALID_ARGUMENT"
	geminiExhausted = "RESOURCE_EXHAUSTED"
	geminiQuota     = "You exceeded your current quota, please check your plan and billing details. For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits."
)

func (f *failure) gemini() geminiError {
	invalid := func(message string, details ...string) geminiError {
		return geminiError{http.StatusBadRequest, geminiInvalid, message, details}
	}
	switch f.kind {
	case badJSON:
		return invalid("Invalid JSON payload received. Expected an object.")
	case badMarker:
		return invalid(markerSentence())
	case bodyTooLarge:
		return invalid("Request payload size exceeds the limit: 20971520 bytes.")
	case noCredential:
		return geminiError{http.StatusForbidden, "PERMISSION_DENIED", "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.", nil}
	case badCredential:
		return invalid("API key not valid. Please pass a valid API key.",
			`{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com","metadata":{"service":"generativelanguage.googleapis.com"}}`,
			`{"@type":"type.googleapis.com/google.rpc.LocalizedMessage","locale":"en-US","message":"API key not valid. Please pass a valid API key."}`)
	case forbidden:
		return geminiError{http.StatusForbidden, "PERMISSION_DENIED", "The caller does not have permission", nil}
	case noModel:
		return geminiError{http.StatusNotFound, "NOT_FOUND", "models/" + f.model + " is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the list of available models and their supported methods.", nil}
	case noRoute, badMethod:
		return geminiError{http.StatusNotFound, "NOT_FOUND", "Requested entity was not found.", nil}
	case tooLong:
		return invalid(fmt.Sprintf("The input token count (%d) exceeds the maximum number of tokens allowed (1048576).", 1048576+f.tokens))
	case rateLimited, tooLarge:
		return f.geminiRate()
	case dayUsedUp:
		return f.geminiQuota("generate_content_free_tier_requests", "GenerateRequestsPerDayPerProjectPerModel-FreeTier", 250)
	case noCredit:
		return geminiError{http.StatusTooManyRequests, geminiExhausted, "Your prepayment credits are depleted. Please go to AI Studio at https://ai.studio/projects to manage your project and billing.", nil}
	case unpaid:
		return geminiError{http.StatusPaymentRequired, "FAILED_PRECONDITION", "Billing is not enabled for this project.", nil}
	case spendLimit:
		return geminiError{http.StatusTooManyRequests, geminiExhausted, "Your project has exceeded its monthly spending cap. Please go to AI Studio at https://ai.studio/spend to manage your project spend cap.", nil}
	case timedOut, gatewayTimeout:
		code := http.StatusGatewayTimeout
		if f.kind == timedOut {
			code = http.StatusRequestTimeout
		}
		return geminiError{code, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete.", nil}
	case conflict:
		return geminiError{http.StatusConflict, "ABORTED", "The operation was aborted.", nil}
	case serverError:
		return geminiError{http.StatusInternalServerError, "INTERNAL", "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting", nil}
	case unavailable:
		return geminiError{http.StatusServiceUnavailable, "UNAVAILABLE", "The model is overloaded. Please try again later.", nil}
	case overloaded:
		return geminiError{529, "UNAVAILABLE", "The model is overloaded. Please try again later.", nil}
	}
	var details []string
	if f.param != "" {
		details = []string{`{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":` +
			string(appendString(nil, f.param)) + `,"description":` + string(appendString(nil, f.message)) + `}]}`}
	}
	return invalid(cmp.Or(f.message, "Request contains an invalid argument."), details...)
}

// geminiRate names the quota of a minute that was reached. Google knows no
// limit of requests at once; one who is refused for that hears no more than
// that something is exhausted, as from a shared pool. So does one whose refusal
// was ordered: where no limit was reached, a number would be a lie that its
// reader goes by.
func (f *failure) geminiRate() geminiError {
	v := f.verdict
	switch {
	case v == nil || v.bound == boundConcurrency:
		e := geminiError{http.StatusTooManyRequests, geminiExhausted, "Resource has been exhausted (e.g. check quota).", nil}
		return e.retryIn(f.wait)
	case v.bound == boundTokens || v.bound == boundSize:
		return f.geminiQuota("generate_content_free_tier_input_token_count", "GenerateContentInputTokensPerModelPerMinute-FreeTier", v.tokens.limit)
	}
	return f.geminiQuota("generate_content_free_tier_requests", "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", v.requests.limit)
}

func (f *failure) geminiQuota(metric, id string, limit int) geminiError {
	metric = "generativelanguage.googleapis.com/" + metric
	model := string(appendString(nil, f.model))
	e := geminiError{http.StatusTooManyRequests, geminiExhausted, fmt.Sprintf("%s\n* Quota exceeded for metric: %s, limit: %d, model: %s", geminiQuota, metric, limit, f.model), []string{
		`{"@type":"type.googleapis.com/google.rpc.Help","links":[{"description":"Learn more about Gemini API quotas","url":"https://ai.google.dev/gemini-api/docs/rate-limits"}]}`,
		fmt.Sprintf(`{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaMetric":"%s","quotaId":"%s","quotaDimensions":{"location":"global","model":%s},"quotaValue":"%d"}]}`, metric, id, model, limit),
	}}
	return e.retryIn(f.wait)
}

// retryIn says how long to wait, unless that is kept a secret.
func (e geminiError) retryIn(wait time.Duration) geminiError {
	if wait > 0 {
		seconds := strconv.FormatFloat(ceil(wait, time.Millisecond).Seconds(), 'f', -1, 64)
		e.message += "\nPlease retry in " + seconds + "s."
		e.details = append(e.details, `{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"`+seconds+`s"}`)
	}
	return e
}
