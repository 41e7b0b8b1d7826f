// Package erase removes what deleted jobs left on the disk: their files first,
// and then the record that names them (docs/decisions/0011).
package erase

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// Doomed erases the deleted jobs that are settled, and calls each for every
// one. Only one call may run on a store at a time: of two jobs that share a
// file each would leave it to the other.
func Doomed(ctx context.Context, store storage.Deletion, files storage.Files, each func(job.ID)) error {
	for {
		doomed, err := store.Doomed(ctx, 1)
		if err != nil || len(doomed) == 0 {
			return err
		}
		for _, name := range doomed[0].Files {
			if err := files.Remove(ctx, name); err != nil {
				return err
			}
		}
		if err := store.Erase(ctx, doomed[0].ID); err != nil {
			return err
		}
		each(doomed[0].ID)
	}
}

// Abandoned settles the deleted jobs whose holder is dead, so that they can be
// erased. It is for a store that no dispatcher works on: whatever was in flight
// for them is lost.
func Abandoned(ctx context.Context, store storage.Lanes, at time.Time) error {
	work, err := store.Work(ctx)
	if err != nil && !storage.Damaged(err) {
		return err
	}
	for _, j := range work {
		if !j.Deleted {
			continue
		}
		lease, err := store.HoldLane(ctx, j.Lane, "erase")
		if err != nil {
			return err
		}
		if _, err := store.Claim(ctx, lease, j.ID, at); err != nil {
			return err
		}
		if _, err := store.Settle(ctx, lease.Term, j.ID, at); err != nil {
			return err
		}
		if err := store.ReleaseLane(ctx, lease); err != nil {
			return err
		}
	}
	return nil
}

// Strays removes the files that no job names and that were written for a job
// that is not there any more: what a crash left between a file and its entry.
// It is for a store that nobody else has open. It returns how many there were.
func Strays(ctx context.Context, store storage.Store, files storage.Files) (int, error) {
	named, err := store.FileNames(ctx)
	if err != nil {
		return 0, err
	}
	var strays []string
	err = files.List(ctx, func(name string, _ int64, _ time.Time) error {
		if named[name] {
			return nil
		}
		owner, ok := ownerOf(name)
		if !ok {
			return nil
		}
		_, err := store.Job(ctx, "", owner)
		if errors.Is(err, storage.ErrNotFound) {
			strays = append(strays, name)
			return nil
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	for i, name := range strays {
		if err := files.Remove(ctx, name); err != nil {
			return i, err
		}
	}
	return len(strays), nil
}

// ownerOf is the job that a file was written for.
func ownerOf(name string) (job.ID, bool) {
	parts := strings.Split(name, "/")
	if len(parts) != 3 || parts[0] != "prompts" && parts[0] != "parts" {
		return "", false
	}
	id, err := job.ParseID(parts[1])
	return id, err == nil
}
