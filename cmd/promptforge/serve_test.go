package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/promptforge/promptforge/simulator"
)

// startServe runs a server on free ports.
func startServe(t *testing.T, e env, dir string, args ...string) *service {
	t.Helper()
	return start(t, e, append([]string{"serve", "--data-dir", dir, "--http-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0"}, args...)...)
}

// client makes a key and returns the environment of its owner.
func client(t *testing.T, s *service, dir, name string) env {
	t.Helper()
	got := exec(t, nil, "keys", "create", name, "--data-dir", dir)
	got.want(t, 0)
	return env{"PROMPTFORGE_URL": s.url, "PROMPTFORGE_API_KEY": lastLine(got.stdout)}
}

func lastLine(s string) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return all[len(all)-1]
}

// What is printed can be opened in a browser, whatever is listened on.
func TestServeTellsAnAddressThatCanBeOpened(t *testing.T) {
	t.Parallel()
	s := start(t, nil, "serve", "--data-dir", t.TempDir(), "--http-addr", "0.0.0.0:0", "--grpc-addr", "0.0.0.0:0")
	if !strings.HasPrefix(s.url, "http://localhost:") || strings.Contains(s.stderr.String(), "REST on http://0.0.0.0") {
		t.Errorf("it says %s\n%s", s.url, s.stderr)
	}
	resp, err := http.Get(s.url + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	sim := start(t, nil, "simulate", "--addr", "0.0.0.0:0")
	if !strings.HasPrefix(sim.url, "http://localhost:") {
		t.Errorf("the simulator says %s", sim.url)
	}
}

func TestServeStartsAndStops(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "deep", "data")
	s := startServe(t, env{"OPENAI_API_KEY": "any"}, dir)
	if got := s.stderr.String(); !strings.Contains(got, s.url) || !strings.Contains(got, dir) || !strings.Contains(got, "promptforge keys create CLIENT --data-dir") {
		t.Errorf("it said: %s", got)
	}
	resp, err := http.Get(s.url + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("healthz is %s", resp.Status)
	}
	client(t, s, dir, "alice")
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, s.stderr)
	}
	if _, err := http.Get(s.url + "/healthz"); err == nil {
		t.Error("it still answers")
	}
	again := startServe(t, nil, dir)
	if got := again.stderr.String(); strings.Contains(got, "keys create") {
		t.Errorf("there is a key, and it said: %s", got)
	}
	if code := again.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestServeRefusesABusyPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	busy := l.Addr().String()
	used := t.TempDir()
	exec(t, nil, "keys", "create", "a", "--data-dir", used).want(t, 0)
	for _, flag := range []string{"--http-addr", "--grpc-addr", "--admin-addr"} {
		for _, dir := range []string{used, filepath.Join(t.TempDir(), "data")} {
			args := []string{"serve", "--data-dir", dir, "--http-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0", flag, busy}
			exec(t, nil, args...).wantSentence(t, 1, flag+" "+busy, "address")
			if dir != used && there(dir) {
				t.Errorf("%s: the folder was made", flag)
			}
		}
	}
}

func TestServeRefusesAHeldFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	startServe(t, nil, dir)
	exec(t, nil, "serve", "--data-dir", dir, "--http-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0").wantSentence(t, 1, dir, "open")
}

func TestServeRefusesADamagedStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, storeName), strings.Repeat("no store", 8192))
	exec(t, nil, "serve", "--data-dir", dir).wantSentence(t, 1, filepath.Join(dir, storeName), "damaged")
	write(t, filepath.Join(dir, storeName), "cut")
	exec(t, nil, "serve", "--data-dir", dir).wantSentence(t, 1, filepath.Join(dir, storeName))
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	exec(t, nil, "serve", "--data-dir", file).wantSentence(t, 1, file, "cannot be made")
}

func TestAdminAddrShowsProfiles(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	s := startServe(t, nil, t.TempDir(), "--admin-addr", addr)
	resp, err := http.Get("http://" + addr + "/debug/pprof/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %s", resp.Status)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, s.stderr)
	}
}

// A stop in the middle of a job lets what is in flight finish, and the next
// start goes on: nothing is sent twice.
func TestServeStopsInTheMiddle(t *testing.T) {
	t.Parallel()
	sim := simulate(t, simulator.Config{})
	e := sim.env()
	dir := t.TempDir()
	const prompts = 400
	s := startServe(t, e, dir, "--max-in-flight", "4")
	c := client(t, s, dir, "alice")
	reached := make(chan struct{})
	sim.after(100, func() { close(reached) })
	submitted := exec(t, c, "jobs", "submit", promptsFile(t, prompts), "--provider", "openai", "--model", "m")
	submitted.want(t, 0)
	id := lastLine(submitted.stdout)
	<-reached
	if code := s.stop(); code != 0 {
		t.Fatalf("exit code %d\n%s", code, s.stderr)
	}
	if got := sim.Stats(); got.Answered >= prompts || got.InFlight != 0 {
		t.Errorf("when it stopped: %+v", got)
	}
	s = startServe(t, e, dir)
	c["PROMPTFORGE_URL"] = s.url
	exec(t, c, "jobs", "watch", id).want(t, 0, "COMPLETED", "400 of 400 done")
	out := t.TempDir()
	exec(t, c, "jobs", "results", id, "--out", out).want(t, 0)
	if got := len(answers(t, out)); got != prompts {
		t.Errorf("%d answers", got)
	}
	if got := sim.Stats(); got.AnsweredMoreThanOnce != 0 {
		t.Errorf("%d prompts were answered twice", got.AnsweredMoreThanOnce)
	}
}

func TestDataFolderIsPrivate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	exec(t, nil, "keys", "create", "a", "--data-dir", dir).want(t, 0)
	for _, path := range []string{dir, filepath.Join(dir, storeName)} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s is %v", path, info.Mode())
		}
	}
}

// TestDrainIsTold: while what is in flight finishes, /readyz says that the
// server stops, and it still answers.
func TestDrainIsTold(t *testing.T) {
	t.Parallel()
	sim := simulate(t, simulator.Config{})
	dir := t.TempDir()
	s := startServe(t, sim.env(), dir)
	c := client(t, s, dir, "alice")
	arrived, release := make(chan struct{}), make(chan struct{})
	sim.after(1, func() { close(arrived); <-release })
	submitted := exec(t, c, submitArgs(promptsFile(t, 1))...)
	submitted.want(t, 0)
	<-arrived
	if code := statusOf(t, s.url+"/readyz"); code != http.StatusOK {
		t.Errorf("before the stop /readyz is %d", code)
	}
	s.cancel()
	for statusOf(t, s.url+"/readyz") != http.StatusServiceUnavailable { // the signal is on its way
	}
	exec(t, c, "jobs", "status", lastLine(submitted.stdout)).want(t, 0)
	close(release)
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d\n%s", code, s.stderr)
	}
}

func statusOf(t *testing.T, url string) int {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}
