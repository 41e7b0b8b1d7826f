package storage

import (
	"context"
	"io"
	"time"
)

// Files keeps immutable files by name: prompts files and parts. A name is
// made of path elements of lower-case letters, digits, '-', '.' and '_',
// joined by '/', and is never used twice.
type Files interface {
	// Create begins a file under a name that must be new. Nothing is visible
	// under the name before Commit.
	Create(ctx context.Context, name string) (NewFile, error)
	// Open opens a committed file. ErrNotFound.
	Open(ctx context.Context, name string) (File, error)
	// Remove deletes a file. Removing one that is not there changes nothing.
	Remove(ctx context.Context, name string) error
	// List calls each for every committed file, in any order, until it
	// returns an error, which List returns.
	List(ctx context.Context, each func(name string, size int64, modified time.Time) error) error
	// Scratch opens an unnamed temporary file that goes when it is closed.
	Scratch(ctx context.Context) (Scratch, error)
}

// NewFile is a file being written. One of Commit and Discard ends it; after an
// error of Write only Discard is left.
type NewFile interface {
	io.Writer
	// Commit makes the file durable under its name: when it returns nil, the
	// file survives a power loss. ErrExists if the name was taken.
	Commit() error
	// Discard forgets the file. After Commit it changes nothing.
	Discard()
}

// File is a committed file being read.
type File interface {
	io.Reader
	io.ReaderAt
	io.Closer
	Size() int64
}

// Scratch is a temporary file that its one owner writes and reads.
type Scratch interface {
	io.Writer
	io.ReaderAt
	io.Closer
}
