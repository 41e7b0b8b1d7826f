//go:build outside

package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestWebhooksVerify has a delivery, before and after a rotation of the secret,
// verified by the libraries of Standard Webhooks in two languages.
func TestWebhooksVerify(t *testing.T) {
	python := os.Getenv("PYTHON")
	if python == "" {
		t.Fatal("PYTHON names no interpreter; run it through make check")
	}
	r := newHookReceiver(t)
	r.setUp()
	d := hooked(t, r)
	secret := func(args ...string) string {
		t.Helper()
		args = append([]string{"clients", "webhook-secret", "tester", "--data-dir", d.data()}, args...)
		code, out, errs := command(t, nil, args...)
		if code != 0 {
			t.Fatal(errs)
		}
		lines := strings.Split(strings.TrimSpace(out), "\n")
		return lines[len(lines)-1]
	}
	delivered := func() hook {
		t.Helper()
		id := d.hookedJob(r.URL + "/hook")
		var h hook
		until(t, "the delivery", func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			if hooks := r.got["msg_"+id]; len(hooks) > 0 {
				h = hooks[0]
				return true
			}
			return false
		})
		return h
	}
	old := secret()
	first := delivered()
	rotated := secret("--rotate")
	second := delivered()
	if old == rotated || secret() != rotated {
		t.Fatalf("the secrets are %s and %s", old, rotated)
	}
	verify := []*exec.Cmd{
		exec.Command(python, "testdata/python/verify.py"),
		exec.Command("node", "verify.mjs"),
	}
	for _, cmd := range verify {
		if cmd.Args[0] == "node" { // it looks for packages where its program stands
			cmd.Dir = filepath.Join("..", "sdk", "typescript")
			cmd.Args[1] = "../../e2e/testdata/typescript/verify.mjs"
		}
		input, err := json.Marshal([]any{
			map[string]any{"hook": first, "secret": old, "good": true},
			map[string]any{"hook": first, "secret": rotated, "good": false},
			map[string]any{"hook": second, "secret": old, "good": true},
			map[string]any{"hook": second, "secret": rotated, "good": true},
			map[string]any{"hook": hook{second.Headers, second.Body + " "}, "secret": rotated, "good": false},
		})
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdin = strings.NewReader(string(input))
		if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "5 verified" {
			t.Errorf("%v: %v: %s", cmd.Args, err, out)
		}
	}
}
