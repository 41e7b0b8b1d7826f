package simulator

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
)

// mistralError is an error's whole body, with its status. It is Mistral's own
// object unless raw is another: its gateway and its validation have theirs.
// Types and codes are those of answers seen from the API.
type mistralError struct {
	status              int
	message, kind, code string // an empty code is null
	raw                 string
}

func (mistral) appendFailure(b []byte, f *failure) ([]byte, int) {
	e := f.mistral()
	if e.raw != "" {
		return append(b, e.raw...), e.status
	}
	b = append(b, `{"object":"error","message":`...)
	b = appendString(b, e.message)
	b = append(b, `,"type":`...)
	b = appendString(b, e.kind)
	b = append(b, `,"param":null,"code":`...)
	b = appendStringOrNull(b, e.code)
	b = append(b, `,"raw_status_code":`...)
	b = strconv.AppendInt(b, int64(e.status), 10)
	return append(b, '}'), e.status
}

const mistralInvalid = "invalid_request_error"

func (f *failure) mistral() mistralError {
	switch f.kind {
	case badJSON:
		return mistralUnprocessable("json_invalid", `["body",0]`, "JSON decode error", "{}")
	case badMarker:
		return mistralError{http.StatusBadRequest, markerSentence(), mistralInvalid, "", ""}
	case bodyTooLarge:
		return mistralError{status: http.StatusRequestEntityTooLarge, raw: `{"message":"Request size limit exceeded"}`}
	case noCredential, badCredential:
		return mistralError{status: http.StatusUnauthorized, raw: `{"detail":"Unauthorized"}`}
	case forbidden:
		return mistralError{status: http.StatusForbidden, raw: `{"detail":"Forbidden"}`}
	case noModel:
		return mistralError{http.StatusBadRequest, "Invalid model: " + f.model, "invalid_model", "1500", ""}
	case noRoute:
		return mistralError{status: http.StatusNotFound, raw: `{"message":"no Route matched with those values"}`}
	case badMethod:
		return mistralError{status: http.StatusMethodNotAllowed, raw: `{"detail":"Method Not Allowed"}`}
	case tooLong:
		return mistralError{http.StatusBadRequest, fmt.Sprintf("Prompt contains %d tokens and 0 draft tokens, too large for model with 131072 maximum context length", 131072+f.tokens), mistralInvalid, "3051", ""}
	case blocked:
		return mistralError{http.StatusForbidden, "The request was blocked by a guardrail.", "guardrail_violation", "", ""}
	case rateLimited, tooLarge: // it has no words of its own for the latter
		if f.verdict != nil && f.verdict.bound == boundConcurrency {
			return mistralError{http.StatusTooManyRequests, "Service tier capacity exceeded for this model.", "service_tier_capacity_exceeded", "3505", ""}
		}
		return mistralError{http.StatusTooManyRequests, "Rate limit exceeded", "rate_limited", "1300", ""}
	case dayUsedUp:
		return mistralError{http.StatusTooManyRequests, "Requests per day limit exceeded", "rate_limited", "1300", ""}
	case noCredit, unpaid:
		return mistralError{http.StatusPaymentRequired, "Payment required: your credit is used up.", "payment_required", "", ""}
	case spendLimit:
		return mistralError{status: http.StatusForbidden, raw: `{"message":"Inactive subscription or usage limit reached"}`}
	case timedOut:
		return mistralError{http.StatusRequestTimeout, "The request timed out.", "request_timeout", "", ""}
	case conflict:
		return mistralError{http.StatusConflict, "The request conflicts with another one.", "conflict", "", ""}
	case serverError:
		return mistralError{http.StatusInternalServerError, "Internal server error", "internal_server_error", "1000", ""}
	case unavailable:
		return mistralError{http.StatusServiceUnavailable, "Service unavailable.", "internal_server_error", "3000", ""}
	case gatewayTimeout:
		return mistralError{status: http.StatusGatewayTimeout, raw: `{"message":"The upstream server is timing out"}`}
	case overloaded:
		return mistralError{529, "Service unavailable.", "internal_server_error", "3000", ""}
	}
	if f.param != "" {
		// Validation: code is its word, param a JSON list, message its sentence.
		return mistralUnprocessable(f.code, f.param, f.message, "null")
	}
	return mistralError{http.StatusBadRequest, cmp.Or(f.message, "The request is invalid."), mistralInvalid, f.code, ""}
}

// mistralUnprocessable is what a body gets that does not fit the API's schema.
func mistralUnprocessable(kind, loc, message, input string) mistralError {
	return mistralError{status: http.StatusUnprocessableEntity, raw: fmt.Sprintf(
		`{"object":"error","message":{"detail":[{"type":%s,"loc":%s,"msg":%s,"input":%s}]},"type":"invalid_request_error","param":null,"code":null,"raw_status_code":422}`,
		appendString(nil, kind), loc, appendString(nil, message), input)}
}
