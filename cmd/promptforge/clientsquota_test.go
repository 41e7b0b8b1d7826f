package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/promptforge/promptforge/simulator"
)

// rowsOf reads what clients quota shows: of each quota what was set and what
// holds.
func rowsOf(stdout string) map[string]string {
	rows := map[string]string{}
	for line := range strings.Lines(stdout) {
		for _, name := range []string{"requests a second", "open jobs", "uploads at once", "streams at once", "bytes"} {
			if rest, ok := strings.CutPrefix(line, name+" "); ok {
				rows[name] = strings.Join(strings.Fields(rest), " ")
			}
		}
	}
	return rows
}

func TestClientsQuota(t *testing.T) {
	t.Parallel()
	sim := simulate(t, simulator.Config{})
	dir := t.TempDir()
	config := filepath.Join(t.TempDir(), "c.yaml")
	write(t, config, `
quota_open_jobs: 7
quota_bytes: 1GiB
clients:
  alice:
    quota: {open_jobs: 3, streams: 0, uploads: 4}
`)
	s := startServe(t, sim.env(), dir, "--config", config, "--quota-uploads", "9")
	alice, bob := client(t, s, dir, "alice"), client(t, s, dir, "bob")
	quota := func(who string, want map[string]string, args ...string) {
		t.Helper()
		o := exec(t, nil, append([]string{"clients", "quota", who, "--data-dir", dir}, args...)...)
		o.want(t, 0)
		got := rowsOf(o.stdout)
		for name, row := range want {
			if got[name] != row {
				t.Errorf("%s of %s: %q, want %q", name, who, got[name], row)
			}
		}
		if len(got) != 5 {
			t.Errorf("it shows\n%s", o.stdout)
		}
	}
	quota("bob", map[string]string{"requests a second": "- 5000", "open jobs": "- 7", "uploads at once": "- 9", "streams at once": "- 10000", "bytes": "- 1GiB"})
	quota("alice", map[string]string{"open jobs": "- 3", "uploads at once": "- 4", "streams at once": "- no limit", "bytes": "- 1GiB"})
	// What was set goes before the file, and the server knows at once.
	quota("alice", map[string]string{"open jobs": "1 1", "uploads at once": "- 4"}, "--open-jobs", "1")
	quota("alice", map[string]string{"open jobs": "1 1", "bytes": "2MiB 2MiB"}, "--bytes", "2MiB")
	exec(t, bob, submitArgs(promptsFile(t, 3), "--rpm", "1")...).want(t, 0)
	exec(t, alice, submitArgs(promptsFile(t, 3), "--rpm", "1")...).want(t, 0)
	exec(t, alice, submitArgs(promptsFile(t, 3), "--rpm", "1")...).want(t, 1, "quota of open jobs (1) is used up; try again in 10 s")
	quota("alice", map[string]string{"open jobs": "no limit no limit", "bytes": "2MiB 2MiB"}, "--open-jobs", "0")
	exec(t, alice, submitArgs(promptsFile(t, 3), "--rpm", "1")...).want(t, 0)
	exec(t, nil, "clients", "quota", "carol", "--uploads", "1", "--data-dir", dir).wantSentence(t, 1, "no client of this name")
	exec(t, nil, "clients", "quota", "alice", "--uploads", "-1", "--data-dir", dir).wantSentence(t, 1, "--uploads")
	exec(t, nil, "clients", "quota", "alice", "--requests-per-second", "many", "--data-dir", dir).wantSentence(t, 1, "--requests-per-second", "needs 0, or a number")
	s.stop()
	quota("alice", map[string]string{"open jobs": "no limit no server runs", "bytes": "2MiB no server runs", "uploads at once": "- no server runs"})
	quota("alice", map[string]string{"open jobs": "- no server runs", "streams at once": "5 no server runs", "bytes": "- no server runs"}, "--clear", "--streams", "5")
	startServe(t, sim.env(), dir, "--config", config)
	quota("alice", map[string]string{"open jobs": "- 3", "streams at once": "5 5", "uploads at once": "- 4"})
	quota("alice", map[string]string{"open jobs": "- 3", "streams at once": "- no limit"}, "--clear")
}
