package storage

import "time"

// Key is an API key as it is kept: never its secret.
type Key struct {
	ID        string   // the part of the key that may be shown
	Client    string   // who uses it
	SHA256    [32]byte // of the whole key
	CreatedAt time.Time
	RevokedAt time.Time // zero while it is good
}

// Revoked tells whether the key is refused.
func (k *Key) Revoked() bool { return !k.RevokedAt.IsZero() }
