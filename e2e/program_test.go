package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

var binary string

// TestMain builds the binary as it is shipped: without the race detector,
// since a detector that is killed proves nothing.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "promptforge-e2e")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "promptforge")
	build := exec.Command("go", "build", "-tags", buildTags, "-o", binary, "../cmd/promptforge")
	build.Stderr = os.Stderr
	code := 1
	if err := build.Run(); err == nil {
		code = m.Run()
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// program is a running promptforge.
type program struct {
	t    *testing.T
	cmd  *exec.Cmd
	log  *bytes.Buffer
	url  string
	grpc string
	done chan struct{}
}

// start runs the binary and waits for the line that says where it listens.
func start(t *testing.T, env []string, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(binary, args...), log: &bytes.Buffer{}, done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.cmd.Wait()
		t.Fatalf("%s did not start: %s", args[0], p.log)
	}
	for _, field := range strings.Fields(line) {
		if v, ok := strings.CutPrefix(field, "url="); ok {
			p.url = v
		}
		if v, ok := strings.CutPrefix(field, "grpc="); ok {
			p.grpc = v
		}
	}
	go func() {
		p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() { p.signal(syscall.SIGKILL) })
	return p
}

// signal sends a signal and waits until the program has ended; it returns the
// exit code, -1 for one that was killed.
func (p *program) signal(s syscall.Signal) int {
	p.cmd.Process.Signal(s)
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

// command runs the binary to its end and returns its exit code and output.
func command(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// deployment is a server and its provider.
type deployment struct {
	t       *testing.T
	dir     string
	sim     *program
	server  *program
	flags   []string
	key     string
	environ []string
}

func deploy(t *testing.T, sim []string, serve ...string) *deployment {
	t.Helper()
	d := &deployment{t: t, dir: t.TempDir(), flags: serve}
	d.sim = start(t, nil, append([]string{"simulate", "--addr", "127.0.0.1:0"}, sim...)...)
	d.environ = []string{"OPENAI_API_KEY=any", "OPENAI_BASE_URL=" + d.sim.url + "/v1"}
	d.up()
	d.key = d.newKey("tester")
	return d
}

func (d *deployment) data() string { return filepath.Join(d.dir, "data") }

// up starts the server on the deployment's data folder.
func (d *deployment) up() {
	d.t.Helper()
	args := append([]string{"serve", "--data-dir", d.data(), "--http-addr", "127.0.0.1:0", "--grpc-addr", "127.0.0.1:0", "--log-level", "warn"}, d.flags...)
	d.server = start(d.t, d.environ, args...)
}

func (d *deployment) newKey(client string) string {
	d.t.Helper()
	code, out, errs := command(d.t, nil, "keys", "create", client, "--data-dir", d.data())
	if code != 0 {
		d.t.Fatalf("keys create: %s", errs)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return lines[len(lines)-1]
}

// until asks again until ok, or fails after a minute.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("%s did not happen within a minute", what)
		case <-tick.C:
		}
	}
}

func (d *deployment) request(method, path, key string, body string) *http.Request {
	d.t.Helper()
	req, err := http.NewRequest(method, d.server.url+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("X-API-Key", key)
	return req
}

func promptLines(n int, text string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"prompt_id\":%d,\"prompt\":\"%s %d\"}\n", i+1, text, i+1)
	}
	return b.String()
}
