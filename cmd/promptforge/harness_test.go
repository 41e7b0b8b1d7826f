package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/promptforge/promptforge/simulator"
)

// beProgram makes the test binary behave as the program, for tests that kill it.
const beProgram = "PROMPTFORGE_TEST_BE_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(beProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// env is an environment of its own for each run of the program.
type env map[string]string

func (e env) get(name string) string { return e[name] }

// outcome is what the program did.
type outcome struct {
	code           int
	stdout, stderr string
}

// exec runs the program to its end.
func exec(t *testing.T, e env, args ...string) outcome {
	t.Helper()
	return execWith(t.Context(), e, "", args...)
}

func execWith(ctx context.Context, e env, stdin string, args ...string) outcome {
	var stdout, stderr safeBuffer
	code := run(ctx, args, strings.NewReader(stdin), &stdout, &stderr, e.get)
	return outcome{code, stdout.String(), stderr.String()}
}

// want checks the exit code and that stderr says something.
func (o outcome) want(t *testing.T, code int, stderr ...string) {
	t.Helper()
	if o.code != code {
		t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", o.code, code, o.stdout, o.stderr)
	}
	for _, text := range stderr {
		if !strings.Contains(o.stderr, text) {
			t.Errorf("stderr lacks %q:\n%s", text, o.stderr)
		}
	}
}

// wantSentence checks that a mistake is told in one line, without a stack.
func (o outcome) wantSentence(t *testing.T, code int, parts ...string) {
	t.Helper()
	o.want(t, code, parts...)
	if n := strings.Count(o.stderr, "\n"); n != 1 || !strings.HasPrefix(o.stderr, "promptforge: ") {
		t.Errorf("stderr is not one sentence:\n%s", o.stderr)
	}
	if o.stdout != "" {
		t.Errorf("stdout is not empty:\n%s", o.stdout)
	}
}

// wantSentenceOnly checks that nothing failed, and that a person is told so.
func (o outcome) wantSentenceOnly(t *testing.T, stderr string) {
	t.Helper()
	o.want(t, 0, stderr)
	if o.stdout != "" {
		t.Errorf("stdout is not empty:\n%s", o.stdout)
	}
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// service is a command that runs until it is stopped, such as serve.
type service struct {
	url    string
	grpc   string
	stderr *safeBuffer
	cancel context.CancelFunc
	code   chan int
}

// start runs a command and waits until it listens.
func start(t *testing.T, e env, args ...string) *service {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	s := &service{stderr: &safeBuffer{}, cancel: cancel, code: make(chan int, 1)}
	go func() {
		code := run(ctx, args, strings.NewReader(""), in, s.stderr, e.get)
		in.Close()
		s.code <- code
	}()
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("%v did not start: exit code %d\n%s", args, <-s.code, s.stderr)
	}
	for field := range strings.FieldsSeq(lines.Text()) {
		if url, ok := strings.CutPrefix(field, "url="); ok {
			s.url = url
		}
		if addr, ok := strings.CutPrefix(field, "grpc="); ok {
			s.grpc = addr
		}
	}
	if s.url == "" {
		t.Fatalf("%v: no url in %q", args, lines.Text())
	}
	go io.Copy(io.Discard, out)
	t.Cleanup(func() { s.stop() })
	return s
}

// stop is the first signal; it returns the exit code.
func (s *service) stop() int {
	s.cancel()
	code := <-s.code
	s.code <- code // for the next who asks
	return code
}

// standIn is a simulator that tells of its requests.
type standIn struct {
	*simulator.Server
	url string

	mu   sync.Mutex
	seen int
	hook func(n int) // called with the number of each request as it arrives
}

func simulate(t *testing.T, cfg simulator.Config) *standIn {
	t.Helper()
	sim, err := simulator.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p := &standIn{Server: sim}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		p.seen++
		n, hook := p.seen, p.hook
		p.mu.Unlock()
		if hook != nil {
			hook(n)
		}
		sim.ServeHTTP(w, r)
	}))
	p.url = server.URL + "/v1"
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return p
}

// after calls do once, when the n-th request from now on arrives.
func (p *standIn) after(n int, do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.seen + n
	p.hook = func(i int) {
		if i == at {
			do()
		}
	}
}

func (p *standIn) env() env { return env{"OPENAI_BASE_URL": p.url, "OPENAI_API_KEY": "any"} }

// promptOf is the i-th prompt of promptsFile.
func promptOf(i int) string { return fmt.Sprintf("What is %d plus one?", i) }

// promptsFile writes n prompts with the ids 1 to n.
func promptsFile(t *testing.T, n int) string {
	t.Helper()
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "{\"prompt_id\": %d, \"prompt\": %q}\n", i, promptOf(i))
	}
	name := filepath.Join(t.TempDir(), "prompts.jsonl")
	write(t, name, b.String())
	return name
}

// write puts a file in its place whole: another test's SIGHUP, which every
// server in this process hears, may have it read at any moment.
func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// answers reads the results in a folder by prompt id, and checks that each is
// the simulator's answer to that very prompt and that none is there twice.
func answers(t *testing.T, dir string) map[int]string {
	t.Helper()
	found := map[int]string{}
	parts, err := filepath.Glob(filepath.Join(dir, "results_part_*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range parts {
		for _, line := range lines(t, part) {
			var r struct {
				PromptID int    `json:"prompt_id"`
				Result   string `json:"result"`
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatalf("%s: %v: %s", part, err, line)
			}
			if _, twice := found[r.PromptID]; twice {
				t.Errorf("prompt %d has two results", r.PromptID)
			}
			if want := simulator.Answer(promptOf(r.PromptID)); r.Result != want {
				t.Errorf("prompt %d has the answer of another: %q", r.PromptID, r.Result)
			}
			found[r.PromptID] = r.Result
		}
	}
	return found
}

// lines are those of a file, without the breaks.
func lines(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
}

// visible lists a folder's names, without those that begin with a point.
func visible(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name()[0] != '.' {
			names = append(names, e.Name())
		}
	}
	return names
}
