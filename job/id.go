package job

import (
	"errors"

	"github.com/google/uuid"
)

// ID names a job: a random (version 4) UUID in its canonical lower-case form.
type ID string

// ErrBadID says that a text is no job id.
var ErrBadID = errors.New("a job id is a UUID such as 3f7a1c2e-4b5d-4e7f-8a9b-0c1d2e3f4a5b")

// NewID makes an id that no other job has.
func NewID() ID { return ID(uuid.NewString()) }

// ParseID reads an id in canonical form. Upper-case digits are folded; every
// other spelling (braces, a urn: prefix, no hyphens) is ErrBadID.
func ParseID(s string) (ID, error) {
	if len(s) != 36 {
		return "", ErrBadID
	}
	u, err := uuid.Parse(s)
	if err != nil {
		return "", ErrBadID
	}
	return ID(u.String()), nil
}
