package erase

import (
	"context"
	"sync"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// OrphanAge is how long a file that no job names is kept: long enough that
// whoever had an accident can still find what he misses.
const OrphanAge = 7 * 24 * time.Hour

// Orphans removes the files that no job names: what a crash left between a file
// and its entry, or a transaction that did not come about. It may work on a
// store that is in use, since it only takes a file
//
//   - that was written long ago, where whoever writes a file names it within a
//     day or never,
//   - of a job for which nothing is being taken in, and
//   - that was an orphan at the look before, too, whatever the clock did.
type Orphans struct {
	Store storage.Store
	Files storage.Files
	// Busy tells whether an upload for a job is under way, whose first parts may
	// be old. nil: there is none.
	Busy func(job.ID) bool

	mu       sync.Mutex
	suspects map[string]bool // of the look before
}

// Sweep looks at the files that were written before a time, removes those that
// were orphans at the look before, and returns how many.
func (o *Orphans) Sweep(ctx context.Context, before time.Time) (removed int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	suspects, err := o.look(ctx, before)
	if err != nil {
		return 0, err
	}
	for name := range suspects {
		if !o.suspects[name] {
			continue
		}
		if err := o.Files.Remove(ctx, name); err != nil {
			return removed, err
		}
		delete(suspects, name)
		removed++
	}
	o.suspects = suspects
	return removed, nil
}

// look finds old files that no job names. The order matters: an upload that
// ends after it was asked for has its files in the store's list.
func (o *Orphans) look(ctx context.Context, before time.Time) (map[string]bool, error) {
	old := map[string]bool{}
	err := o.Files.List(ctx, func(name string, _ int64, modified time.Time) error {
		owner, ours := ownerOf(name)
		if ours && modified.Before(before) && (o.Busy == nil || !o.Busy(owner)) {
			old[name] = true
		}
		return nil
	})
	if err != nil || len(old) == 0 {
		return old, err
	}
	named, err := o.Store.FileNames(ctx)
	if err != nil {
		return nil, err
	}
	for name := range old {
		if named[name] {
			delete(old, name)
		}
	}
	return old, nil
}
