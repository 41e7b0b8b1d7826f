package problem

import (
	"net/http"

	"google.golang.org/grpc/codes"
)

// Kind is a row of the table of errors (docs/api.md).
type Kind int

// The kinds of problems.
const (
	Internal Kind = iota
	BadRequest
	Unauthenticated
	Forbidden
	NotFound
	MethodNotAllowed
	JobState
	IdempotencyKeyReused
	PreconditionFailed
	UploadTooLarge
	RangeNotSatisfiable
	ProviderNotOffered
	ModelNotOffered
	QuotaExceeded
	Unavailable
)

type row struct {
	http   int
	code   codes.Code
	reason string
	retry  bool // Retry-After and RetryInfo go with it
}

var table = map[Kind]row{
	BadRequest:           {http.StatusBadRequest, codes.InvalidArgument, "INVALID_ARGUMENT", false},
	Unauthenticated:      {http.StatusUnauthorized, codes.Unauthenticated, "UNAUTHENTICATED", false},
	Forbidden:            {http.StatusForbidden, codes.PermissionDenied, "PERMISSION_DENIED", false},
	NotFound:             {http.StatusNotFound, codes.NotFound, "NOT_FOUND", false},
	MethodNotAllowed:     {http.StatusMethodNotAllowed, codes.Unimplemented, "METHOD_NOT_ALLOWED", false},
	JobState:             {http.StatusConflict, codes.FailedPrecondition, "JOB_STATE", false},
	IdempotencyKeyReused: {http.StatusConflict, codes.FailedPrecondition, "IDEMPOTENCY_KEY_REUSED", false},
	PreconditionFailed:   {http.StatusPreconditionFailed, codes.FailedPrecondition, "PRECONDITION_FAILED", false},
	UploadTooLarge:       {http.StatusRequestEntityTooLarge, codes.ResourceExhausted, "UPLOAD_TOO_LARGE", false},
	RangeNotSatisfiable:  {http.StatusRequestedRangeNotSatisfiable, codes.OutOfRange, "RANGE_NOT_SATISFIABLE", false},
	ProviderNotOffered:   {http.StatusUnprocessableEntity, codes.InvalidArgument, "PROVIDER_NOT_OFFERED", false},
	ModelNotOffered:      {http.StatusUnprocessableEntity, codes.InvalidArgument, "MODEL_NOT_OFFERED", false},
	QuotaExceeded:        {http.StatusTooManyRequests, codes.ResourceExhausted, "QUOTA_EXCEEDED", true},
	Internal:             {http.StatusInternalServerError, codes.Internal, "INTERNAL", false},
	Unavailable:          {http.StatusServiceUnavailable, codes.Unavailable, "UNAVAILABLE", true},
}

func (k Kind) row() row { return table[k] }

// HTTPStatus is the status of the kind's REST answers.
func (k Kind) HTTPStatus() int { return table[k].http }

// Code is the code of the kind's gRPC answers.
func (k Kind) Code() codes.Code { return table[k].code }

// Reason is the reason in the kind's ErrorInfo.
func (k Kind) Reason() string { return table[k].reason }

// byCode is what a status without our ErrorInfo means: gRPC and the gateway
// make such ones themselves.
var byCode = map[codes.Code]Kind{
	codes.InvalidArgument:   BadRequest,
	codes.Unauthenticated:   Unauthenticated,
	codes.PermissionDenied:  Forbidden,
	codes.NotFound:          NotFound,
	codes.Unimplemented:     MethodNotAllowed,
	codes.OutOfRange:        RangeNotSatisfiable,
	codes.ResourceExhausted: UploadTooLarge,
	codes.Unavailable:       Unavailable,
	codes.Canceled:          Unavailable,
	codes.DeadlineExceeded:  Unavailable,
}

func kindOf(code codes.Code, reason string) Kind {
	for kind, r := range table {
		if r.code == code && r.reason == reason {
			return kind
		}
	}
	return byCode[code] // Internal for every other
}
