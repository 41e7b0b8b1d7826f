//go:build !failpoint

package failpoint

import "testing"

// TestOff: without the build tag nothing ever fails, whatever the environment
// says.
func TestOff(t *testing.T) {
	t.Setenv("PROMPTFORGE_FAILPOINTS", "claim=error")
	if err := Hit("claim"); err != nil || Enabled {
		t.Error(err, Enabled)
	}
}
