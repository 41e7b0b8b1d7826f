package job

import (
	"net/url"
	"strings"
	"time"
)

// DeliveryState is how far a job's webhook is.
type DeliveryState string

// The states of a delivery. A job without a webhook, and one that is not
// settled, has none.
const (
	DeliveryOwed    DeliveryState = "owed"
	Delivered       DeliveryState = "delivered"
	DeliveryGivenUp DeliveryState = "given_up"
)

// Delivery is what has become of a job's webhook since the job was settled. It
// is the one thing that still changes then.
type Delivery struct {
	State    DeliveryState
	Attempts int       // requests that were sent, or tried to
	Due      time.Time // of the next attempt; zero unless it is owed
	Error    string    // why the last attempt failed, a sentence; empty if it did not
}

// Settle says that from now on nothing of the job changes, except that it owes
// its webhook. A deleted job owes none: its client knows it no longer.
func (j *Job) Settle(at time.Time) {
	j.SettledAt = at
	if j.WebhookURL != "" && !j.Deleted {
		j.Delivery = Delivery{State: DeliveryOwed, Due: at}
	}
}

// WebhookHost is the host and port of the receiver of the job's webhook, by
// which receivers are told apart; empty if it has none.
func (j *Job) WebhookHost() string {
	u, err := url.Parse(j.WebhookURL)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}
