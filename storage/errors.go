package storage

import (
	"errors"
	"fmt"

	"github.com/promptforge/promptforge/job"
)

// What a Store refuses, compared with errors.Is. Any other error of a method
// means that the store could not answer: nothing is known to have happened,
// and repeating the call is safe.
var (
	// ErrNotFound: no such job, key or lane, or another client's.
	ErrNotFound = errors.New("not found")
	// ErrExists: the name is taken.
	ErrExists = errors.New("exists already")
	// ErrTerm: the lease that a decision was made under is not the job's or
	// the lane's any more. Whoever gets it stops deciding.
	ErrTerm = errors.New("the lease has another holder")
	// ErrIdempotencyKeyReused: the key came before with another request.
	ErrIdempotencyKeyReused = errors.New("the Idempotency-Key was used with another request")
	// ErrProviderDiffers: continue_from names a job of another provider.
	ErrProviderDiffers = errors.New("the job to continue is of another provider")
	// ErrClosed: the store was closed.
	ErrClosed = errors.New("the store is closed")
)

// DamagedJobError says that what the store keeps of one job cannot be read. No
// other job is concerned, and nothing was changed.
type DamagedJobError struct {
	ID    job.ID
	What  string // is damaged: its record, its outcomes, …
	Cause error
}

func (e *DamagedJobError) Error() string {
	return fmt.Sprintf("the store is damaged: %s of job %s cannot be read (%v); run promptforge fsck on the stopped server's data folder, and restore a backup if the job is needed", e.What, e.ID, e.Cause)
}

func (e *DamagedJobError) Unwrap() error { return e.Cause }

// Damaged tells whether an error says that one job is damaged.
func Damaged(err error) bool {
	var damaged *DamagedJobError
	return errors.As(err, &damaged)
}

// StateError refuses a move that the job's state does not allow. Job is the
// job as it stands, unchanged.
type StateError struct{ Job *job.Job }

func (e *StateError) Error() string { return "the job is " + e.Job.Status.String() }
