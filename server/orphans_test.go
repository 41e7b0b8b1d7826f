package server

import (
	"slices"
	"testing"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage/erase"
	"github.com/promptforge/promptforge/storage/files"
)

// TestOrphansGo: a file that no job names is kept for a week and is gone after
// it, while the server runs; a job's own files stay.
func TestOrphansGo(t *testing.T) {
	e := start(t)
	id := e.completed(2)
	own := filesOf(t, e, id)
	name := files.PartName(job.NewID(), job.NewTerm(), 1)
	f, err := e.cfg.Files.Create(e.ctx(), name)
	must(t, err)
	_, err = f.Write([]byte("x"))
	must(t, err)
	must(t, f.Commit())
	there := func() bool {
		file, err := e.cfg.Files.Open(e.ctx(), name)
		if err != nil {
			return false
		}
		must(t, file.Close())
		return true
	}
	e.clock.Advance(time.Until(e.clock.Now()) * -1) // the folder's own clock is the machine's
	for range 2 {
		e.removeOrphans(e.ctx())
	}
	if !there() {
		t.Fatal("a young file was removed")
	}
	e.clock.Advance(erase.OrphanAge + time.Hour)
	for range 2 {
		e.removeOrphans(e.ctx())
	}
	if there() {
		t.Error("the orphan is still there")
	}
	if got := filesOf(t, e, id); !slices.Equal(got, own) {
		t.Errorf("of the job's files %v are left %v", own, got)
	}
}
