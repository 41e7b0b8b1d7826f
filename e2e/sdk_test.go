//go:build outside

package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPythonSDK installs the built wheel into a new virtual environment, checks
// the types of the README's examples, and runs every step of a job by it.
func TestPythonSDK(t *testing.T) {
	python := os.Getenv("PYTHON")
	if python == "" {
		t.Fatal("PYTHON names no interpreter; run it through make check")
	}
	wheel := built(t, "promptforge_client-*.whl")
	venv := filepath.Join(t.TempDir(), "venv")
	run(t, "", python, "-m", "venv", venv)
	own := filepath.Join(venv, "bin", "python")
	run(t, "", own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel)

	for i, example := range examples(t, "../sdk/python/README.md", "python") {
		file := filepath.Join(t.TempDir(), fmt.Sprintf("example%d.py", i))
		if err := os.WriteFile(file, []byte(example), 0o600); err != nil {
			t.Fatal(err)
		}
		run(t, "", python, "-m", "mypy", "--strict", "--python-executable", own, file)
	}

	d := deploy(t, []string{"--latency", "20ms"})
	file := filepath.Join(t.TempDir(), "example.py")
	example := strings.Replace(examples(t, "../sdk/python/README.md", "python")[0], "127.0.0.1:9090", d.server.grpc, 1)
	if err := os.WriteFile(file, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := run(t, "PROMPTFORGE_API_KEY="+d.key, own, file); strings.Count(out, "q") < 100 {
		t.Errorf("the README's first example: %s", out)
	}
	run(t, "", own, "testdata/python/parts.py")
	resumes(t, d, exec.Command(own, "testdata/python/steps.py"))
}

// built is the one file of bin/sdk that matches.
func built(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join("../bin/sdk", pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("bin/sdk has %d files %s; make sdk builds one", len(found), pattern)
	}
	path, err := filepath.Abs(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs a program to its end, which must be good, and returns its output.
func run(t *testing.T, env, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// examples are the blocks of code of a language in a Markdown file.
func examples(t *testing.T, path, language string) (blocks []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllSubmatch(text, -1) {
		blocks = append(blocks, string(match[1]))
	}
	if blocks == nil {
		t.Fatalf("%s has no example in %s", path, language)
	}
	return blocks
}

// resumes runs a client's program, which says each hundredth offset, and cuts
// its connections three times in each of its streams. The program checks what
// it receives.
func resumes(t *testing.T, d *deployment, cmd *exec.Cmd) {
	t.Helper()
	through := newCutter(t, d.server.grpc)
	cmd.Env = append(os.Environ(), "TARGET="+through.listener.Addr().String(), "PROMPTFORGE_API_KEY="+d.key)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var streams, cuts int
	var last string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		last = lines.Text()
		switch last {
		case "offset 300", "offset 1100", "offset 2000":
			cuts += through.cut()
		case "offset 3000":
			streams++
		}
	}
	if err := cmd.Wait(); err != nil || last != "done" {
		t.Fatalf("%v after %q: %s", err, last, &errs)
	}
	if streams == 0 || cuts < 3*streams {
		t.Errorf("%d connections were cut in %d streams", cuts, streams)
	}
	t.Logf("%d connections cut in %d streams", cuts, streams)
}

// TestTypeScriptSDK installs the built tarball into a new Node project, compiles
// the README's example and every step of a job against it, and runs them.
func TestTypeScriptSDK(t *testing.T) {
	tarball := built(t, "promptforge-client-*.tgz")
	tsc, err := filepath.Abs("../sdk/typescript/node_modules/.bin/tsc")
	if err != nil {
		t.Fatal(err)
	}
	types, err := filepath.Abs("../sdk/typescript/node_modules/@types")
	if err != nil {
		t.Fatal(err)
	}
	project := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(project, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("package.json", `{"type": "module", "private": true}`)
	run(t, "", "npm", "--prefix", project, "install", "--silent", "--no-audit", "--no-fund", tarball)

	d := deploy(t, []string{"--latency", "20ms"})
	steps, err := os.ReadFile("testdata/typescript/steps.ts")
	if err != nil {
		t.Fatal(err)
	}
	write("steps.ts", string(steps))
	write("example.ts", strings.Replace(examples(t, "../sdk/typescript/README.md", "ts")[0], "127.0.0.1:9090", d.server.grpc, 1))
	write("tsconfig.json", fmt.Sprintf(`{"compilerOptions": {"target": "es2022", "module": "nodenext", "strict": true,
		"types": ["node"], "typeRoots": [%q]}, "files": ["steps.ts", "example.ts"]}`, types))
	run(t, "", tsc, "-p", project)

	if out := run(t, "PROMPTFORGE_API_KEY="+d.key, "node", filepath.Join(project, "example.js")); strings.Count(out, "\nq") != 100 {
		t.Errorf("the README's example: %s", out)
	}
	resumes(t, d, exec.Command("node", filepath.Join(project, "steps.js")))
}

// TestRESTClient has a client generated from openapi.yaml, and a job done by
// it.
func TestRESTClient(t *testing.T) {
	python := os.Getenv("PYTHON")
	if python == "" {
		t.Fatal("PYTHON names no interpreter; run it through make check")
	}
	d := deploy(t, []string{"--latency", "1ms"})
	work := t.TempDir()
	document := filepath.Join(work, "openapi.yaml")
	run(t, "", "curl", "-sSf", "-o", document, d.server.url+"/openapi.yaml")
	generated := filepath.Join(work, "generated")
	run(t, "", python, "-m", "openapi_python_client", "generate", "--meta", "none", "--path", document, "--output-path", generated)
	run(t, "", python, "-m", "compileall", "-q", generated)
	cmd := exec.Command(python, "testdata/python/rest.py")
	cmd.Env = append(os.Environ(), "PYTHONPATH="+work, "URL="+d.server.url, "PROMPTFORGE_API_KEY="+d.key)
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "done\n" {
		t.Errorf("%v: %s", err, out)
	}
}
