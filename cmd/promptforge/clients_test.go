package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/promptforge/promptforge/simulator"
)

// The same verb works on the folder itself and through a running server.
func TestPurge(t *testing.T) {
	t.Parallel()
	for _, running := range []bool{false, true} {
		sim := simulate(t, simulator.Config{})
		dir := t.TempDir()
		s := startServe(t, sim.env(), dir)
		alice, bob := client(t, s, dir, "alice"), client(t, s, dir, "bob")
		file := promptsFile(t, 20)
		for _, c := range []env{alice, alice, bob} {
			exec(t, c, submitArgs(file, "--wait")...).want(t, 0)
		}
		list := exec(t, nil, "clients", "list", "--data-dir", dir)
		list.want(t, 0)
		if got := strings.Fields(list.stdout); len(got) != 12 || strings.Join(got[4:7], " ") != "alice 1 2" || strings.Join(got[8:11], " ") != "bob 1 1" {
			t.Errorf("the list is\n%s", list.stdout)
		}
		exec(t, nil, "clients", "purge", "alice", "--data-dir", dir).wantSentence(t, 1, "--yes")
		if !running {
			s.stop()
		}
		exec(t, nil, "clients", "purge", "carol", "--yes", "--data-dir", dir).wantSentence(t, 1, "no client of this name")
		got := exec(t, nil, "clients", "purge", "alice", "--yes", "--data-dir", dir)
		got.want(t, 0, "keys revoked: 1", "jobs deleted: 2", "Nothing of it is left")
		exec(t, nil, "clients", "purge", "alice", "--yes", "--data-dir", dir).wantSentence(t, 1, "no client of this name")
		if list := exec(t, nil, "keys", "list", "--data-dir", dir); strings.Contains(list.stdout, "alice") || !strings.Contains(list.stdout, "bob") {
			t.Errorf("the keys are\n%s", list.stdout)
		}
		if running {
			exec(t, alice, "jobs", "list").wantSentence(t, 1, "not valid")
		} else {
			s = startServe(t, sim.env(), dir)
			bob["PROMPTFORGE_URL"] = s.url
		}
		if got := exec(t, bob, "jobs", "list", "--json"); strings.Count(got.stdout, "COMPLETED") != 1 {
			t.Errorf("bob has %s", got.stdout)
		}
		if n := len(keptFiles(t, dir)); n != 2 {
			t.Errorf("%d files are kept, of bob there are 2", n)
		}
	}
}

// keptFiles lists what lies in the files folder.
func keptFiles(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, filesName), func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// A client whose jobs run and wait is purged without another prompt leaving.
func TestPurgeOfARunningJob(t *testing.T) {
	t.Parallel()
	sim := simulate(t, simulator.Config{})
	dir := t.TempDir()
	s := startServe(t, sim.env(), dir)
	alice := client(t, s, dir, "alice")
	arrived, release := make(chan struct{}), make(chan struct{})
	sim.after(1, func() { close(arrived); <-release })
	for range 3 {
		exec(t, alice, submitArgs(promptsFile(t, 1000), "--rpm", "60")...).want(t, 0)
	}
	<-arrived
	purged := make(chan outcome, 1)
	go func() { purged <- exec(t, nil, "clients", "purge", "alice", "--yes", "--data-dir", dir) }()
	// The running job goes last: once it is hidden nothing can begin any more.
	for exec(t, nil, "clients", "list", "--data-dir", dir).stdout != purgedList {
		select {
		case o := <-purged:
			t.Fatalf("it came back before what is in flight had ended: %+v", o)
		default:
		}
	}
	close(release)
	o := <-purged
	o.want(t, 0, "jobs deleted: 3", "Nothing of it is left")
	if names := keptFiles(t, dir); len(names) != 0 {
		t.Errorf("it left %v", names)
	}
	if n := sim.Stats().Requests; n > 10 {
		t.Errorf("%d requests", n)
	}
}

const purgedList = "CLIENT  KEYS  JOBS  BYTES\nalice   0     0     0\n"

func TestCompact(t *testing.T) {
	t.Parallel()
	sim := simulate(t, simulator.Config{})
	dir := t.TempDir()
	exec(t, nil, "compact", "--data-dir", filepath.Join(dir, "none")).wantSentence(t, 1, "no data folder")
	s := startServe(t, sim.env(), dir)
	alice := client(t, s, dir, "alice")
	got := exec(t, alice, submitArgs(promptsFile(t, 200), "--wait")...)
	got.want(t, 0)
	kept := lastLine(got.stdout)
	got = exec(t, alice, submitArgs(promptsFile(t, 200), "--wait")...)
	got.want(t, 0)
	exec(t, alice, "jobs", "delete", lastLine(got.stdout)).want(t, 0)
	exec(t, nil, "compact", "--data-dir", dir).wantSentence(t, 1, "has the data folder open", "stop that process")
	s.stop()
	stray := filepath.Join(dir, filesName, "parts", fakeID, "x-1-y")
	write(t, filepath.Join(dir, filesName, ".tmp", "new-1"), "left")
	if err := os.Mkdir(filepath.Dir(stray), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, stray, "left")
	got = exec(t, nil, "compact", "--data-dir", dir)
	got.want(t, 0, "removed: 1")
	if !strings.Contains(got.stdout, "before") || !strings.Contains(got.stdout, "after") {
		t.Errorf("it says %q", got.stdout)
	}
	if names := keptFiles(t, dir); len(names) != 2 {
		t.Errorf("the files are %v", names)
	}
	if info, err := os.Stat(filepath.Join(dir, storeName)); err != nil || info.Size() > 1<<20 {
		t.Errorf("the store is %v, %v", info, err)
	}
	again := startServe(t, sim.env(), dir)
	alice["PROMPTFORGE_URL"] = again.url
	out := t.TempDir()
	exec(t, alice, "jobs", "results", kept, "--out", out).want(t, 0)
	if n := len(answers(t, out)); n != 200 {
		t.Errorf("of the job that was left %d answers came", n)
	}
}
