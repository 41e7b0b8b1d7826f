package simulator

import "encoding/json"

// setOf is the set of names.
func setOf(names ...string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

// stranger is the first member of an object whose name is not among known.
// The object must be valid JSON; anything else has no members.
func stranger(object []byte, known map[string]bool) (name string, found bool) {
	q := quick{b: object}
	q.object(func(raw []byte) bool {
		if json.Unmarshal(raw, &name) != nil || !known[name] {
			found = true
			return false
		}
		return q.skip()
	})
	return name, found
}
