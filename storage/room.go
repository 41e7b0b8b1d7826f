package storage

import "time"

// Room is the disk's room, as those ask who fill it.
type Room interface {
	// Short says in a sentence that there is less room than is to stay free,
	// and since when; empty: there is enough.
	Short() (sentence string, since time.Time)
	// Spent tells whether the reserve was given up for answers that were paid
	// for. Until it is there again nothing else may be written.
	Spent() bool
	// Full hears that a write of such answers found no room. It gives up the
	// reserve and tells whether that made some, so that the write is worth
	// repeating at once.
	Full() bool
	// Watch signals when Short or Spent changes. The channel holds one pending
	// signal. stop frees it.
	Watch() (changed <-chan struct{}, stop func())
}

// EndlessRoom is Room where nobody looks after the disk.
type EndlessRoom struct{}

var _ Room = EndlessRoom{}

// Short says that there is enough.
func (EndlessRoom) Short() (string, time.Time) { return "", time.Time{} }

// Spent is false.
func (EndlessRoom) Spent() bool { return false }

// Full is false: there is no reserve.
func (EndlessRoom) Full() bool { return false }

// Watch never signals.
func (EndlessRoom) Watch() (<-chan struct{}, func()) { return nil, func() {} }
