package storage

import (
	"context"
	"time"

	"github.com/promptforge/promptforge/job"
)

// WebhookSecretBytes is how long a secret that signs webhooks is: within the 24
// to 64 bytes that Standard Webhooks asks for.
const WebhookSecretBytes = 32

// OwedHost is a receiver of webhooks, and when the first of what it is owed is
// due.
type OwedHost struct {
	Host string // job.Job.WebhookHost
	Due  time.Time
}

// Webhooks are the deliveries that settled jobs owe: a job with a webhook owes
// it from the transaction on that settles the job, so that no crash loses one.
type Webhooks interface {
	// OwedHosts lists the receivers to which deliveries are owed, by their
	// names. It reads no job, so that one that is down with thousands owed is
	// passed over at no cost.
	OwedHosts(ctx context.Context) ([]OwedHost, error)

	// OwedDeliveries lists the jobs whose delivery to a host is due at a time,
	// the longest due first, at most limit of them. next is when the first of
	// the host's others is due, the zero time if there is none.
	OwedDeliveries(ctx context.Context, host string, at time.Time, limit int) (due []*job.Job, next time.Time, err error)

	// KeepDelivery replaces a job's delivery after an attempt. ErrNotFound for a
	// job that is gone or deleted, or that owes nothing.
	KeepDelivery(ctx context.Context, id job.ID, d job.Delivery) error

	// WebhookSecrets are what a client's deliveries are signed with at a time,
	// the newest first; one, unless it was rotated of late. The first call makes
	// it. They are the caller's.
	WebhookSecrets(ctx context.Context, client string, at time.Time) ([][]byte, error)

	// RotateWebhookSecret makes a new secret for a client and returns those that
	// sign now, the new one first; the one before signs until the time given.
	RotateWebhookSecret(ctx context.Context, client string, at, until time.Time) ([][]byte, error)
}
