package e2e

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

const (
	killWidth = 64 // requests at once
	// openCommit is how many answers may wait for their commit at a kill: what
	// killWidth workers get in 10 ms and a slow sync, at 50 ms an answer.
	openCommit = killWidth
)

// TestKilledServerGoesOn kills serve in the middle, again and again. Every
// prompt ends with one record, and what is sent again is at most what was in
// flight or in the open commit.
func TestKilledServerGoesOn(t *testing.T) {
	const prompts, kills = 5000, 4
	d := deploy(t, []string{"--latency", "50ms", "--headers=false"}, "--max-in-flight", "64")
	id := d.submit(d.key, "", promptLines(prompts, "kill"))
	for n := range kills {
		goal := int64(prompts * (n + 1) / (kills + 1))
		until(t, "progress", func() bool { return d.job(d.key, id).CompletedCount >= goal })
		if code := d.server.signal(syscall.SIGKILL); code != -1 {
			t.Fatalf("the server ended by itself with %d: %s", code, d.server.log)
		}
		d.up()
	}
	j := d.settled(d.key, id)
	if j.Status != "COMPLETED" || j.CompletedCount != prompts || j.FailedCount != 0 {
		t.Fatalf("%+v", j)
	}
	d.answered(d.key, id, prompts, "kill")
	s := d.stats()
	surplus := s.Requests - prompts
	if surplus > kills*(killWidth+openCommit) {
		t.Errorf("%d requests beyond one a prompt after %d kills with %d in flight", surplus, kills, killWidth)
	}
	if j.PossiblyRepaid < surplus {
		t.Errorf("the job says that %d prompts were possibly paid for twice; the provider saw %d requests too many", j.PossiblyRepaid, surplus)
	}
	t.Logf("%d kills at up to %d in flight: %d requests for %d prompts, %d answered twice, possibly_repaid %d", kills, killWidth, s.Requests, prompts, s.AnsweredMoreThan1, j.PossiblyRepaid)
}

// TestStoppedServerRepeatsNothing ends serve by SIGTERM in the middle.
func TestStoppedServerRepeatsNothing(t *testing.T) {
	const prompts, stops = 3000, 3
	d := deploy(t, []string{"--latency", "50ms", "--headers=false"}, "--max-in-flight", "64")
	id := d.submit(d.key, "", promptLines(prompts, "stop"))
	for n := range stops {
		goal := int64(prompts * (n + 1) / (stops + 1))
		until(t, "progress", func() bool { return d.job(d.key, id).CompletedCount >= goal })
		if code := d.server.signal(syscall.SIGTERM); code != 0 {
			t.Fatalf("it ended with %d: %s", code, d.server.log)
		}
		d.up()
	}
	j := d.settled(d.key, id)
	d.answered(d.key, id, prompts, "stop")
	if s := d.stats(); s.Requests != prompts || j.RequestsSent != prompts || j.PossiblyRepaid != 0 {
		t.Errorf("%d requests for %d prompts; the job counts %d, and %d possibly repaid", s.Requests, prompts, j.RequestsSent, j.PossiblyRepaid)
	}
}

// TestKilledRunGoesOn does the same to the command without a server.
func TestKilledRunGoesOn(t *testing.T) {
	const prompts, kills = 5000, 3
	sim := start(t, nil, "simulate", "--addr", "127.0.0.1:0", "--latency", "50ms", "--headers=false")
	d := &deployment{t: t, sim: sim}
	dir := t.TempDir()
	file, out := filepath.Join(dir, "prompts.jsonl"), filepath.Join(dir, "out")
	if err := os.WriteFile(file, []byte(promptLines(prompts, "run")), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"OPENAI_API_KEY=any", "OPENAI_BASE_URL=" + sim.url + "/v1"}
	args := []string{"run", file, "--provider", "openai", "--model", "gpt-4o-mini", "--out", out, "--max-in-flight", "64"}
	for n := range kills {
		goal := int64(prompts * (n + 1) / (kills + 1))
		p := begin(t, env, args...)
		until(t, "progress", func() bool { return d.stats().Answered >= goal })
		if code := p.signal(syscall.SIGKILL); code != -1 {
			t.Fatalf("run ended by itself with %d: %s", code, p.log)
		}
	}
	if code, _, errs := command(t, env, args...); code != 0 {
		t.Fatalf("run ended with %d: %s", code, errs)
	}
	checkAnswers(t, readAnswers(t, out), prompts, "run")
	s := d.stats()
	if surplus := s.Requests - prompts; surplus > kills*(killWidth+openCommit) {
		t.Errorf("%d requests beyond one a prompt after %d kills with %d in flight", surplus, kills, killWidth)
	}
	t.Logf("%d kills at up to %d in flight: %d requests for %d prompts, %d answered twice", kills, killWidth, s.Requests, prompts, s.AnsweredMoreThan1)

	code, _, errs := command(t, env, args...)
	if code != 0 || d.stats().Requests != s.Requests {
		t.Errorf("run again after its end: exit %d, %d more requests: %s", code, d.stats().Requests-s.Requests, errs)
	}
}
