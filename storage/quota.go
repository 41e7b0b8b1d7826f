package storage

import (
	"context"
	"time"
)

// Quota is what an operator set for one client. nil leaves a field as it is
// configured; 0 is no limit.
type Quota struct {
	RequestsPerSecond *float64
	OpenJobs          *int
	Uploads           *int   // at once
	Streams           *int   // at once
	Bytes             *int64 // stored
}

// Quotas are what was set for clients.
type Quotas interface {
	// SetQuota replaces a client's quota. The client need not be known.
	SetQuota(ctx context.Context, client string, q Quota) error
	// Quota finds a client's quota. ErrNotFound where none was set.
	Quota(ctx context.Context, client string) (Quota, error)
	// ClearQuota forgets a client's quota. Where there is none nothing changes.
	ClearQuota(ctx context.Context, client string) error

	// Repeated tells whether the client's request with this Idempotency-Key
	// came before, so that CreateJob at that time would make no job of it: it
	// is not refused for a quota.
	Repeated(ctx context.Context, client string, idem *Idempotency, at time.Time) (bool, error)
}
