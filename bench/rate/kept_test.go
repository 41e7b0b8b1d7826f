package rate

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
)

// counted is a rule that counts its runs.
type counted struct {
	mu   sync.Mutex
	runs int
}

func (c *counted) rule() Named {
	return Named{"aimd", func(sc *Scenario, _ uint64) Rule {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.runs++
		return newAIMD(sc.MaxInFlight)
	}}
}

// keptRows are two scenarios, one of them in two rows, and one that is compared.
func keptRows() []Row {
	short := func(kind Kind, headers Headers) Scenario {
		sc := base(law{kind: kind}, 600, headers)
		sc.Length = 2 * minute
		return sc
	}
	silent := []Scenario{short(Fixed, Silent), short(Sliding, Silent)}
	answers := func(r *Run) (float64, float64) { return r.Share(0, r.Scenario.Length), 0.9 }
	return []Row{
		{ID: "answers", Column: Silent, Scenarios: silent, Of: answers},
		{ID: "refused", Column: Silent, Scenarios: silent[:1], Lower: true, Of: func(r *Run) (float64, float64) {
			return float64(r.Refusals(0, r.Scenario.Length)), float64(r.Answers(0, r.Scenario.Length)) / 3
		}},
		{
			ID: "lying", Column: Told, Scenarios: []Scenario{short(Fixed, AlwaysFull)}, Of: answers,
			Beside: func(sc Scenario) Scenario { sc.Headers = Silent; return sc },
		},
	}
}

func measureKept(t *testing.T, file string, rows []Row, seeds int) (figures []Figures, runs int) {
	t.Helper()
	kept, err := OpenKept(file, "aimd")
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	var c counted
	m := Measurement{Rows: rows, Rule: c.rule(), Seeds: seeds, Kept: kept}
	if figures, err = m.Measure(); err != nil {
		t.Fatal(err)
	}
	return figures, c.runs
}

func values(all []Figures) (values [][]Figure) {
	for _, f := range all {
		values = append(values, f.Values)
	}
	return values
}

// What was measured is not measured again, and is the same to the last digit.
func TestKeptFiguresAreNotMeasuredAgain(t *testing.T) {
	file, rows := filepath.Join(t.TempDir(), "aimd.jsonl"), keptRows()
	var c counted
	want := values(Measure(rows, c.rule().New, 5))
	for _, step := range []struct {
		rows        []Row
		seeds, runs int
	}{
		{rows[:1], 2, 4}, // two scenarios
		{rows[:1], 2, 0},
		{rows[:1], 3, 2},
		{rows, 3, 6}, // a row more of the first, and of its liar
		{rows, 5, 6},
		{rows, 5, 0},
		{rows, 1, 0},
	} {
		figures, runs := measureKept(t, file, step.rows, step.seeds)
		if runs != step.runs {
			t.Errorf("%d rows, %d seeds: %d runs, want %d", len(step.rows), step.seeds, runs, step.runs)
		}
		for i, got := range values(figures) {
			if !reflect.DeepEqual(got, want[i][:step.seeds]) {
				t.Errorf("%d rows, %d seeds: figures %d are %v, want %v", len(step.rows), step.seeds, i, got, want[i][:step.seeds])
			}
		}
	}
}

// A kill in the midst of a line loses that line alone.
func TestKeptFileThatWasTorn(t *testing.T) {
	file, rows := filepath.Join(t.TempDir(), "aimd.jsonl"), keptRows()
	measureKept(t, file, rows, 2)
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, whole[:len(whole)-10], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, runs := measureKept(t, file, rows, 2); runs != 2 {
		t.Errorf("%d runs, want those of one scenario", runs)
	}
	if _, runs := measureKept(t, file, rows, 2); runs != 0 {
		t.Errorf("%d runs after the file was mended", runs)
	}
	// Torn in the first line, it begins anew.
	if err := os.WriteFile(file, whole[:10], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, runs := measureKept(t, file, rows, 2); runs != 6 {
		t.Errorf("%d runs of an empty file", runs)
	}
}

func TestKeptFileOfAnother(t *testing.T) {
	header := func(rule, by string) string { return `{"rule":"` + rule + `","made_by":"` + by + `"}` + "\n" }
	mine := madeBy("aimd")
	for name, c := range map[string]struct{ text, want string }{
		"code":   {header("aimd", "0123"), "other code (0123) than this (" + mine + "); delete the file"},
		"rule":   {header("static", mine), `figures of "static", not of "aimd"; delete the file`},
		"file":   {"seeds\n", "line 1 is not what bench-rate writes; delete the file"},
		"a line": {header("aimd", mine) + "{}\n[]\n", "line 3 is not what bench-rate writes; delete the file"},
	} {
		file := filepath.Join(t.TempDir(), "aimd.jsonl")
		if err := os.WriteFile(file, []byte(c.text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenKept(file, "aimd"); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) {
			t.Errorf("another %s: %v, want %q", name, err, c.want)
		}
		if text, err := os.ReadFile(file); err != nil || string(text) != c.text {
			t.Errorf("another %s: the file was changed to %q (%v)", name, text, err)
		}
	}
	if _, err := OpenKept(t.TempDir(), "aimd"); err == nil {
		t.Error("a folder in place of the file is no error")
	}
}

func TestFiguresThatCannotBeKept(t *testing.T) {
	kept, err := OpenKept(filepath.Join(t.TempDir(), "aimd.jsonl"), "aimd")
	if err != nil {
		t.Fatal(err)
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	var c counted
	m := Measurement{Rows: keptRows(), Rule: c.rule(), Seeds: 1, Kept: kept}
	if figures, err := m.Measure(); err == nil || figures != nil || !strings.Contains(err.Error(), "keep figures") {
		t.Errorf("a closed file: %v, %v", figures, err)
	}
}

// Only what decides a figure tells one code from another.
func TestMadeBy(t *testing.T) {
	if madeBy("aimd") != madeBy("static") || madeBy("aimd") == madeBy(OursName) {
		t.Error("the other rules share their code, which is not ours")
	}
	for _, name := range undecided {
		if _, err := sources.ReadFile(name); err != nil {
			t.Error(err)
		}
	}
}

func TestMadeByIsOfWords(t *testing.T) {
	of := func(files map[string]string) string {
		fs := fstest.MapFS{}
		for name, text := range files {
			fs[name] = &fstest.MapFile{Data: []byte(text)}
		}
		return hashed(fs, func(name string) bool { return name != "b.go" })
	}
	plain := of(map[string]string{"a.go": "package a\nconst n = 1\n"})
	for name, c := range map[string]struct {
		files map[string]string
		same  bool
	}{
		"a comment":            {map[string]string{"a.go": "// Package a.\npackage a\n\nconst n = 1 // one\n"}, true},
		"a test":               {map[string]string{"a.go": "package a\nconst n = 1\n", "a_test.go": "package a"}, true},
		"a file that is aside": {map[string]string{"a.go": "package a\nconst n = 1\n", "b.go": "package a"}, true},
		"a number":             {map[string]string{"a.go": "package a\nconst n = 2\n"}, false},
		"another file":         {map[string]string{"a.go": "package a\nconst n = 1\n", "c.go": "package a"}, false},
		"another name":         {map[string]string{"c.go": "package a\nconst n = 1\n"}, false},
	} {
		if (of(c.files) == plain) != c.same {
			t.Errorf("%s: same is %v, want %v", name, !c.same, c.same)
		}
	}
}

func TestProgress(t *testing.T) {
	var log strings.Builder
	var c counted
	m := Measurement{Rows: keptRows(), Rule: c.rule(), Seeds: 1, Log: &log}
	if _, err := m.Measure(); err != nil {
		t.Fatal(err)
	}
	// All of it takes less than the time between two lines.
	if got := log.String(); !strings.HasPrefix(got, "aimd: ") || !strings.Contains(got, " of 3 scenarios, ") || !strings.HasSuffix(got, " left\n") || strings.Count(got, "\n") != 1 {
		t.Errorf("%q", got)
	}
}
