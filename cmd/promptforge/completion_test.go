package main

import (
	"runtime/debug"
	"strings"
	"testing"
)

func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ words, want, not string }{
		{"", "run serve jobs", "__complete"},
		{"ser", "serve", "run"},
		{"jobs ", "submit upload list", "serve"},
		{"jobs list --st", "--status", "--limit"},
		{"jobs list -", "--status --limit --all --output", "--model"},
		{"jobs list --output ", "text json", "--status"},
		{"jobs list -o j", "json", "text"},
		{"jobs list --json --li", "--limit", "--status"},
		{"run --model jobs --prov", "--provider", "--status"},
		{"completion ", "bash zsh fish", "run"},
		{"run ", "", "run"},
	} {
		got := exec(t, nil, append([]string{completeVerb}, strings.Split(row.words, " ")...)...)
		got.want(t, 0)
		found := strings.Fields(got.stdout)
		listed := " " + strings.Join(found, " ") + " "
		for word := range strings.FieldsSeq(row.want) {
			if !strings.Contains(listed, " "+word+" ") {
				t.Errorf("%q: %v lacks %s", row.words, found, word)
			}
		}
		if strings.Contains(listed, " "+row.not+" ") || row.want == "" && len(found) > 0 {
			t.Errorf("%q: %v", row.words, found)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if got := exec(t, nil, "completion", shell); got.code != 0 || !strings.Contains(got.stdout, "promptforge "+completeVerb) {
			t.Errorf("%s: %+v", shell, got)
		}
	}
	exec(t, nil, "completion", "csh").wantSentence(t, 1, "bash")
}

func TestModuleVersion(t *testing.T) {
	for version, want := range map[string]string{"": "dev", "(devel)": "dev", "v1.2.3": "v1.2.3"} {
		if got := moduleVersion(&debug.BuildInfo{Main: debug.Module{Version: version}}, true); got != want {
			t.Errorf("%q is shown as %s", version, got)
		}
	}
	if got := moduleVersion(nil, false); got != "dev" {
		t.Errorf("nothing is shown as %s", got)
	}
}
