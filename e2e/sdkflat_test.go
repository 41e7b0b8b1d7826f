//go:build outside

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPythonSDKStaysFlat gives many prompts to the Python package's run() and
// the same ones to `promptforge run`: the package's memory does not grow with
// them. PROMPTFORGE_LONG=1 is the long form, of 100,000.
func TestPythonSDKStaysFlat(t *testing.T) {
	count := 20_000
	if longForm() {
		count = 100_000
	}
	python := os.Getenv("PYTHON")
	if python == "" {
		t.Fatal("PYTHON names no interpreter; run it through make check")
	}
	packages := t.TempDir()
	run(t, "", python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target", packages, built(t, "promptforge_client-*.whl"))

	d := deploy(t, []string{"--latency", "0s", "--headers=false"})
	cmd := exec.Command(python, "testdata/python/flat.py")
	cmd.Env = append(os.Environ(), "PYTHONPATH="+packages, "TARGET="+d.server.grpc, "PROMPTFORGE_API_KEY="+d.key, fmt.Sprint("COUNT=", count))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var resident []int
	var seconds float64
	for line := range strings.Lines(string(out)) {
		var kib int
		if n, _ := fmt.Sscanf(line, "resident %d", &kib); n == 1 {
			resident = append(resident, kib)
		}
		fmt.Sscanf(line, "seconds %g", &seconds)
	}
	if len(resident) != 10 || seconds == 0 {
		t.Fatalf("%s", out)
	}
	if first, last := resident[0], resident[9]; last > first+16<<10 {
		t.Errorf("its memory grew from %d KiB to %d KiB", first, last)
	}

	file := filepath.Join(t.TempDir(), "prompts.jsonl")
	if err := os.WriteFile(file, []byte(promptLines(count, "flat "+strings.Repeat("x", 200))), 0o600); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if code, _, errs := command(t, d.environ, "run", file, "--provider", "openai", "--model", "sim", "--out", t.TempDir()); code != 0 {
		t.Fatal(errs)
	}
	own := time.Since(begun).Seconds()
	t.Logf("%d prompts: %d KiB resident at a tenth, %d KiB at the end; %.0f prompts a second by the package, %.0f by run: %.2f times",
		count, resident[0], resident[9], float64(count)/seconds, float64(count)/own, own/seconds)
}
