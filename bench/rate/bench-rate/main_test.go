package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWrongArguments(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-rows", "("}, "-rows"},
		{[]string{"-scenarios", "("}, "-scenarios"},
		{[]string{"-seeds", "0"}, "at least 1"},
		{[]string{"-rules", "guess"}, "no rule"},
		{[]string{"-nonsense"}, "nonsense"},
	} {
		if err := run(c.args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v", c.args, err)
		}
	}
}

func TestFolderIsFilled(t *testing.T) {
	out := t.TempDir()
	args := []string{
		"-seeds", "1", "-rival-seeds", "1", "-rules", "ours,origin", "-rows", "first/silent|answers|refusals",
		"-scenarios", "^fixed, 60 rpm, .*1s, silent", "-out", out,
	}
	if err := run(args, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"table.md", "figures.json", "charts/fixed-60-rpm-retry-after-1s-silent.png", "charts/fixed-60-rpm-retry-after-1s-silent.csv"} {
		if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	file := filepath.Join(out, "table.md")
	if err := run(append(args[:len(args)-1], file), io.Discard, io.Discard); err == nil {
		t.Error("a file in place of the folder is no error")
	}
}

// A second run measures nothing and says the same, and what other code measured is
// refused before anything is measured.
func TestKeptFigures(t *testing.T) {
	keep := filepath.Join(t.TempDir(), "kept")
	args := []string{"-seeds", "2", "-rival-seeds", "1", "-rules", "ours,origin", "-rows", "first/silent|answers|refusals", "-scenarios", "^fixed, 60 rpm, .*1s, silent", "-keep", keep}
	var first, second, log strings.Builder
	if err := run(args, &first, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := run(args, &second, &log); err != nil {
		t.Fatal(err)
	}
	if first.String() != second.String() || strings.Contains(log.String(), "left") {
		t.Errorf("the second run says\n%s%s", log.String(), second.String())
	}
	if err := run(append(args, "-each"), io.Discard, &log); err != nil || strings.Contains(log.String(), "left") {
		t.Errorf("-each measures again: %v\n%s", err, log.String())
	}
	rival := filepath.Join(keep, "origin.jsonl")
	if err := os.WriteFile(rival, []byte(`{"rule":"origin","made_by":"others"}`+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	log.Reset()
	if err := run(args, io.Discard, &log); err == nil || !strings.Contains(err.Error(), rival) || log.Len() > 0 {
		t.Errorf("other code: %v\n%s", err, log.String())
	}
	if err := run(append(args, "-each"), io.Discard, io.Discard); err != nil {
		t.Errorf("-each, which has no use for it: %v", err)
	}
	if err := run(append(args, "-keep", filepath.Join(rival, "kept")), io.Discard, io.Discard); err == nil {
		t.Error("a file in place of the folder is no error")
	}
}

func TestDocument(t *testing.T) {
	doc := filepath.Join(t.TempDir(), "rate.md")
	args := []string{"-seeds", "1", "-rules", "ours", "-rows", "first/silent", "-scenarios", "^fixed, 60 rpm, ", "-doc", doc}
	if err := run(args, io.Discard, io.Discard); !os.IsNotExist(err) {
		t.Errorf("no document: %v", err)
	}
	if err := os.WriteFile(doc, []byte("before\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "has no line") {
		t.Errorf("a document without marks: %v", err)
	}
	if err := os.WriteFile(doc, []byte("before\n"+figuresBegin+"\nstale\n"+figuresEnd+"\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(args, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"before\n", "| answers in the first 10 minutes", figuresEnd + "\nafter\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "stale") {
		t.Error("the old figures are still there")
	}
	for _, s := range shown {
		if info, err := os.Stat(filepath.Join(filepath.Dir(doc), "rate", fileName(s.scenario)+".png")); err != nil || info.Size() > 80_000 {
			t.Errorf("%s: %v", s.scenario, err)
		}
	}
}

func TestFileName(t *testing.T) {
	if got, want := fileName("bucket of 1 s, 300 rpm, ×0.1, 1s, says another's"), "bucket-of-1-s-300-rpm-times-0.1-1s-says-anothers"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
