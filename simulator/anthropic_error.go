package simulator

import (
	"cmp"
	"fmt"
	"net/http"
)

// anthropicError is the object that an error's body holds under "error", with
// its status. Types are those of Anthropic's page "Errors"; sentences are those
// of answers seen from it.
type anthropicError struct {
	status        int
	kind, message string
	details       string // JSON; empty for none
}

func (anthropic) appendFailure(b []byte, f *failure) ([]byte, int) {
	e := f.anthropic()
	b = append(b, `{"type":"error","error":{"type":`...)
	b = appendString(b, e.kind)
	b = append(b, `,"message":`...)
	b = appendString(b, e.message)
	if e.details != "" {
		b = append(b, `,"details":`...)
		b = append(b, e.details...)
	}
	b = append(b, `},"request_id":`...)
	b = appendString(b, requestID(f.id))
	return append(b, '}'), e.status
}

const anthropicInvalid = "invalid_request_error"

func (f *failure) anthropic() anthropicError {
	invalid := func(message string) anthropicError {
		return anthropicError{cmp.Or(f.status, http.StatusBadRequest), anthropicInvalid, message, ""}
	}
	switch f.kind {
	case badJSON:
		return invalid("The request body is not valid JSON.")
	case badMarker:
		return invalid("messages: " + markerSentence())
	case bodyTooLarge:
		return anthropicError{http.StatusRequestEntityTooLarge, "request_too_large", "Request exceeds the maximum size", ""}
	case noCredential:
		return anthropicError{http.StatusUnauthorized, "authentication_error", "x-api-key header is required", ""}
	case badCredential:
		return anthropicError{http.StatusUnauthorized, "authentication_error", "invalid x-api-key", ""}
	case forbidden:
		return anthropicError{http.StatusForbidden, "permission_error", "Your API key does not have permission to use the specified resource.", ""}
	case noModel:
		return anthropicError{http.StatusNotFound, "not_found_error", "model: " + f.model, ""}
	case noRoute:
		return anthropicError{http.StatusNotFound, "not_found_error", "Not Found", ""}
	case badMethod:
		return anthropicError{http.StatusMethodNotAllowed, anthropicInvalid, "Method Not Allowed", ""}
	case tooLong:
		return invalid(fmt.Sprintf("prompt is too long: %d tokens > 200000 maximum", 200000+f.tokens))
	case blocked:
		return invalid("Output blocked by content filtering policy")
	case rateLimited, tooLarge:
		return anthropicError{http.StatusTooManyRequests, "rate_limit_error", f.anthropicRate(), ""}
	case dayUsedUp:
		return anthropicError{http.StatusTooManyRequests, "rate_limit_error", "Number of request tokens has exceeded your daily rate limit (https://docs.claude.com/en/api/rate-limits); see the response headers for current usage. Please reduce the prompt length or the maximum tokens requested, or try again later.", ""}
	case noCredit:
		return invalid("Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.")
	case unpaid:
		return anthropicError{http.StatusPaymentRequired, "billing_error", "There is an issue with your billing or payment information. Please check your payment details.", ""}
	case spendLimit:
		return anthropicError{http.StatusTooManyRequests, "rate_limit_error", "This organization has reached its monthly spend limit.", `{"error_code":"enforced_spend_limit_reached"}`}
	case timedOut:
		return anthropicError{http.StatusRequestTimeout, "timeout_error", "Request timed out", ""}
	case conflict:
		return anthropicError{http.StatusConflict, anthropicInvalid, "The request conflicts with another one.", ""}
	case serverError:
		return anthropicError{http.StatusInternalServerError, "api_error", "Internal server error", ""}
	case unavailable:
		return anthropicError{http.StatusServiceUnavailable, "api_error", "Service Unavailable", ""}
	case gatewayTimeout:
		return anthropicError{http.StatusGatewayTimeout, "timeout_error", "Request timed out", ""}
	case overloaded:
		return anthropicError{529, "overloaded_error", "Overloaded", ""}
	}
	return invalid(cmp.Or(f.message, "The request is invalid."))
}

// anthropicRate says the same of a prompt that is too large for the limit as of
// one that comes too early, as Anthropic does.
func (f *failure) anthropicRate() string {
	const docs = " For details, refer to: https://docs.claude.com/en/api/rate-limits."
	v := f.verdict
	switch {
	case v == nil: // ordered
		return "This request would exceed your organization's rate limit of 50 requests per minute." + docs
	case v.bound == boundConcurrency:
		return "Number of concurrent connections has exceeded your rate limit. Please try again later or contact sales at https://www.anthropic.com/contact-sales to discuss your options for a rate limit increase."
	case v.bound == boundRequests:
		return fmt.Sprintf("This request would exceed your organization's rate limit of %d requests per minute.%s", v.requests.limit, docs)
	}
	return fmt.Sprintf("This request would exceed your organization's rate limit of %d tokens per minute.%s You can see the response headers for current usage. Please reduce the prompt length or the maximum tokens requested, or try again later.", v.tokens.limit, docs)
}
