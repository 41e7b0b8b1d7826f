package client

import (
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"
)

// The reasons that [Reason] tells.
const (
	ReasonInvalidArgument      = "INVALID_ARGUMENT"       // a field is missing, of the wrong kind or out of range
	ReasonUnauthenticated      = "UNAUTHENTICATED"        // the API key is unknown or revoked
	ReasonNotFound             = "NOT_FOUND"              // no such job, or another client's
	ReasonJobState             = "JOB_STATE"              // the job's state does not allow this
	ReasonIdempotencyKeyReused = "IDEMPOTENCY_KEY_REUSED" // the idempotency key came before with another request
	ReasonUploadTooLarge       = "UPLOAD_TOO_LARGE"       // the prompts file has too many bytes or lines
	ReasonProviderNotOffered   = "PROVIDER_NOT_OFFERED"   // the service does not speak to this provider
	ReasonModelNotOffered      = "MODEL_NOT_OFFERED"      // the provider is offered, the model is not
	ReasonQuotaExceeded        = "QUOTA_EXCEEDED"         // the client is over its own quota
	ReasonUnavailable          = "UNAVAILABLE"            // the service cannot answer now
	ReasonInternal             = "INTERNAL"               // a mistake of the service
)

// reasonDomain stands in the details of every error that is the service's own.
const reasonDomain = "promptforge"

// Reason is why the service refused, one of the constants above or one that a
// later service adds. It is empty for an error that does not come from the
// service: a connection that is lost, a context that has ended, nil.
func Reason(err error) string {
	info, _ := details(err)
	return info.GetReason()
}

// RetryDelay is how long the service asks to be left alone before the call is
// repeated; 0 where it asks for nothing.
func RetryDelay(err error) time.Duration {
	_, retry := details(err)
	return max(0, retry.GetRetryDelay().AsDuration())
}

// details finds what the service attached to a refusal; nil for what it did not.
func details(err error) (info *errdetails.ErrorInfo, retry *errdetails.RetryInfo) {
	for _, d := range status.Convert(err).Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == reasonDomain {
				info = d
			}
		case *errdetails.RetryInfo:
			retry = d
		}
	}
	return info, retry
}
