package judge_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/e2e/judge"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/bolt"
	"github.com/promptforge/promptforge/storage/files"
	"github.com/promptforge/promptforge/storage/intake"
)

// dataFolder is a data folder with a prompts file and a part.
func dataFolder(t *testing.T) string {
	t.Helper()
	dir, ctx := t.TempDir(), t.Context()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	store, err := bolt.Open(filepath.Join(dir, "promptforge.db"), bolt.Options{})
	check(err)
	folder, err := files.OpenFolder(filepath.Join(dir, "files"))
	check(err)
	const id = job.ID("3f7a1c2e-4b5d-4e7f-8a9b-0c1d2e3f4a5b")
	check(store.CreateKey(ctx, storage.Key{ID: "k", Client: "acme", CreatedAt: time.Now()}))
	_, _, err = store.CreateJob(ctx, &job.Job{ID: id, Client: "acme", Provider: "openai", Model: "m", CreatedAt: time.Now()}, nil)
	check(err)
	upload, err := intake.Read(ctx, folder, id, strings.NewReader(`{"prompt_id":1,"prompt":"x"}`+"\nno JSON\n"), intake.Limits{})
	check(err)
	_, err = store.CompleteUpload(ctx, id, upload, time.Now())
	check(err)
	check(store.Close())
	return dir
}

func TestCheckFolder(t *testing.T) {
	if err := judge.CheckFolder(t.Context(), dataFolder(t)); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"prompts", "parts"} {
		for name, spoil := range map[string]func(path string) error{
			"missing": os.Remove,
			"short":   func(path string) error { return os.Truncate(path, 20) },
			"altered": func(path string) error {
				b, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				b[12] ^= 1
				return os.WriteFile(path, b, 0o600)
			},
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				dir := dataFolder(t)
				paths, err := filepath.Glob(filepath.Join(dir, "files", kind, "*", "*"))
				if err != nil || len(paths) != 1 {
					t.Fatalf("%v %v", paths, err)
				}
				if err := spoil(paths[0]); err != nil {
					t.Fatal(err)
				}
				if err := judge.CheckFolder(t.Context(), dir); err == nil || !strings.Contains(err.Error(), kind) {
					t.Errorf("the verdict is %v", err)
				}
			})
		}
	}
}

// TestCheckFolderOfADeletion: one that was broken off has removed files that the
// store still names.
func TestCheckFolderOfADeletion(t *testing.T) {
	dir := dataFolder(t)
	if err := os.RemoveAll(filepath.Join(dir, "files", "parts")); err != nil {
		t.Fatal(err)
	}
	if err := judge.CheckFolder(t.Context(), dir); err == nil {
		t.Error("a part is gone, and nobody deleted its job")
	}
	store, err := bolt.Open(filepath.Join(dir, "promptforge.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Delete(t.Context(), "acme", "3f7a1c2e-4b5d-4e7f-8a9b-0c1d2e3f4a5b", time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := judge.CheckFolder(t.Context(), dir); err != nil {
		t.Error(err)
	}
}

func TestCheckFolderOfNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "promptforge.db"), []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := judge.CheckFolder(t.Context(), dir); err == nil {
		t.Error("a store that is none passed")
	}
}
