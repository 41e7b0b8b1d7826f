package job

import (
	"crypto/rand"
	"encoding/hex"
)

// Term fences decisions: 128 random bits that a lease carries, compared for
// equality only. The zero Term is nobody's.
type Term [16]byte

// NewTerm makes a term that no lease had before.
func NewTerm() Term {
	var t Term
	rand.Read(t[:]) // never fails since Go 1.24
	return t
}

// IsZero tells whether nobody holds.
func (t Term) IsZero() bool { return t == Term{} }

// String is the term in 32 hex digits, as it stands in the names of parts.
func (t Term) String() string { return hex.EncodeToString(t[:]) }
