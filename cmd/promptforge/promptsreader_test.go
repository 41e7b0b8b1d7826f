package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/promptforge/promptforge/simulator"
)

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write([]byte(text))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A file is told by what it holds, whatever its name, and what is certainly no
// prompts file is refused before anything is made or sent for it.
func TestWhatAFileIs(t *testing.T) {
	t.Parallel()
	const line = `{"prompt_id": 1, "prompt": "a"}` + "\n"
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	tar := strings.Repeat("\x00", 257) + "ustar" + strings.Repeat("\x00", 300)
	for _, row := range []struct{ name, content, encoding, refused string }{
		{"p.jsonl", line, "", ""},
		{"bom.jsonl", "\ufeff" + line, "", ""},
		{"empty.jsonl", "", "", ""},
		{"plain.gz", line, "", ""},
		{"p.jsonl", gzipped(t, line), "gzip", ""},
		{"p.jsonl", string(z.EncodeAll([]byte(line), nil)), "zstd", ""},
		{"line.jsonl", "[1, 2]\n" + line, "", ""},
		{"p.zip", "PK\x03\x04....", "", "a ZIP archive; unpack it first"},
		{"p.XLSX", "PK\x03\x04....", "", "a spreadsheet"},
		{"p.bz2", "BZh91AY", "", "unpack it first"},
		{"p.tar", tar, "", "a tar archive"},
		{"p.tgz", gzipped(t, tar), "", "a tar archive"},
		{"p.parquet", "PAR1....", "", "to_json("},
		{"le.jsonl", "\xff\xfe{\x00", "", "iconv -f UTF-16 -t UTF-8"},
		{"be.jsonl", "\x00{\x00\"", "", "iconv -f UTF-16 -t UTF-8"},
		{"32.jsonl", "\xff\xfe\x00\x00{\x00\x00\x00", "", "iconv -f UTF-32 -t UTF-8"},
		{"p.pdf", "%PDF-1.7", "", "a PDF"},
		{"p.json", "[\n  {\"prompt_id\": 1", "", "jq -c '.[]'"},
	} {
		file := filepath.Join(t.TempDir(), row.name)
		write(t, file, row.content)
		got, err := openPrompts(file)
		if err != nil {
			if row.refused == "" || !strings.HasPrefix(err.Error(), file+" is ") || !strings.Contains(err.Error(), row.refused) {
				t.Errorf("%s (%.8q): %v", row.name, row.content, err)
			}
			continue
		}
		if row.refused != "" || got.encoding != row.encoding {
			t.Errorf("%s (%.8q) is taken as %q", row.name, row.content, got.encoding)
		}
		got.Close()
	}
}

func TestAFileThatIsNoPromptsLeavesNothing(t *testing.T) {
	t.Parallel()
	sim, c := deployment(t, simulator.Config{})
	file := filepath.Join(t.TempDir(), "p.jsonl")
	write(t, file, "\xff\xfe{\x00")
	exec(t, sim.env(), runArgs(file)...).wantSentence(t, 1, "UTF-16")
	exec(t, c, submitArgs(file)...).wantSentence(t, 1, "UTF-16")
	execWith(t.Context(), c, "PK\x03\x04", submitArgs("-")...).wantSentence(t, 1, "standard input is a ZIP archive")
	if left := visible(t, filepath.Dir(file)); len(left) != 1 {
		t.Errorf("the mistakes left %v", left)
	}
	if list := exec(t, c, "jobs", "list", "--json"); list.stdout != "" {
		t.Errorf("jobs were made: %s", list.stdout)
	}
}

// A compressed file by another name, and a pipe, which can be read once only.
func TestRunReadsEveryWrapping(t *testing.T) {
	t.Parallel()
	sim := simulate(t, simulator.Config{})
	text, err := os.ReadFile(promptsFile(t, 5))
	if err != nil {
		t.Fatal(err)
	}
	packed := filepath.Join(t.TempDir(), "p.jsonl")
	write(t, packed, gzipped(t, string(text)))
	exec(t, sim.env(), runArgs(packed)...).want(t, 0)

	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(pipe, text, 0) }()
	exec(t, sim.env(), runArgs(pipe)...).want(t, 0)
	if err := <-written; err != nil {
		t.Error(err)
	}
	for _, out := range []string{filepath.Join(filepath.Dir(packed), "p-results"), pipe + "-results"} {
		if n := len(answers(t, out)); n != 5 {
			t.Errorf("%s has %d answers", out, n)
		}
	}
}

func TestWhatTheSystemSays(t *testing.T) {
	t.Parallel()
	wrapped := func(errno syscall.Errno) error { return &fs.PathError{Op: "open", Path: "x", Err: errno} }
	for _, row := range []struct {
		got  error
		want string
	}{
		{unreadable("a b", wrapped(syscall.EACCES)), "a b cannot be read: this user may not (ls -l 'a b' shows who may)"},
		{unreadable("f", wrapped(syscall.ENOENT)), "there is no file f"},
		{unreadable("f", wrapped(syscall.EIO)), "f cannot be read: input/output error"},
		{unusableFolder("d", wrapped(syscall.EACCES)), "the folder d cannot be used: this user may not write there; choose another, or change who owns it"},
		{unusableFolder("d", wrapped(syscall.ENOTDIR)), "the folder d cannot be made: a file has that name, or one above it; choose another"},
		{unusableFolder("d", wrapped(syscall.EROFS)), "the folder d cannot be used: its disk is mounted read-only; choose another"},
		{keptOut("d", fmt.Errorf("look: %w", wrapped(syscall.EACCES))), "the data folder d is another user's; run this as the user that the server runs as"},
		{keptOut("d", errors.New("odd")), "odd"},
		{unusableFolder("d", errors.New("odd")), "the folder d cannot be made: odd"},
	} {
		if fmt.Sprint(row.got) != row.want {
			t.Errorf("got  %v\nwant %s", row.got, row.want)
		}
	}
}
