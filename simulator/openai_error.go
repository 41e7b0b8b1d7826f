package simulator

import (
	"cmp"
	"fmt"
	"net/http"
	"time"
)

// openAIError is the object that an error's body holds under "error", with its
// status. Types, codes and sentences are those of OpenAI's guide "Error codes"
// and of answers seen from it.
type openAIError struct {
	status                     int
	message, kind, param, code string // an empty param or code is null
}

func (openAI) appendFailure(b []byte, f *failure) ([]byte, int) {
	e := f.openAI()
	b = append(b, `{"error":{"message":`...)
	b = appendString(b, e.message)
	b = append(b, `,"type":`...)
	b = appendString(b, e.kind)
	b = append(b, `,"param":`...)
	b = appendStringOrNull(b, e.param)
	b = append(b, `,"code":`...)
	b = appendStringOrNull(b, e.code)
	return append(b, `}}`...), e.status
}

const (
	openAIInvalid = "invalid_request_error"
	openAILimits  = "Visit https://platform.openai.com/account/rate-limits to learn more."
)

func (f *failure) openAI() openAIError {
	switch f.kind {
	case badJSON:
		return openAIError{http.StatusBadRequest, "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)", openAIInvalid, "", ""}
	case badMarker:
		return openAIError{http.StatusBadRequest, markerSentence(), openAIInvalid, "messages", "unknown_marker"}
	case bodyTooLarge:
		return openAIError{http.StatusRequestEntityTooLarge, fmt.Sprintf("The request body is larger than %d bytes.", maxBody), openAIInvalid, "", ""}
	case noCredential:
		return openAIError{http.StatusUnauthorized, "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).", openAIInvalid, "", ""}
	case badCredential:
		return openAIError{http.StatusUnauthorized, "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.", openAIInvalid, "", "invalid_api_key"}
	case forbidden:
		return openAIError{http.StatusForbidden, "Country, region, or territory not supported", "request_forbidden", "", "unsupported_country_region_territory"}
	case noModel:
		return openAIError{http.StatusNotFound, fmt.Sprintf("The model `%s` does not exist or you do not have access to it.", f.model), openAIInvalid, f.param, "model_not_found"}
	case noRoute:
		return openAIError{http.StatusNotFound, "Invalid URL (" + f.message + ")", openAIInvalid, "", ""}
	case badMethod:
		return openAIError{http.StatusMethodNotAllowed, "This method is not accepted at this URL. (HINT: Perhaps you meant to use a different HTTP method?)", openAIInvalid, "", "method_not_supported"}
	case tooLong:
		return openAIError{http.StatusBadRequest, fmt.Sprintf("This model's maximum context length is 128000 tokens. However, your messages resulted in %d tokens. Please reduce the length of the messages.", 128000+f.tokens), openAIInvalid, "messages", "context_length_exceeded"}
	case rateLimited:
		return f.openAIRate()
	case tooLarge:
		limit, asked := f.tokens, f.tokens+1 // ordered
		if f.verdict != nil {
			limit, asked = f.verdict.tokens.limit, f.verdict.tokensAsked
		}
		return openAIError{http.StatusTooManyRequests, fmt.Sprintf("Request too large for %s in organization org-simulator on tokens per min (TPM): Limit %d, Requested %d. The input or output tokens must be reduced in order to run successfully. %s", f.model, limit, asked, openAILimits), "tokens", "", "rate_limit_exceeded"}
	case dayUsedUp:
		message := fmt.Sprintf("Rate limit reached for %s in organization org-simulator on requests per day (RPD): Limit 10000, Used 10000, Requested 1. ", f.model)
		if f.wait > 0 {
			message += "Please try again in " + openAIDuration(f.wait) + ". "
		}
		return openAIError{http.StatusTooManyRequests, message + openAILimits, "requests", "", "rate_limit_exceeded"}
	case spendLimit:
		return openAIError{http.StatusTooManyRequests, "You have reached the spend limit of this organization. It can be raised at https://platform.openai.com/settings/organization/limits.", "insufficient_quota", "", "organization_spend_limit_exceeded"}
	case blocked:
		return openAIError{http.StatusBadRequest, "Your request was rejected as a result of our safety system. Your prompt may contain text that is not allowed by our safety system.", openAIInvalid, "", "content_policy_violation"}
	case unpaid: // as OpenRouter says it
		return openAIError{http.StatusPaymentRequired, "Insufficient credits. Add more to go on.", "insufficient_quota", "", "402"}
	case timedOut:
		return openAIError{http.StatusRequestTimeout, "The request timed out. Please try again.", "server_error", "", ""}
	case conflict:
		return openAIError{http.StatusConflict, "The request conflicts with another one. Please try again.", openAIInvalid, "", ""}
	case noCredit:
		return openAIError{http.StatusTooManyRequests, "You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.", "insufficient_quota", "", "insufficient_quota"}
	case serverError:
		return openAIError{http.StatusInternalServerError, "The server had an error while processing your request. Sorry about that!", "server_error", "", ""}
	case gatewayTimeout:
		return openAIError{http.StatusGatewayTimeout, "The upstream server did not answer in time.", "server_error", "", ""}
	case overloaded:
		return openAIError{529, "The engine is currently overloaded, please try again later", "server_error", "", ""}
	case unavailable:
		return openAIError{http.StatusServiceUnavailable, "The engine is currently overloaded, please try again later", "server_error", "", ""}
	}
	message := f.message
	if message == "" {
		message = "The request is invalid."
	}
	return openAIError{cmp.Or(f.status, http.StatusBadRequest), message, openAIInvalid, f.param, f.code}
}

// openAIRate names the limit that was reached in "type", as OpenAI does.
func (f *failure) openAIRate() openAIError {
	head := "Rate limit reached for " + f.model + " in organization org-simulator on "
	v := f.verdict
	if v == nil { // ordered
		v = &verdict{bound: boundRequests, wait: cmp.Or(f.wait, time.Second)}
	}
	var message, kind string
	switch v.bound {
	case boundTokens:
		kind = "tokens"
		message = fmt.Sprintf("tokens per min (TPM): Limit %d, Used %d, Requested %d. Please try again in %s. ", v.tokens.limit, v.tokens.limit-v.tokens.remaining, v.tokensAsked, openAIDuration(v.wait))
	case boundConcurrency:
		// OpenAI knows no such limit; those who do say it like this.
		kind = "requests"
		message = "concurrent requests. Please try again later. "
	default:
		kind = "requests"
		message = fmt.Sprintf("requests per min (RPM): Limit %d, Used %d, Requested 1. Please try again in %s. ", v.requests.limit, v.requests.limit-v.requests.remaining, openAIDuration(v.wait))
	}
	return openAIError{http.StatusTooManyRequests, head + message + openAILimits, kind, "", "rate_limit_exceeded"}
}
