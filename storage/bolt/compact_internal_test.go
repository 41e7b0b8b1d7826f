package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

const (
	compactPath = "PROMPTFORGE_TEST_COMPACT_PATH"
	compactDies = "PROMPTFORGE_TEST_COMPACT_DIES"
	canary      = "a canary of forty-two feathers"
)

// kept is a store of which much was deleted, and the job that is left.
func kept(t *testing.T) (path string, left job.ID) {
	t.Helper()
	ctx := t.Context()
	path = filepath.Join(t.TempDir(), "store.db")
	s := must(Open(path, Options{}))
	gone, lease := claimed(s, "gone", 1000)
	var outcomes []*job.Outcome
	for line := range int64(1000) {
		outcomes = append(outcomes, &job.Outcome{Line: line + 1, Public: fmt.Appendf(nil, `{"%s":%d}`, canary, line)})
	}
	must(s.Record(ctx, []storage.Record{{ID: gone, Outcomes: outcomes, SentThrough: 1000}}))
	must(s.Delete(ctx, "gone", gone, now))
	must(s.Settle(ctx, lease.Term, gone, now))
	left, _ = claimed(s, "left", 10)
	must(s.Record(ctx, []storage.Record{{ID: left, Outcomes: []*job.Outcome{answer(1), answer(2)}, SentThrough: 2}}))
	if err := errors.Join(s.Erase(ctx, gone), s.CreateKey(ctx, storage.Key{ID: "k", Client: "left", CreatedAt: now}), s.Close()); err != nil {
		t.Fatal(err)
	}
	if content := must(os.ReadFile(path)); !bytes.Contains(content, []byte(canary)) {
		t.Fatal("nothing deleted is left in the store: the test can't fail")
	}
	return path, left
}

// checkKept looks for all that kept left in a store.
func checkKept(t *testing.T, path string, left job.ID) {
	t.Helper()
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if j, err := s.Job(t.Context(), "left", left); err != nil || j.CompletedCount != 2 {
		t.Errorf("the job that was left: %+v, %v", j, err)
	}
	if segments, err := s.Segments(t.Context(), left); err != nil || len(segments) != 1 {
		t.Errorf("its outcomes: %v, %v", segments, err)
	}
	if has, err := s.HasKey(t.Context(), "left"); err != nil || !has {
		t.Errorf("its key: %v, %v", has, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// alone checks that the store is the only file of its folder.
func alone(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("in the folder are %v, %v", entries, err)
	}
}

func TestCompact(t *testing.T) {
	t.Parallel()
	path, left := kept(t)
	size := must(os.Stat(path)).Size()
	before, after, err := Compact(path)
	if err != nil {
		t.Fatal(err)
	}
	if info := must(os.Stat(path)); before != size || after != info.Size() || after >= before || info.Mode().Perm() != 0o600 {
		t.Errorf("from %d to %d; it was %d and is %d, %s", before, after, size, info.Size(), info.Mode())
	}
	if bytes.Contains(must(os.ReadFile(path)), []byte(canary)) {
		t.Error("what was deleted is still there")
	}
	alone(t, path)
	checkKept(t, path, left)
	if _, _, err := Compact(path); err != nil { // again
		t.Fatal(err)
	}
	checkKept(t, path, left)
}

func TestCompactHeld(t *testing.T) {
	t.Parallel()
	path, left := kept(t)
	s := must(Open(path, Options{}))
	content := must(os.ReadFile(path))
	_, _, err := Compact(path)
	var held *HeldError
	if !errors.As(err, &held) || held.Path != path {
		t.Errorf("Compact of an open store: %v", err)
	}
	if !bytes.Equal(must(os.ReadFile(path)), content) {
		t.Error("it was changed")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	alone(t, path)
	checkKept(t, path, left)
}

func TestCompactMissing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	if _, _, err := Compact(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Compact: %v", err)
	}
	if entries := must(os.ReadDir(filepath.Dir(path))); len(entries) != 0 {
		t.Errorf("it made %v", entries)
	}
}

// TestCompactDamaged: a damaged store stays as it is, whatever page is hit.
func TestCompactDamaged(t *testing.T) {
	t.Parallel()
	whole := small(t)
	page := os.Getpagesize()
	refused := 0
	for n := range len(whole) / page {
		damaged := bytes.Clone(whole)
		for i := range damaged[n*page : (n+1)*page] {
			damaged[n*page+i] = 0xff
		}
		path := filepath.Join(t.TempDir(), "store.db")
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := Compact(path)
		if err == nil {
			checkReadable(t, path) // a free page, or one of the two meta pages
			continue
		}
		refused++
		var is *DamagedError
		if !errors.As(err, &is) {
			t.Errorf("page %d: %v", n, err)
		}
		if !bytes.Equal(must(os.ReadFile(path)), damaged) {
			t.Errorf("page %d: the file was changed", n)
		}
		alone(t, path)
	}
	if refused < 10 {
		t.Errorf("%d of %d damaged stores were refused", refused, len(whole)/page)
	}
}

// small is a store of some pages with little air in it.
func small(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	s := must(Open(path, Options{}))
	id, _ := claimed(s, "client", 1000)
	var outcomes []*job.Outcome
	for line := range int64(1000) {
		outcomes = append(outcomes, answer(line+1))
	}
	must(s.Record(t.Context(), []storage.Record{{ID: id, Outcomes: outcomes, SentThrough: 1000}}))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Compact(path); err != nil {
		t.Fatal(err)
	}
	return must(os.ReadFile(path))
}

func checkReadable(t *testing.T, path string) {
	t.Helper()
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCompactChild compacts and kills itself at a step. It is not a test of
// its own.
func TestCompactChild(t *testing.T) {
	path := os.Getenv(compactPath)
	if path == "" {
		t.Skip("run by TestCompactKilled")
	}
	dies := must(strconv.Atoi(os.Getenv(compactDies)))
	_, _, err := compact(path, func(step compactStep) {
		if int(step) == dies {
			self := must(os.FindProcess(os.Getpid()))
			if err := self.Kill(); err != nil {
				t.Fatal(err)
			}
			select {}
		}
	})
	t.Fatalf("it was not killed: %v", err)
}

// TestCompactKilled kills a process at each step of it.
func TestCompactKilled(t *testing.T) {
	t.Parallel()
	for step := compactBegun; step <= compactRenamed; step++ {
		t.Run(fmt.Sprint(step), func(t *testing.T) {
			t.Parallel()
			path, left := kept(t)
			content := must(os.ReadFile(path))
			child := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], "-test.run=^TestCompactChild$")
			child.Env = append(os.Environ(), compactPath+"="+path, compactDies+"="+strconv.Itoa(int(step)))
			if out, err := child.CombinedOutput(); err == nil || strings.Contains(string(out), "FAIL") {
				t.Fatalf("the child ended by itself: %v\n%s", err, out)
			}
			if same := bytes.Equal(must(os.ReadFile(path)), content); same != (step < compactRenamed) {
				t.Errorf("the store is as it was: %t", same)
			}
			checkKept(t, path, left)
			alone(t, path)
			if _, _, err := Compact(path); err != nil {
				t.Fatal(err)
			}
			checkKept(t, path, left)
		})
	}
}

// TestOpenWhileCompacting: whoever waits for a store that is rewritten gets
// the new one.
func TestOpenWhileCompacting(t *testing.T) {
	t.Parallel()
	path, left := kept(t)
	old := must(os.Open(path))
	defer old.Close()
	if !must(isNamed(old, path)) {
		t.Error("a file that is open lost its name")
	}
	wrote := make(chan error, 1)
	_, _, err := compact(path, func(step compactStep) {
		if step == compactVerified {
			go func() { wrote <- writeLate(path) }()
		}
	})
	if err := errors.Join(err, <-wrote); err != nil {
		t.Fatal(err)
	}
	if must(isNamed(old, path)) {
		t.Error("the old file still has the name")
	}
	db := must(openFile(path, writeOptions(0)))
	if err := errors.Join(db.View(func(tx *bbolt.Tx) error {
		if tx.Bucket(bucketMeta).Get([]byte("late")) == nil {
			t.Error("what was written meanwhile is lost")
		}
		return nil
	}), db.Close()); err != nil {
		t.Fatal(err)
	}
	checkKept(t, path, left)
}

// writeLate writes to a store as soon as it is free.
func writeLate(path string) error {
	opts := writeOptions(0)
	opts.Timeout = 0 // none
	db, err := openFile(path, opts)
	if err != nil {
		return err
	}
	return errors.Join(db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put([]byte("late"), []byte("1")) }), db.Close())
}
