package erase_test

import (
	"slices"
	"testing"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/bolt"
	"github.com/promptforge/promptforge/storage/bolt/bolttest"
	"github.com/promptforge/promptforge/storage/erase"
	"github.com/promptforge/promptforge/storage/files"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

type env struct {
	*testing.T
	store *bolt.Store
	files *files.Folder
}

func start(t *testing.T) *env {
	t.Helper()
	folder, err := files.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &env{t, bolttest.Open(t), folder}
}

func (e *env) must(err error) {
	e.Helper()
	if err != nil {
		e.Fatal(err)
	}
}

func (e *env) write(name string) {
	e.Helper()
	f, err := e.files.Create(e.Context(), name)
	e.must(err)
	_, err = f.Write([]byte("x"))
	e.must(err)
	e.must(f.Commit())
}

// claimed makes a job that a holder runs.
func (e *env) claimed() (*job.Job, storage.Lease) {
	e.Helper()
	ctx := e.Context()
	j, _, err := e.store.CreateJob(ctx, &job.Job{ID: job.NewID(), Client: "c", Provider: "openai", Model: "m", CreatedAt: now}, nil)
	e.must(err)
	name := files.PromptsName(j.ID)
	e.write(name)
	_, err = e.store.CompleteUpload(ctx, j.ID, storage.Upload{Prompts: job.PromptsFile{Name: name, Usable: 1}, PromptCount: 1}, now)
	e.must(err)
	lease, err := e.store.HoldLane(ctx, job.Lane{Provider: "openai", Group: "g", Model: "m"}, "dead")
	e.must(err)
	claim, err := e.store.Claim(ctx, lease, j.ID, now)
	e.must(err)
	return claim.Job, lease
}

func (e *env) names() (names []string) {
	e.Helper()
	e.must(e.files.List(e.Context(), func(name string, _ int64, _ time.Time) error {
		names = append(names, name)
		return nil
	}))
	return names
}

// TestAbandoned: what the holder of a deleted job left unsettled when it died
// is erased without it, and other jobs are not touched.
func TestAbandoned(t *testing.T) {
	e := start(t)
	gone, lease := e.claimed()
	e.must(e.store.SaveLane(t.Context(), lease, []byte("learned")))
	_, err := e.store.Delete(t.Context(), "c", gone.ID, now)
	e.must(err)
	var erased []job.ID
	each := func(id job.ID) { erased = append(erased, id) }
	e.must(erase.Doomed(t.Context(), e.store, e.files, each))
	if len(erased) != 0 {
		t.Fatalf("erased are %v while requests are in flight", erased)
	}
	e.must(erase.Abandoned(t.Context(), e.store, now))
	e.must(erase.Doomed(t.Context(), e.store, e.files, each))
	if !slices.Equal(erased, []job.ID{gone.ID}) || len(e.names()) != 0 {
		t.Errorf("erased are %v, left is %v", erased, e.names())
	}
	kept, _ := e.claimed()
	e.must(erase.Abandoned(t.Context(), e.store, now))
	if j, err := e.store.Job(t.Context(), "c", kept.ID); err != nil || j.Status != job.Processing {
		t.Errorf("the other job: %+v, %v", j, err)
	}
	if lease, err := e.store.HoldLane(t.Context(), kept.Lane, "next"); err != nil || string(lease.Learned) != "learned" {
		t.Errorf("what was learned is %q, %v", lease.Learned, err)
	}
}

// TestStrays: only files of jobs that are gone go.
func TestStrays(t *testing.T) {
	e := start(t)
	j, lease := e.claimed()
	kept := append(e.names(), files.PartName(j.ID, lease.Term, 1), "notes/of/mine")
	for _, name := range kept[1:] {
		e.write(name)
	}
	gone := job.NewID()
	e.write(files.PromptsName(gone))
	e.write(files.PartName(gone, lease.Term, 1))
	n, err := erase.Strays(t.Context(), e.store, e.files)
	if err != nil || n != 2 {
		t.Errorf("Strays: %d, %v", n, err)
	}
	got := e.names()
	slices.Sort(kept)
	slices.Sort(got)
	if !slices.Equal(got, kept) {
		t.Errorf("left is %v, want %v", got, kept)
	}
}
