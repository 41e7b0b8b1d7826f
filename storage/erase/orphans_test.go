package erase_test

import (
	"slices"
	"testing"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/erase"
	"github.com/promptforge/promptforge/storage/files"
)

func TestOrphans(t *testing.T) {
	t.Parallel()
	e := start(t)
	running, _ := e.claimed()
	uploading := job.NewID()
	orphan, young := files.PartName(running.ID, job.NewTerm(), 1), files.PromptsName(job.NewID())
	upload := files.PartName(uploading, job.Term{}, 1)
	for _, name := range []string{orphan, upload, "notes/of/mine"} {
		e.write(name)
	}
	busy := true
	o := &erase.Orphans{Store: e.store, Files: e.files, Busy: func(id job.ID) bool { return busy && id == uploading }}
	sweep := func(before time.Time, want int) {
		t.Helper()
		if n, err := o.Sweep(t.Context(), before); n != want || err != nil {
			t.Fatalf("Sweep removed %d, want %d: %v", n, want, err)
		}
	}
	later := time.Now().Add(time.Hour)
	sweep(time.Now().Add(-time.Hour), 0) // nothing is old enough
	sweep(time.Now().Add(-time.Hour), 0)
	sweep(later, 0) // a first look takes nothing
	sweep(later, 1)
	want := []string{"notes/of/mine", upload, running.Prompts.Name}
	if got := e.names(); !slices.Equal(got, want) {
		t.Fatalf("left are %v, want %v", got, want)
	}
	busy = false
	sweep(later, 0)
	e.write(young)
	sweep(later, 1) // the upload's; the young one was not there at the look before
	if got := e.names(); !slices.Contains(got, young) || slices.Contains(got, upload) {
		t.Errorf("left are %v", got)
	}
}

// TestOrphansNamedMeanwhile: a file that is named between two looks stays.
func TestOrphansNamedMeanwhile(t *testing.T) {
	t.Parallel()
	e := start(t)
	ctx := t.Context()
	j, _, err := e.store.CreateJob(ctx, &job.Job{ID: job.NewID(), Client: "c", Provider: "openai", Model: "m", CreatedAt: now}, nil)
	e.must(err)
	name := files.PromptsName(j.ID)
	e.write(name)
	o := &erase.Orphans{Store: e.store, Files: e.files}
	later := time.Now().Add(time.Hour)
	for range 2 {
		if n, err := o.Sweep(ctx, later); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		if j.Status == job.AwaitingUpload {
			j, err = e.store.CompleteUpload(ctx, j.ID, storage.Upload{Prompts: job.PromptsFile{Name: name, Usable: 1}, PromptCount: 1}, now)
			e.must(err)
		}
	}
	if got := e.names(); len(got) != 1 {
		t.Errorf("left are %v", got)
	}
}
