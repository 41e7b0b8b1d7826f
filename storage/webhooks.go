package storage

import (
	"context"
	"time"

	"github.com/promptforge/promptforge/job"
)

// WebhookSecretBytes is how long a secret that signs webhooks is: within the 24
// to 64 bytes that Standard Webhooks asks for.
const WebhookSecretBytes = 32

// Webhooks are the deliveries that settled jobs owe: a job with a webhook owes
// it from the transaction on that settles the job, so that no crash loses one.
type Webhooks interface {
	// OwedDeliveries lists the jobs whose delivery is due at a time, the longest
	// due first, at most limit of them. next is when the first of all others is
	// due, the zero time if there is none.
	OwedDeliveries(ctx context.Context, at time.Time, limit int) (due []*job.Job, next time.Time, err error)

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
