package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/promptforge/promptforge/internal/durable"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

var ctx = context.Background()

func newFolder(t testing.TB) *Folder {
	t.Helper()
	d, err := OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { noTemporaries(t, d) }) // an invariant of every test
	return d
}

func noTemporaries(t testing.TB, d *Folder) {
	t.Helper()
	left, err := os.ReadDir(filepath.Join(d.root, temporaries))
	if err != nil || len(left) > 0 {
		t.Errorf("temporary files are left: %v %v", left, err)
	}
}

func put(t testing.TB, fs storage.Files, name, text string) error {
	t.Helper()
	f, err := fs.Create(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, text); err != nil {
		t.Fatal(err)
	}
	return f.Commit()
}

func get(t testing.TB, fs storage.Files, name string) string {
	t.Helper()
	f, err := fs.Open(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil || int64(len(b)) != f.Size() {
		t.Fatal(len(b), f.Size(), err)
	}
	return string(b)
}

func names(t testing.TB, fs storage.Files) []string {
	t.Helper()
	var all []string
	err := fs.List(ctx, func(name string, size int64, modified time.Time) error {
		if time.Since(modified) > time.Hour {
			t.Errorf("%s is of %s", name, modified)
		}
		all = append(all, fmt.Sprintf("%s %d", name, size))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	return all
}

func TestFolder(t *testing.T) {
	d := newFolder(t)
	if err := put(t, d, "parts/a/1", "one"); err != nil {
		t.Fatal(err)
	}
	if err := put(t, d, "parts/a/1", "two"); !errors.Is(err, storage.ErrExists) {
		t.Errorf("the second file of a name: %v", err)
	}
	if got := get(t, d, "parts/a/1"); got != "one" {
		t.Errorf("it reads %q", got)
	}
	if err := put(t, d, "parts/b/1", ""); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"parts/a/1 3", "parts/b/1 0"}, names(t, d)); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"parts/a/1", "parts/a/1", "parts/none/1"} {
		if err := d.Remove(ctx, name); err != nil {
			t.Errorf("removing %s: %v", name, err)
		}
	}
	if _, err := d.Open(ctx, "parts/a/1"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("opening what is removed: %v", err)
	}
	if _, err := d.Open(ctx, "parts/b"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("opening a directory: %v", err)
	}
	if _, err := os.Stat(filepath.Join(d.root, "parts", "a")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty directory is left: %v", err)
	}
	if err := put(t, d, "parts/a/1", "new"); err != nil {
		t.Errorf("making the directory again: %v", err)
	}
}

func TestNothingIsVisibleBeforeCommit(t *testing.T) {
	d := newFolder(t)
	f, err := d.Create(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(f, "x")
	if _, err := d.Open(ctx, "a"); !errors.Is(err, storage.ErrNotFound) {
		t.Error(err)
	}
	if len(names(t, d)) != 0 {
		t.Error("it is listed")
	}
	f.Discard()
	f.Discard()
	if err := f.Commit(); err == nil {
		t.Error("a discarded file was committed")
	}
	if _, err := f.Write(nil); err == nil {
		t.Error("a discarded file was written to")
	}
}

func TestDiscardAfterCommit(t *testing.T) {
	d := newFolder(t)
	f, _ := d.Create(ctx, "a")
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	f.Discard()
	get(t, d, "a")
	if err := f.Commit(); err == nil {
		t.Error("committed twice")
	}
}

func TestNames(t *testing.T) {
	d := newFolder(t)
	for _, name := range []string{
		"", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/..", ".tmp/x", "a/.b", "A", "a b", "a\\b", "a\x00", "é",
		strings.Repeat("a", MaxNameBytes+1),
	} {
		_, err1 := d.Create(ctx, name)
		_, err2 := d.Open(ctx, name)
		if err1 == nil || err2 == nil || d.Remove(ctx, name) == nil {
			t.Errorf("%q was taken for a name", name)
		}
	}
	id := job.NewID()
	for _, name := range []string{PromptsName(id), PartName(id, job.NewTerm(), 12), "a", "a.b/c_d-1"} {
		if err := put(t, d, name, "x"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	prompts, part := PromptsName(id), PartName(id, job.Term{}, 1)
	if prompts == PromptsName(id) || part == PartName(id, job.Term{}, 1) {
		t.Error("one name twice")
	}
}

func TestEndedContext(t *testing.T) {
	d := newFolder(t)
	put(t, d, "a", "x")
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err1 := d.Create(ended, "b")
	_, err2 := d.Open(ended, "a")
	_, err3 := d.Scratch(ended)
	err4 := d.List(ended, func(string, int64, time.Time) error { return nil })
	for _, err := range []error{err1, err2, err3, err4, d.Remove(ended, "a")} {
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

func TestListStops(t *testing.T) {
	d := newFolder(t)
	put(t, d, "a", "x")
	put(t, d, "b", "x")
	stop := errors.New("stop")
	n := 0
	err := d.List(ctx, func(string, int64, time.Time) error { n++; return stop })
	if !errors.Is(err, stop) || n != 1 {
		t.Error(n, err)
	}
}

func TestScratch(t *testing.T) {
	d := newFolder(t)
	s, err := d.Scratch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(s, "hello ")
	b := make([]byte, 5)
	if _, err := s.ReadAt(b, 0); err != nil || string(b) != "hello" {
		t.Error(string(b), err)
	}
	io.WriteString(s, "world")
	if _, err := s.ReadAt(b, 6); err != nil || string(b) != "world" {
		t.Error(string(b), err)
	}
	noTemporaries(t, d)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestLeavings(t *testing.T) {
	dir := t.TempDir()
	d, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	d.Create(ctx, "a") // as a process that dies here leaves it
	d.Create(ctx, "b")
	left := func() int {
		entries, _ := os.ReadDir(filepath.Join(dir, temporaries))
		return len(entries)
	}
	if _, err := OpenSharedFolder(dir); err != nil || left() != 2 {
		t.Errorf("%d left in a shared folder, %v", left(), err)
	}
	entries, _ := os.ReadDir(filepath.Join(dir, temporaries))
	old := time.Now().Add(-2 * time.Hour)
	os.Chtimes(filepath.Join(dir, temporaries, entries[0].Name()), old, old)
	if _, err := OpenSharedFolder(dir); err != nil || left() != 1 {
		t.Errorf("%d left in a shared folder, %v", left(), err)
	}
	if _, err := OpenFolder(dir); err != nil || left() != 0 {
		t.Errorf("%d left, %v", left(), err)
	}
}

func TestOpenFolderFails(t *testing.T) {
	dir := t.TempDir()
	occupied := filepath.Join(dir, "file")
	os.WriteFile(occupied, nil, 0o600)
	if _, err := OpenFolder(occupied); err == nil || !strings.Contains(err.Error(), occupied) {
		t.Errorf("a folder where a file lies: %v", err)
	}
}

// recorder writes down what a Folder asks of the system and lets one call fail.
type recorder struct {
	root string
	mu   sync.Mutex
	log  []string
	fail string
}

var errDisk = errors.New("the disk is broken")

func (r *recorder) note(what, path string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	rel, _ := filepath.Rel(r.root, path)
	if strings.HasPrefix(rel, temporaries+"/") {
		rel = "TEMP"
	}
	r.log = append(r.log, what+" "+rel)
	if r.fail != "" && strings.HasPrefix(what+" "+rel, r.fail) {
		return errDisk
	}
	return nil
}

func (r *recorder) system() system {
	real := realSystem()
	return system{
		syncFile: func(p durable.Point, f *os.File) error {
			return errors.Join(r.note("sync", f.Name()), real.syncFile(p, f))
		},
		syncDir: func(p durable.Point, path string) error {
			return errors.Join(r.note("syncdir", path), real.syncDir(p, path))
		},
		mkdir: func(path string) error {
			if err := r.note("mkdir", path); err != nil {
				return err
			}
			return real.mkdir(path)
		},
		link: func(from, to string) error {
			if err := r.note("link", to); err != nil {
				return err
			}
			return real.link(from, to)
		},
	}
}

func recorded(t *testing.T) (*Folder, *recorder) {
	r := &recorder{root: filepath.Join(t.TempDir(), "new", "data")}
	d, err := open(r.root, 0, r.system())
	if err != nil {
		t.Fatal(err)
	}
	return d, r
}

// The order is a promise (a power loss must not take what was committed), and
// no kill of a process can test it.
func TestOrderOfSyncs(t *testing.T) {
	d, r := recorded(t)
	if diff := cmp.Diff([]string{"mkdir ..", "syncdir ../..", "mkdir .", "syncdir ..", "mkdir .tmp"}, r.log); diff != "" {
		t.Errorf("open: %s", diff)
	}
	r.log = nil
	put(t, d, "parts/a/1", "x")
	if diff := cmp.Diff([]string{
		"sync TEMP", "mkdir parts", "syncdir .", "mkdir parts/a", "syncdir parts", "link parts/a/1", "syncdir parts/a",
	}, r.log); diff != "" {
		t.Errorf("first: %s", diff)
	}
	r.log = nil
	put(t, d, "parts/a/2", "x")
	if diff := cmp.Diff([]string{"sync TEMP", "link parts/a/2", "syncdir parts/a"}, r.log); diff != "" {
		t.Errorf("second: %s", diff)
	}
	again, err := open(r.root, 0, r.system())
	if err != nil {
		t.Fatal(err)
	}
	r.log = nil
	put(t, again, "parts/a/3", "x")
	// Another process may have died between making a directory and syncing it.
	if !slices.Contains(r.log, "syncdir .") || !slices.Contains(r.log, "syncdir parts") {
		t.Errorf("a directory of unknown durability was trusted: %q", r.log)
	}
}

func TestEveryStepMayFail(t *testing.T) {
	for _, step := range []string{"sync TEMP", "mkdir parts/a", "syncdir .", "syncdir parts/a", "link"} {
		t.Run(step, func(t *testing.T) {
			d, r := recorded(t)
			r.fail = step
			if err := put(t, d, "parts/a/1", "x"); !errors.Is(err, errDisk) {
				t.Errorf("the commit: %v", err)
			}
			if left := names(t, d); len(left) != 0 {
				t.Errorf("left: %q", left)
			}
			noTemporaries(t, d)
			r.fail = ""
			if err := put(t, d, "parts/a/1", "x"); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
	for _, step := range []string{"mkdir ..", "syncdir ../..", "mkdir .tmp", "syncdir .."} {
		r := &recorder{root: filepath.Join(t.TempDir(), "new", "data"), fail: step}
		if _, err := open(r.root, 0, r.system()); !errors.Is(err, errDisk) {
			t.Errorf("open with %s: %v", step, err)
		}
	}
}

func TestFailedWrite(t *testing.T) {
	d := newFolder(t)
	f, err := d.Create(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	f.(*newFile).f.Close() // every write fails now
	if _, err := io.WriteString(f, "x"); err == nil {
		t.Error("no error of the write")
	}
	if err := f.Commit(); err == nil {
		t.Error("committed after a write that failed")
	}
	if len(names(t, d)) != 0 {
		t.Error("it is listed")
	}
}

// Where hard links are not known the name is taken by a rename.
func TestWithoutHardLinks(t *testing.T) {
	d := newFolder(t)
	d.sys.link = func(string, string) error { return &os.LinkError{Op: "link", Err: errors.ErrUnsupported} }
	if err := put(t, d, "p/a", "one"); err != nil {
		t.Fatal(err)
	}
	if err := put(t, d, "p/a", "two"); !errors.Is(err, storage.ErrExists) {
		t.Errorf("the second file of a name: %v", err)
	}
	if got := get(t, d, "p/a"); got != "one" {
		t.Errorf("it reads %q", got)
	}
}

func TestDirectoriesRemovedByHand(t *testing.T) {
	d := newFolder(t)
	put(t, d, "p/a", "x")
	os.RemoveAll(filepath.Join(d.root, "p"))
	put(t, d, "p/b", "x") // may fail
	if err := put(t, d, "p/c", "x"); err != nil {
		t.Error(err)
	}
}

func TestManyAtOnce(t *testing.T) {
	d := newFolder(t)
	var wg sync.WaitGroup
	taken := make(chan struct{}, 100)
	for i := range 8 {
		wg.Go(func() {
			for n := range 10 {
				name := fmt.Sprintf("p/%d/x", n%3)
				if put(t, d, name, "x") == nil {
					taken <- struct{}{}
					if err := d.Remove(ctx, name); err != nil { // takes the directory from under the others
						t.Error(err)
					}
				}
				if err := put(t, d, fmt.Sprintf("q/%d-%d", i, n), "x"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if len(taken) == 0 {
		t.Error("no file was written")
	}
}
