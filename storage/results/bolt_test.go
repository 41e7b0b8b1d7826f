package results_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/bolt"
	"github.com/promptforge/promptforge/storage/files"
	"github.com/promptforge/promptforge/storage/intake"
	"github.com/promptforge/promptforge/storage/results"
)

// whole reads every public file of a job and checks it against the outcomes
// that After gives.
func whole(t *testing.T, store storage.Store, fs storage.Files, id job.ID) (resultLines, errorLines int) {
	t.Helper()
	j, err := store.Job(ctx, "", id)
	if err != nil {
		t.Fatal(err)
	}
	for _, full := range []bool{false, true} {
		var want [2][]byte // results, errors
		offset := int64(0)
		for item, err := range results.After(ctx, store, fs, id, 0) {
			if err != nil {
				t.Fatal(err)
			}
			if offset++; item.Offset != offset {
				t.Fatalf("offset %d, want %d", item.Offset, offset)
			}
			kind := 0
			if item.Outcome.Failed {
				kind = 1
			}
			if full {
				want[kind] = item.Outcome.AppendFull(want[kind])
			} else {
				want[kind] = item.Outcome.AppendPublic(want[kind])
			}
		}
		if offset != j.Outcomes() {
			t.Errorf("%d outcomes, and the job counts %d", offset, j.Outcomes())
		}
		var got [2][]byte
		for _, name := range results.FileNames(j) {
			d, err := results.Open(ctx, store, fs, j, name, full)
			if err != nil {
				t.Fatal(name, err)
			}
			var b bytes.Buffer
			if err := d.CopyRange(ctx, &b, 0, d.Size()); err != nil {
				t.Fatal(name, err)
			}
			lines := bytes.Count(b.Bytes(), []byte("\n"))
			if name == results.ErrorsName {
				got[1] = b.Bytes()
				continue
			}
			if got[0] = append(got[0], b.Bytes()...); lines > storage.ResultsPerFile {
				t.Errorf("%s has %d lines", name, lines)
			}
		}
		if !bytes.Equal(got[0], want[0]) || !bytes.Equal(got[1], want[1]) {
			t.Errorf("full %v: the files are not what was recorded", full)
		}
		resultLines, errorLines = bytes.Count(got[0], []byte("\n")), bytes.Count(got[1], []byte("\n"))
	}
	return resultLines, errorLines
}

// From an upload to its files, on the store that people use, and on to the job
// that continues it.
func TestOnBolt(t *testing.T) {
	dir := t.TempDir()
	store, err := bolt.Open(filepath.Join(dir, "promptforge.db"), bolt.Options{})
	must(t, err)
	defer store.Close()
	fs, err := files.OpenFolder(filepath.Join(dir, "files"))
	must(t, err)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

	const prompts = 12_000
	var body strings.Builder
	body.WriteString("not JSON\n")
	for i := 1; i <= prompts; i++ {
		fmt.Fprintf(&body, "{\"prompt_id\":%d,\"prompt\":\"x\"}\n", i)
	}
	body.WriteString("{\"prompt_id\":5,\"prompt\":\"again\"}\n")
	j := &job.Job{ID: job.NewID(), Client: "c", Provider: "openai", Model: "m", CreatedAt: now, UploadExpiresAt: now.Add(time.Hour)}
	_, _, err = store.CreateJob(ctx, j, nil)
	must(t, err)
	if r, e := whole(t, store, fs, j.ID); r != 0 || e != 0 {
		t.Errorf("before the upload: %d results, %d errors", r, e)
	}
	upload, err := intake.Read(ctx, fs, j.ID, strings.NewReader(body.String()), intake.Limits{})
	must(t, err)
	_, err = store.CompleteUpload(ctx, j.ID, upload, now)
	must(t, err)
	if r, e := whole(t, store, fs, j.ID); r != 0 || e != 2 {
		t.Errorf("after the upload: %d results, %d errors", r, e)
	}

	lease, err := store.HoldLane(ctx, job.Lane{Provider: "openai", Group: "g", Model: "m"}, "test")
	must(t, err)
	claim, err := store.Claim(ctx, lease, j.ID, now)
	must(t, err)
	if n := claim.Done.GetCardinality(); n != 2 || !claim.Done.Contains(1) || !claim.Done.Contains(prompts+2) {
		t.Errorf("%d lines are done: %v", n, claim.Done)
	}
	for from := 2; from <= prompts+1; from += 1500 {
		record := storage.Record{ID: j.ID, Outcomes: outcomes(from, from+1499), SentThrough: int64(from + 1499)}
		recorded, err := store.Record(ctx, []storage.Record{record})
		must(t, err)
		if recorded[0].Accepted != 1500 || recorded[0].Err != nil {
			t.Fatalf("%+v", recorded[0])
		}
		if from == 6002 {
			sealSegment(t, store, fs, lease.Term, j.ID)
		}
	}
	failed := 0
	for _, o := range outcomes(2, prompts+1) {
		if o.Failed {
			failed++
		}
	}
	if r, e := whole(t, store, fs, j.ID); r != prompts-failed || e != failed+2 {
		t.Errorf("recorded: %d results, %d errors", r, e)
	}
	_, err = store.Finish(ctx, lease.Term, j.ID, job.Completed, "", now)
	must(t, err)

	next := &job.Job{ID: job.NewID(), Client: "c", Provider: "openai", Model: "m", CreatedAt: now, ContinueFrom: j.ID}
	_, _, err = store.CreateJob(ctx, next, nil)
	must(t, err)
	// The two lines that cannot be used stay error records.
	if r, e := whole(t, store, fs, next.ID); r != prompts-failed || e != 2 {
		t.Errorf("continued: %d results, %d errors", r, e)
	}
}

// sealSegment seals as a dispatcher does.
func sealSegment(t *testing.T, store storage.Store, fs storage.Files, term job.Term, id job.ID) {
	t.Helper()
	s, err := store.Freeze(ctx, term, id)
	must(t, err)
	w, err := files.NewPartWriter(ctx, fs, files.PartName(id, term, s.N), s.FirstOffset, s.ResultsBefore)
	must(t, err)
	for after := s.FirstOffset - 1; after < s.LastOffset(); {
		some, err := store.ReadSegment(ctx, id, s.N, after, 100<<10)
		must(t, err)
		for i := range some {
			must(t, w.Add(&some[i]))
		}
		after += int64(len(some))
	}
	part, err := w.Commit()
	must(t, err)
	must(t, store.Seal(ctx, term, id, s.N, part))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
