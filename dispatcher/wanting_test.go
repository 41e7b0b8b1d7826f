package dispatcher

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/dispatcher/provider"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/simulator"
)

// A job whose provider has no credential is held, says so (the operator reads which file lacks it),
// and goes on at once when the file is there and the configuration was reread;
// after a restart likewise, and where the file goes away under it.
func TestDispatcherHeldWithoutACredential(t *testing.T) {
	b := newBench(t, simulator.Config{})
	file := filepath.Join(t.TempDir(), "key")
	b.keys = []provider.KeyRef{{File: file}}
	var log logged
	b.start(log.into)
	id := b.submit("a", job.Job{}, prompts(50, "want")...)
	wanting := func(j *job.Job) bool {
		if strings.Contains(j.Pace.HoldReason, file) {
			t.Errorf("the job's owner reads a path: %s", j.Pace.HoldReason)
		}
		return strings.Contains(j.Pace.HoldReason, "There is no credential for sim: its credential file is not there.")
	}
	first := b.wait(id, wanting)
	if first.Status != job.Processing || first.Pace.BoundBy != "hold" || first.Pace.HeldSince.IsZero() || !first.Pace.EstimatedCompletionAt.IsZero() || first.Pace.CurrentRPM != 0 {
		t.Errorf("%s with %+v", first.Status, first.Pace)
	}
	lanes, err := b.d.Lanes(context.Background())
	if err != nil || len(lanes) != 1 || !strings.Contains(lanes[0].Pace.HoldReason, file) {
		t.Errorf("lanes %+v, %v", lanes, err)
	}
	if !strings.Contains(log.String(), "a lane is held: it has no credential") || !strings.Contains(log.String(), file) {
		t.Errorf("the log says\n%s", &log)
	}
	if err := b.end(); err != nil {
		t.Fatal(err)
	}
	b.start(nil)
	b.wait(id, wanting)
	if n := b.sim.Stats().Requests; n != 0 {
		t.Errorf("%d requests were sent without a credential", n)
	}
	if err := os.WriteFile(file, []byte("k\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	b.d.Reload(b.settings())
	if j := b.wait(id, settled); j.Status != job.Completed || j.CompletedCount != 50 {
		t.Errorf("%s with %d results", j.Status, j.CompletedCount)
	}
	if took := time.Since(begun); took > 4*time.Second {
		t.Errorf("it went on after %s, and not at once", took)
	}
	b.answered(id, 50, "want")

	// The dispatcher itself holds a lane whose file is lost, too.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	b.d.Reload(b.settings())
	second := b.submit("a", job.Job{}, prompts(50, "lost")...)
	b.wait(second, wanting)
	if n := b.sim.Stats().Requests; n != 50 {
		t.Errorf("%d requests, want the first job's 50", n)
	}
}

// A job whose provider has gone from the configuration says so, and can be
// cancelled; a wrong credential that is put in its place fails it at once.
func TestDispatcherHeldWithoutAProvider(t *testing.T) {
	b := newBench(t, simulator.Config{})
	b.configured = "other"
	b.start(nil)
	id := b.submit("a", job.Job{}, prompts(5, "gone")...)
	j := b.wait(id, held)
	if !strings.Contains(j.Pace.HoldReason, `The provider "sim" is not configured here any more`) {
		t.Errorf("held for %q", j.Pace.HoldReason)
	}
	if _, err := b.store.Cancel(context.Background(), "a", id, time.Now()); err != nil {
		t.Fatal(err)
	}
	if j := b.wait(id, settled); j.Status != job.Cancelled {
		t.Errorf("it is %s", j.Status)
	}
}

// A credential that is refused is named to its operator, in the log and the list
// of lanes; the owners of the jobs, in whatever becomes of them, read no path.
func TestDispatcherNamesNoFileToOwners(t *testing.T) {
	b := newBench(t, simulator.Config{})
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("k\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.keys = []provider.KeyRef{{File: file}}
	var log logged
	b.start(log.into)
	// A job that is given up leaves a lane behind that nothing holds or bounds.
	const told = "sim refused the credential in its credential file; put a valid one there."
	failed := b.wait(b.submit("a", job.Job{}, `{"prompt_id":1,"prompt":"[[simulate:401]]"}`), settled)
	if failed.Status != job.Failed || !strings.HasPrefix(failed.FailureReason, told) || strings.Contains(failed.FailureReason, file) {
		t.Errorf("%s: %s", failed.Status, failed.FailureReason)
	}
	idle, err := b.d.Lanes(context.Background())
	if err != nil || len(idle) != 1 || idle[0].Hold != "" || idle[0].Jobs == 0 && idle[0].Pace.BoundBy != "" {
		t.Errorf("lanes %+v, %v", idle, err)
	}
	if !strings.Contains(log.String(), "credential="+file) {
		t.Errorf("the log says\n%s", &log)
	}

	b.submit("a", job.Job{}, prompts(5, "fine")...)
	b.wait(b.submit("a", job.Job{}, prompts(5, "fine")...), settled)
	if err := b.sim.SetWeather(simulator.Weather{Class: "401"}); err != nil {
		t.Fatal(err)
	}
	held := b.wait(b.submit("a", job.Job{}, prompts(5, "held")...), held)
	if reason := held.Pace.HoldReason; !strings.HasPrefix(reason, told) || strings.Contains(reason, file) {
		t.Errorf("held for %s", reason)
	}
	lanes, err := b.d.Lanes(context.Background())
	if err != nil || len(lanes) != 1 || !strings.Contains(lanes[0].Pace.HoldReason, "in "+file+"; put a valid one there") {
		t.Errorf("lanes %+v, %v", lanes, err)
	}
}

// The record of a prompt that is refused alone shows no more than the hold did.
func TestLaneTellsOwnersWhatIsPublic(t *testing.T) {
	s := newSim(t, func(line int64, _ time.Duration) provider.Answer {
		if line == 7 {
			return provider.Answer{Class: provider.Fatal, Message: "look into SECRET", HTTPStatus: 403}
		}
		return done()
	})
	s.lane.cfg.Public = func(sentence string) string { return strings.ReplaceAll(sentence, "SECRET", "the file") }
	r := s.job("a", 1, 20, job.Job{})
	s.run(time.Hour)
	s.want(r, "COMPLETED")
	if got := string(s.outcomes[7].Public); !strings.Contains(got, "look into the file") {
		t.Errorf("its record is %s", got)
	}
}
