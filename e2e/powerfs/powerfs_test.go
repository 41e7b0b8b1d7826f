//go:build power && linux

package powerfs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const childDir = "PROMPTFORGE_TEST_POWERFS"

// TestMain lets the test binary be the program that uses the disk: the process
// that serves it must not.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := use(dir); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// use does a little of all that a store and a folder of files do.
func use(dir string) error {
	path := filepath.Join(dir, "a", "b", "file")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return err
	}
	if err := f.Truncate(16 << 10); err != nil {
		return err
	}
	mapped, err := syscall.Mmap(int(f.Fd()), 0, 1<<30, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return err
	}
	for i := range 4 {
		page := bytes.Repeat([]byte{byte('a' + i)}, 4096)
		_ = mapped[i*4096] // cached before the write
		if _, err := f.WriteAt(page, int64(i)*4096); err != nil {
			return err
		}
		if !bytes.Equal(mapped[i*4096:(i+1)*4096], page) {
			return fmt.Errorf("the map does not show what was written to page %d", i)
		}
	}
	if err := syscall.Fdatasync(int(f.Fd())); err != nil {
		return err
	}
	link := path + ".link"
	if err := errors.Join(os.Link(path, link), os.Rename(link, path+".renamed"), os.Remove(path), os.Remove(filepath.Join(dir, "none"))); err != nil && !strings.Contains(err.Error(), "none") {
		return err
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	if len(entries) != 1 || entries[0].Name() != "file.renamed" {
		return fmt.Errorf("the folder holds %v", entries)
	}
	read, err := os.ReadFile(path + ".renamed")
	if err != nil {
		return err
	}
	if len(read) != 16<<10 || read[5000] != 'b' {
		return fmt.Errorf("it reads %d bytes", len(read))
	}
	if os.Remove(filepath.Dir(path)) == nil {
		return errors.New("a folder that is not empty was removed")
	}
	for _, d := range []string{filepath.Join(dir, "a", "b"), filepath.Join(dir, "a"), dir} {
		f, err := os.Open(d)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "unsynced"), []byte("x"), 0o600)
}

func TestMounted(t *testing.T) {
	if err := Check(); err != nil {
		t.Fatal(err)
	}
	dir, disk := t.TempDir(), New()
	m, err := disk.MountAt(dir)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	out, err := child.CombinedOutput()
	if unmount := m.Unmount(); err != nil || unmount != nil {
		t.Fatalf("%v %v: %s", err, unmount, out)
	}
	for seed := range uint64(20) {
		to := t.TempDir()
		if err := disk.Survive(seed).Export(to); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(to, "a", "b", "file.renamed")); err != nil || !bytes.Equal(got, disk.root.entries["a"].entries["b"].entries["file.renamed"].data) {
			t.Fatalf("seed %d: what was synced is not there: %v", seed, err)
		}
	}
}

func TestNoFUSE(t *testing.T) {
	if err := check(filepath.Join(t.TempDir(), "fuse")); err == nil || !strings.Contains(err.Error(), "run the test where /dev/fuse is") {
		t.Errorf("without the device: %v", err)
	}
	if _, err := New().MountAt(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("mounted on a folder that is not there")
	}
}

// one does a few steps on a disk that is not mounted.
func one() (d *Disk, dir, file *node) {
	d = New()
	dir, file = d.make(syscall.S_IFDIR|0o700), d.make(syscall.S_IFREG|0o600)
	d.name(edit{d.root, "dir", dir})
	d.name(edit{dir, "file", file})
	file.write(0, bytes.Repeat([]byte("x"), 4096))
	return d, dir, file
}

// outcomes are what many seeds leave of dir/file.
func outcomes(t *testing.T, prepare func() *Disk) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	for seed := range uint64(300) {
		root := prepare().Survive(seed).root
		dir := root.entries["dir"]
		switch {
		case dir == nil:
			seen["no dir"] = true
		case dir.entries["file"] == nil:
			seen["no file"] = true
		default:
			got := dir.entries["file"].data
			switch x := bytes.Count(got, []byte("x")); {
			case x == 4096:
				seen["whole"] = true
			case len(got) == 0:
				seen["empty"] = true
			case x == 0:
				seen["zeros"] = true
			default:
				seen["torn"] = true
			}
		}
	}
	return seen
}

// TestEachSyncCounts: what is synced is there whatever the seed, and what is not
// is lost in every way.
func TestEachSyncCounts(t *testing.T) {
	for _, c := range []struct {
		name  string
		syncs func(d *Disk, dir, file *node)
		want  string
	}{
		{"nothing", func(*Disk, *node, *node) {}, "no dir, no file, whole, empty, torn"},
		{"content", func(d *Disk, _, file *node) { d.sync(file) }, "no dir, no file, whole"},
		{"content and name", func(d *Disk, dir, file *node) { d.sync(file); d.sync(dir) }, "no dir, whole"},
		{"names", func(d *Disk, dir, _ *node) { d.sync(dir); d.sync(d.root) }, "whole, empty, torn"},
		{"all", func(d *Disk, dir, file *node) { d.sync(file); d.sync(dir); d.sync(d.root) }, "whole"},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := outcomes(t, func() *Disk {
				d, dir, file := one()
				c.syncs(d, dir, file)
				return d
			})
			delete(seen, "zeros") // rare
			want := strings.Split(c.want, ", ")
			for _, w := range want {
				if !seen[w] {
					t.Errorf("no seed left %q", w)
				}
			}
			if len(seen) != len(want) {
				t.Errorf("seeds left %v, want %v", seen, want)
			}
		})
	}
}

// TestRename is never half done.
func TestRename(t *testing.T) {
	kept := map[string]bool{}
	for seed := range uint64(100) {
		d, dir, file := one()
		d.sync(file)
		d.sync(dir)
		d.sync(d.root)
		d.name(edit{dir: dir, name: "file"}, edit{dir, "other", file})
		after := d.Survive(seed).root.entries["dir"].entries
		if len(after) != 1 {
			t.Fatalf("seed %d: the folder holds %v", seed, after)
		}
		for name := range after {
			kept[name] = true
		}
	}
	if !kept["file"] || !kept["other"] {
		t.Errorf("all seeds left %v", kept)
	}
}

func TestCutByRule(t *testing.T) {
	for _, done := range []bool{false, true} {
		d, _, file := one()
		d.CutAt(func(s Step) bool { return s.N == 2 && s.Kind == "fsync" && s.Done == done })
		if err := d.do("write", func() syscall.Errno { file.write(0, []byte("y")); return 0 }); err != 0 {
			t.Fatal(err)
		}
		go func() {
			<-d.Gone()
			d.Release()
		}()
		if err := d.do("fsync", func() syscall.Errno { d.sync(file); return 0 }); !errors.Is(err, syscall.EIO) {
			t.Errorf("the call at the cut: %v", err)
		}
		if synced := file.durable != nil; synced != done {
			t.Errorf("cut after the step is %v, and it was synced is %v", done, synced)
		}
		if err := d.do("", func() syscall.Errno { t.Error("a call after the cut was done"); return 0 }); !errors.Is(err, syscall.EIO) {
			t.Error(err)
		}
	}
}
