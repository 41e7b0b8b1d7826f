package bolt

import (
	"fmt"
	"os"
)

// HeldError says that another process has the store open.
type HeldError struct {
	Path string
	PID  int // of that process; 0 where it cannot be told
}

func (e *HeldError) Error() string {
	switch e.PID {
	case 0:
		return fmt.Sprintf("another promptforge process has the data folder open (it holds %s)", e.Path)
	case os.Getpid():
		return fmt.Sprintf("this process has the data folder open already (it holds %s)", e.Path)
	default:
		return fmt.Sprintf("another promptforge process (PID %d) has the data folder open (it holds %s)", e.PID, e.Path)
	}
}

// DamagedError says that a file is no store, or not a whole one. The file was
// left as it was.
type DamagedError struct {
	Path  string
	Cause error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("%s is damaged or no promptforge store, and was left as it was: %v", e.Path, e.Cause)
}

func (e *DamagedError) Unwrap() error { return e.Cause }

// NewerError says that a later promptforge wrote the store. The file was left
// as it was.
type NewerError struct {
	Path        string
	Schema      int // of the file
	KnownSchema int // the latest that this build reads
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("%s was written by a later version of promptforge (its schema is %d, this one knows %d): use that version", e.Path, e.Schema, e.KnownSchema)
}

// BrokenError is what every write returns once one has failed for another
// reason than a full disk. What lies on the disk is then known only after the
// file was opened anew, so nothing more is written on this handle.
type BrokenError struct{ Cause error }

func (e *BrokenError) Error() string {
	return fmt.Sprintf("the store could not write and takes nothing more until promptforge is started again: %v", e.Cause)
}

func (e *BrokenError) Unwrap() error { return e.Cause }
