package job

import "strings"

// Lane is what a provider's limits, health and holds belong to: one provider,
// one quota group (the keys that share an account's limits) and one model. All
// jobs of a lane run in the process that holds its lease.
type Lane struct {
	Provider string
	Group    string
	Model    string
}

// Key is the lane as one string, unique and ordered by provider, for use as a
// store's key. It is not meant to be parsed.
func (l Lane) Key() string { return strings.Join([]string{l.Provider, l.Group, l.Model}, "\x00") }

// String is the lane for a person: provider/group/model.
func (l Lane) String() string { return l.Provider + "/" + l.Group + "/" + l.Model }
