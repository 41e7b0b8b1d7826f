package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/promptforge/promptforge/simulator"
)

// picky is a provider that takes a credential only so long.
type picky struct {
	url     string
	refused atomic.Bool // the credential "old"
	takes   atomic.Int64
}

func newPicky(t *testing.T, takes int64) *picky {
	t.Helper()
	sim, err := simulator.New(simulator.Config{})
	if err != nil {
		t.Fatal(err)
	}
	p := &picky{}
	p.takes.Store(takes)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer old" && (p.refused.Load() || p.takes.Add(-1) < 0) {
			p.refused.Store(true)
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":{"message":"Incorrect API key provided.","code":"invalid_api_key"}}`)
			return
		}
		sim.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	p.url = s.URL + "/v1"
	return p
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s does not come about", what)
		}
	}
}

// hangup sends this process a SIGHUP, which every server in it hears.
func hangup(t *testing.T) {
	t.Helper()
	p, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

// A job is held, since its credential was revoked; the configuration names
// another, and SIGHUP lets it go on at once.
func TestReloadOfACredential(t *testing.T) {
	t.Parallel()
	provider := newPicky(t, 10)
	dir := t.TempDir()
	config, key := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "key")
	write(t, key, "old\n")
	write(t, config, fmt.Sprintf("providers: {picky: {base_url: %s, api_keys: [{file: %s}]}}\n", provider.url, key))
	s := startServe(t, nil, filepath.Join(dir, "data"), "--config", config)
	c := client(t, s, filepath.Join(dir, "data"), "alice")
	submitted := exec(t, c, "jobs", "submit", promptsFile(t, 50), "--provider", "picky", "--model", "m")
	submitted.want(t, 0)
	id := lastLine(submitted.stdout)

	flags := []string{"--data-dir", filepath.Join(dir, "data")}
	var lane struct {
		Lane, Hold  string
		HoldReason  string    `json:"hold_reason"`
		HeldSince   time.Time `json:"held_since"`
		NextProbe   time.Time `json:"next_probe"`
		Credentials []struct{ Name string }
	}
	eventually(t, "a hold", func() bool {
		got := exec(t, nil, append([]string{"lanes", "list", "--json"}, flags...)...)
		got.want(t, 0)
		return got.stdout != "" && json.Unmarshal([]byte(got.stdout), &lane) == nil && lane.Hold != ""
	})
	if lane.Lane != "picky/default/m" || lane.Hold != "refused" || lane.HeldSince.IsZero() || len(lane.Credentials) != 1 || lane.Credentials[0].Name != key {
		t.Errorf("the lane is %+v", lane)
	}
	listed := exec(t, nil, append([]string{"lanes", "list"}, flags...)...)
	if !strings.Contains(listed.stdout, "picky/default/m: picky refused the credential in "+key) {
		t.Errorf("lanes list says\n%s", listed.stdout)
	}
	resumed := exec(t, nil, append([]string{"lanes", "resume", "picky/default/m"}, flags...)...)
	resumed.want(t, 0)
	if !strings.Contains(resumed.stdout, "is probed now; it was held (refused) since") {
		t.Errorf("lanes resume says\n%s", resumed.stdout)
	}
	eventually(t, "the hold in the job", func() bool {
		got := exec(t, c, "jobs", "status", id)
		return strings.Contains(got.stdout, "held since") && strings.Contains(got.stdout, "picky refused the credential in its credential file; put a valid one there.")
	})

	write(t, key, "new\n")
	hangup(t)
	watched := exec(t, c, "jobs", "watch", id)
	watched.want(t, 0, "COMPLETED", "50 of 50 done")
	for _, what := range []string{"the configuration was reread", "a lane goes on with other credentials"} {
		if !strings.Contains(s.stderr.String(), what) {
			t.Errorf("the log lacks %q:\n%s", what, s.stderr)
		}
	}
	exec(t, nil, append([]string{"lanes", "resume"}, flags...)...).want(t, 0, "No lane is held.")
	exec(t, nil, append([]string{"lanes", "resume", "picky/default/other"}, flags...)...).wantSentence(t, 1, "No lane of this name")
}

// A wrong file changes nothing and is told; what takes effect only at the next
// start is told by name; quotas and what is offered are taken up.
func TestReloadWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	sim := simulate(t, simulator.Config{})
	dir := t.TempDir()
	config, data := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "data")
	write(t, config, "providers: {local: {base_url: "+sim.url+"}}\nmax_in_flight: 100\n")
	s := startServe(t, nil, data, "--config", config, "--retention", "10h")
	c := client(t, s, data, "alice")
	said := func(text string) {
		t.Helper()
		eventually(t, text, func() bool { return strings.Contains(s.stderr.String(), text) })
	}
	offered := func(provider string, want bool) {
		t.Helper()
		got := exec(t, c, "jobs", "submit", promptsFile(t, 1), "--provider", provider, "--model", "m")
		if (got.code == 0) != want {
			t.Errorf("%s is offered: %v, want %v\n%s", provider, got.code == 0, want, got.stderr)
		}
	}
	offered("local", true)
	for text, sentence := range map[string]string{
		"providers: {other: {base_url: " + sim.url + "}}\nclients: {alice: {quota: {open_jobs: -1}}}\n": "alice.quota.open_jobs",
		"providers: {other: {base_url: nonsense}}\n":                                                    "providers.other.base_url",
		"providers: {other: {base_url: " + sim.url + "}}\nnonsense: 1\n":                                "nonsense (line 2) is no setting",
		"providers: [\n": "is not valid YAML",
	} {
		write(t, config, text)
		hangup(t)
		said("the configuration could not be reread, and stays as it was")
		said(sentence)
		offered("other", false)
		offered("local", true)
	}

	write(t, config, "providers: {other: {base_url: "+sim.url+"}}\nmax_in_flight: 200\nhttp_addr: 127.0.0.1:1\nretention: 20h\nlog_level: debug\nclients: {alice: {quota: {requests_per_second: 0.001}}}\n")
	hangup(t)
	said("the configuration was reread")
	said(`some settings take effect at the next start only" settings=max_in_flight`)
	got := exec(t, c, "jobs", "list")
	for range 3 { // there is a burst of a few
		got = exec(t, c, "jobs", "list")
	}
	got.want(t, 1, "requests a second")
	write(t, config, "providers: {other: {base_url: "+sim.url+"}}\n")
	hangup(t)
	eventually(t, "the quota's end", func() bool { return exec(t, c, "jobs", "list").code == 0 })
	offered("other", true)
	offered("local", false)
}

// The settings that a reread looks at are those that there are.
func TestReloadKnowsTheSettings(t *testing.T) {
	t.Parallel()
	var grammar cli
	parser, err := kong.New(&grammar)
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, command := range parser.Model.Children {
		if command.Name != "serve" {
			continue
		}
		for _, flag := range command.Flags {
			if flag.Tag.Has(settingTag) {
				want = append(want, fileKey(flag.Name))
			}
		}
	}
	values := settingsOf(reflect.ValueOf(&grammar.Serve).Elem())
	for _, name := range want {
		if _, ok := values[name]; !ok {
			t.Errorf("a change of %s would not be seen", name)
		}
	}
	if len(values) != len(want) {
		t.Errorf("%d settings are looked at, there are %d", len(values), len(want))
	}
	for _, name := range takenUp {
		if !slices.Contains(want, name) {
			t.Errorf("%s is taken up and is no setting", name)
		}
	}
}

func TestLanesWithoutAServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, verb := range []string{"list", "resume"} {
		exec(t, nil, "lanes", verb, "--data-dir", dir).wantSentence(t, 1, "no server runs on "+dir)
	}
	startServe(t, nil, dir)
	exec(t, nil, "lanes", "list", "--data-dir", dir).want(t, 0, "No lane is at work.")
	exec(t, nil, "lanes", "resume", "--data-dir", dir).want(t, 0, "No lane is held.")
}

// A file that has lost its credential leaves the configuration as it was: the
// old credential stays in use, and the log names the file and the cause. A
// server that starts without it holds the jobs that need it until the next
// SIGHUP.
func TestReloadWithoutACredential(t *testing.T) {
	t.Parallel()
	sim := simulate(t, simulator.Config{})
	dir := t.TempDir()
	config, key, data := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "key"), filepath.Join(dir, "data")
	write(t, key, "a credential\n")
	write(t, config, fmt.Sprintf("providers: {sim: {base_url: %s, api_keys: [{file: %s}]}}\n", sim.url, key))
	s := startServe(t, nil, data, "--config", config)
	c := client(t, s, data, "alice")
	for cause, lose := range map[string]func(){
		"is not there": func() {
			if err := os.Remove(key); err != nil {
				t.Fatal(err)
			}
		},
		"is empty": func() { write(t, key, "\n") },
	} {
		lose()
		hangup(t)
		sentence := "error=\"" + config + ": providers.sim.api_keys[0].file: " + key + " " + cause + "\""
		eventually(t, sentence, func() bool {
			return strings.Contains(s.stderr.String(), "the configuration could not be reread, and stays as it was\" "+sentence)
		})
		exec(t, c, "jobs", "submit", promptsFile(t, 20), "--provider", "sim", "--model", "m", "--wait").want(t, 0)
		write(t, key, "a credential\n")
	}

	submitted := exec(t, c, "jobs", "submit", promptsFile(t, 100), "--provider", "sim", "--model", "m", "--rpm", "1200")
	submitted.want(t, 0)
	id := lastLine(submitted.stdout)
	eventually(t, "an answer", func() bool { return sim.Stats().Answered > 40+5 })
	if code := s.stop(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	s = startServe(t, nil, data, "--config", config)
	c["PROMPTFORGE_URL"] = s.url
	// The operator reads which file it is, the job's owner does not.
	eventually(t, "a hold that names the credential", func() bool {
		got := exec(t, c, "jobs", "status", id)
		if strings.Contains(got.stdout, key) {
			t.Fatalf("jobs status shows the path:\n%s", got.stdout)
		}
		return strings.Contains(got.stdout, "PROCESSING") && strings.Contains(got.stdout, "There is no credential for sim: its credential file is not there.")
	})
	if listed := exec(t, nil, "lanes", "list", "--data-dir", data); !strings.Contains(listed.stdout, "the file "+key+" is not there") {
		t.Errorf("lanes list says\n%s", listed.stdout)
	}
	if !strings.Contains(s.stderr.String(), "a file holds no credential; put it there and send SIGHUP") {
		t.Errorf("the log says\n%s", s.stderr)
	}
	refused := exec(t, c, "jobs", "submit", promptsFile(t, 1), "--provider", "sim", "--model", "m")
	refused.want(t, 1, "its credential file, which is not there")
	if strings.Contains(refused.stderr, key) {
		t.Errorf("jobs submit shows the path: %s", refused.stderr)
	}
	write(t, key, "a credential\n")
	hangup(t)
	exec(t, c, "jobs", "watch", id).want(t, 0, "COMPLETED", "100 of 100 done")
}
