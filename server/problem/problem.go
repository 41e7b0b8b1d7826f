// Package problem is the one table of what can go wrong for a caller: the HTTP
// status, the gRPC code and the reason of every kind, and how each is written
// on both faces.
package problem

import (
	"context"
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/promptforge/promptforge/storage"
)

// Domain stands in the ErrorInfo of every gRPC error.
const Domain = "promptforge"

// Problem is an error for a caller. Detail is a sentence that a person can act
// on; Cause is for the log and never leaves the process.
type Problem struct {
	Kind       Kind
	Detail     string
	RetryAfter time.Duration // with QuotaExceeded and Unavailable; at least 1 s is told
	Allow      string        // with MethodNotAllowed: the methods, comma-separated
	Cause      error
}

// New makes a problem with a sentence.
func New(kind Kind, detail string) *Problem { return &Problem{Kind: kind, Detail: detail} }

// Error is the sentence.
func (p *Problem) Error() string { return p.Detail }

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// Because returns a copy with a cause for the log.
func (p *Problem) Because(cause error) *Problem {
	q := *p
	q.Cause = cause
	return &q
}

// retryAfter is what a caller is told to wait, in whole seconds.
func (p *Problem) retryAfter() time.Duration {
	return max(time.Second, p.RetryAfter.Round(time.Second))
}

// GRPCStatus makes a Problem an error that gRPC can send.
func (p *Problem) GRPCStatus() *status.Status {
	row := p.Kind.row()
	st := status.New(row.code, p.Detail)
	if row.code == codes.OK {
		return st
	}
	info := &errdetails.ErrorInfo{Domain: Domain, Reason: row.reason}
	if p.Allow != "" {
		info.Metadata = map[string]string{"allow": p.Allow}
	}
	with, err := st.WithDetails(info)
	if err != nil {
		return st
	}
	if !row.retry {
		return with
	}
	if retry, err := with.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(p.retryAfter())}); err == nil {
		return retry
	}
	return with
}

// The sentences that more than one place says.
const (
	DetailNotFound = "There is no such job."
	detailInternal = "Something went wrong on our side; the request can be repeated."
	detailStore    = "The store cannot answer now; nothing was changed for certain, and repeating the request is safe."
)

// From makes a Problem of any error: a Problem stays as it is, a store's
// refusals get their row, a gRPC status is read back, and whatever else it is
// becomes Internal with the error as its cause.
func From(err error) *Problem {
	var p *Problem
	var state *storage.StateError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &state):
		return New(JobState, "The job is "+state.Job.Status.String()+"; its state does not allow this.").Because(err)
	case errors.Is(err, storage.ErrNotFound):
		return New(NotFound, DetailNotFound).Because(err)
	case errors.Is(err, storage.ErrIdempotencyKeyReused):
		return New(IdempotencyKeyReused, "This Idempotency-Key came before with another request; use a new key for a new job.").Because(err)
	case errors.Is(err, storage.ErrProviderDiffers):
		return New(BadRequest, "The job in continue_from is of another provider; a job can only be continued with its own.").Because(err)
	case errors.Is(err, storage.ErrClosed):
		return New(Unavailable, detailStore).Because(err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return New(Unavailable, "The request was given up before it was done; repeating it is safe.").Because(err)
	}
	if st, ok := status.FromError(err); ok {
		return fromStatus(st)
	}
	return New(Internal, detailInternal).Because(err)
}

// FromStore is From for an error of a store: its refusals have their rows, and
// any other error means that it could not answer. nil stays nil.
func FromStore(err error) error {
	if err == nil {
		return nil
	}
	p := From(err)
	if p.Kind == Internal {
		p = New(Unavailable, detailStore).Because(err)
	}
	return p
}

// fromStatus reads back what GRPCStatus wrote, for the gateway.
func fromStatus(st *status.Status) *Problem {
	p := &Problem{Kind: Internal, Detail: st.Message(), Cause: st.Err()}
	reason := ""
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == Domain {
				reason = d.GetReason()
				p.Allow = d.GetMetadata()["allow"]
			}
		case *errdetails.RetryInfo:
			p.RetryAfter = d.GetRetryDelay().AsDuration()
		}
	}
	p.Kind = kindOf(st.Code(), reason)
	if p.Kind == Internal {
		p.Detail = detailInternal
	}
	return p
}
