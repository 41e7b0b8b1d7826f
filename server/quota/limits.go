// Package quota holds clients within their quotas, and addresses within the
// number of their failed authentications. Whatever it refuses is a
// problem.QuotaExceeded whose sentence names the quota and when to try again.
package quota

import (
	"math"

	"github.com/promptforge/promptforge/storage"
)

// Limits are what a client may have. 0 is no limit.
type Limits struct {
	RequestsPerSecond float64 // on average; as many at once as in one second
	OpenJobs          int     // that are not settled
	Uploads           int     // at once
	Streams           int     // at once: WatchJob, StreamResults and events
	Bytes             int64   // stored: prompts, results and errors, as they are kept
}

// With is the limits with what q says in place of them.
func (l Limits) With(q storage.Quota) Limits {
	replace(&l.RequestsPerSecond, q.RequestsPerSecond)
	replace(&l.OpenJobs, q.OpenJobs)
	replace(&l.Uploads, q.Uploads)
	replace(&l.Streams, q.Streams)
	replace(&l.Bytes, q.Bytes)
	return l
}

func replace[T any](v *T, by *T) {
	if by != nil {
		*v = *by
	}
}

// Merge is q with what change says in place of it.
func Merge(q, change storage.Quota) storage.Quota {
	merge(&q.RequestsPerSecond, change.RequestsPerSecond)
	merge(&q.OpenJobs, change.OpenJobs)
	merge(&q.Uploads, change.Uploads)
	merge(&q.Streams, change.Streams)
	merge(&q.Bytes, change.Bytes)
	return q
}

func merge[T any](v **T, by *T) {
	if by != nil {
		*v = by
	}
}

// The bounds of RequestsPerSecond, where it is not 0.
const (
	MinRequestsPerSecond = 0.001
	MaxRequestsPerSecond = 1_000_000
)

// Valid tells whether every number of q means something.
func Valid(q storage.Quota) bool {
	r := q.RequestsPerSecond
	return (r == nil || *r == 0 || (*r >= MinRequestsPerSecond && *r <= MaxRequestsPerSecond && !math.IsNaN(*r))) &&
		notNegative(q.OpenJobs) && notNegative(q.Uploads) && notNegative(q.Streams) && notNegative(q.Bytes)
}

func notNegative[T int | int64](v *T) bool { return v == nil || *v >= 0 }
