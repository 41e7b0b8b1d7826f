//go:build !failpoint

package failpoint

// Enabled tells whether the program was built with the tag.
const Enabled = false

// Hit is a point. It returns the error that is to happen there.
func Hit(string) error { return nil }
