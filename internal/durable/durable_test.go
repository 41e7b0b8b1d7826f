package durable

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMkdirAll(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b", "c")
	for range 2 { // the second time it is there
		if err := MkdirAll(DataFolder, dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(dir); err != nil || !info.IsDir() || info.Mode().Perm() != 0o700 {
			t.Fatalf("%v %v", info, err)
		}
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "below")} {
		if err := MkdirAll(DataFolder, path, 0o700); err == nil {
			t.Errorf("%s was made where a file lies", path)
		}
	}
}

func TestSyncErrors(t *testing.T) {
	if err := Dir(StoreName, filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a directory that is not there was synced")
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	if err := File(PartFile, f); err != nil {
		t.Error(err)
	}
	f.Close()
	if err := File(PartFile, f); err == nil {
		t.Error("a closed file was synced")
	}
}

func TestPointsAreDistinct(t *testing.T) {
	seen := map[Point]bool{}
	for _, p := range Points() {
		if p == "" || seen[p] {
			t.Errorf("the point %q comes twice or has no name", p)
		}
		seen[p] = true
		if Removed(p) {
			t.Errorf("the sync of %s is taken away", p)
		}
	}
}
