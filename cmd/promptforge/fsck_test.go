package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/promptforge/promptforge/simulator"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/bolt"
)

// folderBytes is all that a folder holds.
func folderBytes(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// ran makes a folder of results by run.
func ran(t *testing.T, prompts int) (out string) {
	t.Helper()
	p := simulate(t, simulator.Config{})
	out = filepath.Join(t.TempDir(), "out")
	file := promptsFile(t, prompts)
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("no JSON\n" + `{"prompt_id": 1, "prompt": "again"}` + "\n"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	exec(t, p.env(), "run", file, "--provider", "openai", "--model", "gpt-4o-mini", "--out", out).want(t, 0)
	return out
}

// only is the one file that a pattern matches.
func only(t *testing.T, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v, %v", pattern, names, err)
	}
	return names[len(names)-1]
}

func flip(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestFsck: a sound folder is sound; what is gone, short or altered is named in
// a sentence with its file, and nothing is changed.
func TestFsck(t *testing.T) {
	t.Parallel()
	out := ran(t, 50)
	state := filepath.Join(out, stateName)
	got := exec(t, nil, "fsck", "--data-dir", state)
	got.want(t, 0, "looked at 1 job and")
	if got.stdout != "" {
		t.Errorf("a sound folder: %s", got.stdout)
	}
	exec(t, nil, "fsck", "--data-dir", filepath.Join(out, "none")).wantSentence(t, 1, "no data folder at")
	for name, c := range map[string]struct {
		harm func(part, prompts string) error
		want []string
	}{
		"a part is gone":      {func(part, _ string) error { return os.Remove(part) }, []string{"files/parts/", "it is gone"}},
		"a part is cut":       {func(part, _ string) error { return os.Truncate(part, 20) }, []string{"files/parts/", "it has 20 bytes and should have"}},
		"a part is altered":   {func(part, _ string) error { flip(t, part); return nil }, []string{"files/parts/", "its SHA-256 does not match"}},
		"prompts are gone":    {func(_, prompts string) error { return os.Remove(prompts) }, []string{"files/prompts/", "it is gone"}},
		"prompts are longer":  {func(_, prompts string) error { return appendTo(prompts, "x") }, []string{"files/prompts/", "bytes and should have"}},
		"prompts are altered": {func(_, prompts string) error { flip(t, prompts); return nil }, []string{"files/prompts/", "does not match"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "copy")
			exec(t, nil, "backup", dir, "--data-dir", state).want(t, 0)
			if err := c.harm(only(t, filepath.Join(dir, "files/parts/*/*")), only(t, filepath.Join(dir, "files/prompts/*/*"))); err != nil {
				t.Fatal(err)
			}
			before := folderBytes(t, dir)
			got := exec(t, nil, "fsck", "--data-dir", dir)
			got.want(t, 1, "found, and nothing was changed")
			for _, want := range append(c.want, "of job ", "client run") {
				if !strings.Contains(got.stdout, want) {
					t.Errorf("it lacks %q: %s", want, got.stdout)
				}
			}
			for path, content := range folderBytes(t, dir) {
				if before[path] != content {
					t.Errorf("%s was changed", path)
				}
			}
		})
	}
}

// TestFsckOfADeletion: one that was broken off is no damage, and what it left is
// no orphan; the next start goes on with it.
func TestFsckOfADeletion(t *testing.T) {
	t.Parallel()
	state := filepath.Join(ran(t, 50), stateName)
	store, err := bolt.Open(filepath.Join(state, "promptforge.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	jobs, _, err := store.ListJobs(t.Context(), storage.ListQuery{Client: "run", Limit: 1})
	if err != nil || len(jobs) != 1 {
		t.Fatal(jobs, err)
	}
	if _, err := store.Delete(t.Context(), "run", jobs[0].ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(only(t, filepath.Join(state, "files/prompts/*/*"))); err != nil {
		t.Fatal(err)
	}
	got := exec(t, nil, "fsck", "--data-dir", state)
	got.want(t, 0, "looked at 1 job")
	if got.stdout != "" || strings.Contains(got.stderr, "belong to no job") {
		t.Errorf("a deletion that was broken off: %s%s", got.stdout, got.stderr)
	}
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	return f.Close()
}

// TestBackupWhileTheServerRuns: the copy is whole, and a server goes on with it
// where the other was at that moment.
func TestBackupWhileTheServerRuns(t *testing.T) {
	t.Parallel()
	p := simulate(t, simulator.Config{Latency: 5 * 1e6})
	dir := filepath.Join(t.TempDir(), "data")
	s := startServe(t, p.env(), dir, "--max-in-flight", "8")
	c := client(t, s, dir, "alice")
	exec(t, nil, "fsck", "--data-dir", dir).wantSentence(t, 1, "has the data folder open", "make a backup and check that")
	submitted := exec(t, c, "jobs", "submit", promptsFile(t, 2000), "--provider", "openai", "--model", "gpt-4o-mini")
	submitted.want(t, 0)
	copied := make(chan struct{})
	to := filepath.Join(t.TempDir(), "copy")
	p.after(300, func() { close(copied) })
	<-copied
	got := exec(t, nil, "backup", to, "--data-dir", dir)
	got.want(t, 0)
	if !strings.Contains(got.stdout, "1 file and the store") {
		t.Errorf("it said: %s", got.stdout)
	}
	exec(t, nil, "backup", to, "--data-dir", dir).wantSentence(t, 1, "is not empty")
	exec(t, nil, "verify", to).want(t, 0, "looked at 1 job and 1 file ")
	if code := s.stop(); code != 0 {
		t.Fatalf("exit code %d: %s", code, s.stderr)
	}
	s = startServe(t, p.env(), to)
	c["PROMPTFORGE_URL"] = s.url
	id := lastLine(submitted.stdout)
	exec(t, c, "jobs", "watch", id).want(t, 0)
	out := filepath.Join(t.TempDir(), "answers")
	exec(t, c, "jobs", "results", id, "--out", out).want(t, 0)
	if n := len(answers(t, out)); n != 2000 {
		t.Errorf("%d answers", n)
	}
	exec(t, nil, "verify", out).want(t, 0, "2,000 results and 0 error records")
}

// TestBackupOfADamagedFolder: what is gone is named, and the rest is copied.
func TestBackupOfADamagedFolder(t *testing.T) {
	t.Parallel()
	state := filepath.Join(ran(t, 5), stateName)
	gone := only(t, filepath.Join(state, "files/prompts/*/*"))
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "copy")
	exec(t, nil, "backup", to, "--data-dir", state).want(t, 1, "files/prompts/", "1 file is gone that the store names")
	exec(t, nil, "verify", to).want(t, 1, " found, and")
}

// TestVerifyRun: the results of run are held to what is recorded.
func TestVerifyRun(t *testing.T) {
	t.Parallel()
	out := ran(t, 20)
	exec(t, nil, "verify", out).want(t, 0)
	results, errs := filepath.Join(out, "results_part_001.jsonl"), filepath.Join(out, "errors.jsonl")
	whole, err := os.ReadFile(results)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		harm func() error
		want string
	}{
		{func() error { return os.WriteFile(results, whole[:100], 0o600) }, "it has 100 bytes"},
		{func() error {
			return os.WriteFile(results, bytes.Replace(whole, []byte("plus one"), []byte("plus two"), 1), 0o600)
		}, "it differs from what is recorded"},
		{func() error { return os.Remove(results) }, "it is missing"},
	} {
		if err := c.harm(); err != nil {
			t.Fatal(err)
		}
		got := exec(t, nil, "verify", out)
		got.want(t, 1, "in "+out+" 1 file is not what is recorded")
		if !strings.Contains(got.stdout, results+": "+c.want) {
			t.Errorf("it said: %s", got.stdout)
		}
	}
	if err := os.WriteFile(results, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if len(lines(t, errs)) != 2 {
		t.Errorf("errors: %v", lines(t, errs))
	}
	exec(t, nil, "verify", out).want(t, 0)
}

// TestVerifyResults: of results alone every line is read.
func TestVerifyResults(t *testing.T) {
	t.Parallel()
	good := `{"prompt_id":1,"result":"a","model":"m","tokens_used":1}` + "\n"
	for want, files := range map[string]map[string]string{
		"":                                      {"results_part_001.jsonl": good, "errors.jsonl": ""},
		"errors.jsonl: it is missing":           {"results_part_001.jsonl": good},
		"results_part_001.jsonl: it is missing": {"results_part_002.jsonl": good, "errors.jsonl": ""},
		"it should have 5000":                   {"results_part_001.jsonl": good, "results_part_002.jsonl": strings.Replace(good, "1", "2", 1), "errors.jsonl": ""},
		"line 2: it is cut off":                 {"results_part_001.jsonl": good + "{", "errors.jsonl": ""},
		"line 1: it is neither a result":        {"results_part_001.jsonl": "{}\n", "errors.jsonl": ""},
		"line 2: the prompt 1 has a record in":  {"results_part_001.jsonl": good + good, "errors.jsonl": ""},
		"line 1: it belongs into another file":  {"errors.jsonl": good},
		"holds neither a data folder nor":       {},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, text := range files {
				write(t, filepath.Join(dir, name), text)
			}
			got := exec(t, nil, "verify", dir)
			if want == "" {
				got.want(t, 0, "1 result and 0 error records")
				return
			}
			if got.code != 1 || !strings.Contains(got.stdout+got.stderr, want) {
				t.Errorf("exit code %d: %s%s", got.code, got.stdout, got.stderr)
			}
		})
	}
}

func TestVerifyWhatIsNoFolder(t *testing.T) {
	t.Parallel()
	file := promptsFile(t, 1)
	exec(t, nil, "verify", file).wantSentence(t, 1, file+" is a file", filepath.Dir(file))
	exec(t, nil, "verify", file+"x").wantSentence(t, 1, "there is no folder")
}
