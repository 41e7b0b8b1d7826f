package room

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFill: without the system's help the room is taken all the same.
func TestFill(t *testing.T) {
	t.Parallel()
	file, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := fill(file, 3<<19); err != nil {
		t.Fatal(err)
	}
	if info, err := file.Stat(); err != nil || info.Size() != 3<<19 {
		t.Errorf("%v, %v", info, err)
	}
}
