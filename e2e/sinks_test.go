package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// sink is something that comes out of the server, by its name.
type sink struct{ name, text string }

// overSocket asks the admin socket.
func (a *aviary) overSocket(path string) sink {
	a.t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			return net.Dial("unix", filepath.Join(a.data(), "admin.sock"))
		},
	}}
	res, err := client.Get("http://admin" + path)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return sink{"admin.sock " + path, fmt.Sprint(res.Header) + string(text)}
}

// mistake sends a request that is refused, with canaries in it.
func (a *aviary) mistake(method, path, key, body string) sink {
	a.t.Helper()
	req := a.request(method, path, key, body)
	req.Header.Set("X-Note", inJob)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	if res.StatusCode < 400 {
		a.t.Errorf("%s %s is %s", method, path, res.Status)
	}
	return sink{method + " " + path, fmt.Sprint(res.Header) + string(text)}
}

// children are the environments of the processes that the server has started.
func (a *aviary) children() (environs []sink) {
	a.t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		a.t.Fatalf("no process in /proc: %v", err)
	}
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 2 || fields[1] != fmt.Sprint(a.server.cmd.Process.Pid) {
			continue
		}
		environ, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "environ")) // of one that has ended: none
		environs = append(environs, sink{name, string(environ)})
	}
	return environs
}

// TestCanariesInNoSink puts credentials, prompts and answers everywhere and
// searches everything that comes out of the server but a job's own results:
// what the operator sees, what another client sees, refusals, the log at debug,
// and the stacks of its end.
func TestCanariesInNoSink(t *testing.T) {
	a := newAviary(t, "1ms")
	ids := a.fly()
	secrets := a.secrets()
	other := a.newKey("other")
	// A job of another client in the lane whose provider quotes what it refused.
	held := a.give("hostile", "wants a key", lines("answer 401"))
	mine := a.key
	a.key = other
	a.give("hostile", "wants a key", `{"prompt_id":1,"prompt":"something else, answer 401"}`+"\n")
	id := a.give("hostile", "is down", `{"prompt_id":1,"prompt":"something else, answer 500"}`+"\n")
	a.settled(other, id)
	a.key = mine
	a.settled(mine, held)

	var sinks []sink
	for _, path := range []string{
		"/debug/pprof/", "/debug/pprof/goroutine?debug=2", "/debug/pprof/goroutine?debug=1", "/debug/pprof/heap?debug=1",
		"/debug/pprof/allocs?debug=1", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/threadcreate?debug=1",
		"/debug/pprof/mutex?debug=1", "/debug/pprof/block?debug=1", "/metrics", "/lanes", "/keys", "/clients", "/" + inJob,
	} {
		sinks = append(sinks, a.overSocket(path))
	}
	for _, args := range [][]string{{"lanes", "list"}, {"lanes", "list", "--json"}, {"lanes", "resume", "a/b/" + inJob}, {"keys", "list"}, {"clients", "list"}} {
		_, out, errs := command(t, nil, append(args, "--data-dir", a.data())...)
		sinks = append(sinks, sink{strings.Join(args, " "), out + errs})
	}
	sinks = append(sinks, a.children()...)
	cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", a.server.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	sinks = append(sinks, sink{"the command line", string(cmdline)})
	for _, r := range []struct{ method, path, body string }{
		{"POST", "/v1/jobs/init", `{"provider":"openai","model":7,"metadata":{"about":"` + inJob + `"}}`},
		{"POST", "/v1/jobs/init", `{"provider":"openai","model":"m","metadata":{"about":"` + inJob + `"`},
		{"POST", "/v1/jobs/init", `{"provider":"openai","model":"m","max_retries":99,"metadata":{"about":"` + inJob + `"}}`},
		{"GET", "/v1/jobs/" + ids[0] + "/results", ""},
		{"GET", "/v1/jobs/" + ids[0], ""},
		{"GET", "/v1/jobs/" + ids[1] + "/status", ""},
		{"POST", "/v1/jobs/" + ids[0] + "/cancel", ""},
		{"DELETE", "/v1/jobs/" + ids[0], ""},
		{"GET", "/v1/nowhere", inPrompt},
		{"PUT", "/v1/uploads/x", inPrompt},
	} {
		sinks = append(sinks, a.mistake(r.method, r.path, other, r.body), a.mistake(r.method, r.path, other+"x", r.body))
	}
	list := a.request("GET", "/v1/jobs?page_size=100", other, "")
	res, err := http.DefaultClient.Do(list)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || !strings.Contains(string(text), id) {
		t.Fatalf("the other client's jobs: %s %v", text, err)
	}
	sinks = append(sinks, sink{"another client's jobs", strings.ReplaceAll(string(text), fmt.Sprintf(`"about":%q`, inJob), "")}) // its own

	// SIGQUIT ends a Go program with the stacks of all its goroutines.
	a.give("openai", "gpt-4o-mini", lines("four", "five"))
	a.stop(syscall.SIGQUIT, 2)
	if !strings.Contains(a.logs.String(), "goroutine ") {
		t.Error("there are no stacks in what the server said at its end")
	}
	_, secret, _ := strings.Cut(strings.TrimPrefix(other, "pf_"), "_")
	all := append(append(secrets, secret), canaries...)
	found := 0
	for _, s := range sinks {
		for _, c := range all {
			if strings.Contains(s.name, c) { // the test's own request
				continue
			}
			if before, _, yes := strings.Cut(s.text, c); yes {
				found++
				t.Errorf("%q is in %s: …%.200s", c, s.name, before[max(0, len(before)-200):])
			}
		}
	}
	a.silent(secrets...)
	t.Logf("%d canaries in %d sinks and %d bytes of log: %d hits", len(all), len(sinks), a.logs.Len(), found)
}
