package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/results"
)

// verifyCmd checks a folder, whatever it holds.
type verifyCmd struct {
	Dir string `arg:"" help:"A data folder, a backup, or a folder of results."`
}

// Help is the long help.
func (c *verifyCmd) Help() string {
	return `A data folder or a backup is checked as by fsck. The results of run are compared, byte for byte, with what is recorded in DIR/.promptforge, which is checked too. Of the results of jobs results every line is read: it must be a result or an error record, no prompt may have two, and no file may be missing between two others. Nothing is changed; exit code 0 when everything is sound.

	promptforge verify /backup/2026-01-31
	promptforge verify prompts-results
`
}

// Run checks the folder.
func (c *verifyCmd) Run(p *program) error {
	info, err := os.Stat(c.Dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("there is no folder %s", c.Dir)
	case err != nil:
		return unreadable(c.Dir, err)
	case !info.IsDir():
		return fmt.Errorf("%s is a file; name the folder that it is in: %s", c.Dir, quote(filepath.Dir(c.Dir)))
	}
	if there(filepath.Join(c.Dir, storeName)) {
		return checkFolder(p, c.Dir)
	}
	state := filepath.Join(c.Dir, stateName)
	if there(filepath.Join(state, storeName)) {
		if err := checkFolder(p, state); err != nil {
			return err
		}
		return c.compare(p, state)
	}
	return c.read(p)
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// compare compares the results of a run with what is recorded.
func (c *verifyCmd) compare(p *program, state string) error {
	store, folder, err := lookAt(state)
	if err != nil {
		return err
	}
	damages, err := c.compareAll(p, store, folder)
	if err = errors.Join(err, store.Close()); err != nil {
		return err
	}
	if damages > 0 {
		return fmt.Errorf("in %s %s not what is recorded; remove what is named and run the same command again, which writes it anew and sends nothing", c.Dir, subject(int64(damages), "file", "is", "are"))
	}
	return nil
}

func (c *verifyCmd) compareAll(p *program, store storage.Store, fs storage.Files) (damages int, err error) {
	jobs, _, err := store.ListJobs(p.ctx, storage.ListQuery{Client: runClient, Limit: 1})
	if err != nil || len(jobs) == 0 || !jobs[0].Parsed {
		return 0, err
	}
	for _, name := range results.FileNames(jobs[0]) {
		path := filepath.Join(c.Dir, name)
		what, err := compareFile(p.ctx, store, fs, jobs[0], name, path)
		if err != nil {
			return damages, err
		}
		if what != "" {
			damages++
			fmt.Fprintf(p.stdout, "%s: %s\n", path, what)
		}
	}
	return damages, nil
}

// compareFile says what is wrong with a file. Of a run that goes on it may be
// shorter than what is recorded, or not there yet.
func compareFile(ctx context.Context, store storage.Store, fs storage.Files, j *job.Job, name, path string) (what string, err error) {
	d, err := results.Open(ctx, store, fs, j, name, false)
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		if j.Settled() {
			return "it is missing", nil
		}
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if size := info.Size(); size > d.Size() || j.Settled() && size != d.Size() {
		return fmt.Sprintf("it has %d bytes, and %d are recorded", size, d.Size()), nil
	}
	same := &comparer{f: bufio.NewReader(f)}
	if err := d.CopyRange(ctx, same, 0, info.Size()); errors.Is(err, errDiffers) {
		return fmt.Sprintf("it differs from what is recorded within the first %d bytes", same.at), nil
	} else if err != nil {
		return "", err
	}
	return "", nil
}

var errDiffers = errors.New("the files differ")

// comparer compares what is written to it with a file.
type comparer struct {
	f   io.Reader
	buf []byte
	at  int64
}

func (c *comparer) Write(b []byte) (int, error) {
	c.buf = append(c.buf[:0], b...)
	c.at += int64(len(b))
	if _, err := io.ReadFull(c.f, c.buf); err != nil {
		return 0, cmp.Or(errDiffers, err)
	}
	if !bytes.Equal(c.buf, b) {
		return 0, errDiffers
	}
	return len(b), nil
}

// read reads the results of a job that is kept elsewhere.
func (c *verifyCmd) read(p *program) error {
	names, err := resultFiles(c.Dir)
	if err != nil {
		return err
	}
	v := &verifier{dir: c.Dir, ids: map[string]string{}, say: func(sentence string) { fmt.Fprintln(p.stdout, sentence) }}
	for i, name := range names {
		if err := v.file(p.ctx, name, i < len(names)-2); err != nil { // errors.jsonl is the last
			return err
		}
	}
	fmt.Fprintf(p.stderr, "%s: looked at %s with %s and %s.\n", c.Dir,
		plural(int64(len(names)), "file"), plural(int64(v.results), "result"), plural(int64(v.failures), "error record"))
	if v.damages > 0 {
		return fmt.Errorf("%s found in %s; fetch the files again with promptforge jobs results", subject(int64(v.damages), "damage", "was", "were"), c.Dir)
	}
	return nil
}

// resultFiles lists the files that there should be, in order.
func resultFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, unreadable(dir, err)
	}
	parts := 0
	digits := 3
	for _, e := range entries {
		if m := resultName.FindStringSubmatch(e.Name()); m != nil && m[1] != "errors" {
			var n int
			if _, err := fmt.Sscanf(m[1], "results_part_%d", &n); err == nil && n > parts {
				parts, digits = n, len(m[1])-len("results_part_")
			}
		}
	}
	var names []string
	for n := range parts {
		names = append(names, fmt.Sprintf("results_part_%0*d.jsonl", digits, n+1))
	}
	if len(names) == 0 && !slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == "errors.jsonl" }) {
		return nil, fmt.Errorf("%s holds neither a data folder nor results", dir)
	}
	return append(names, "errors.jsonl"), nil
}

// verifier reads result files.
type verifier struct {
	dir               string
	say               func(string)
	ids               map[string]string // prompt_id → file and line
	results, failures int
	damages           int
}

func (v *verifier) wrong(name string, line int, format string, args ...any) {
	v.damages++
	where := filepath.Join(v.dir, name)
	if line > 0 {
		where = fmt.Sprintf("%s line %d", where, line)
	}
	v.say(where + ": " + fmt.Sprintf(format, args...))
}

// file reads one file; full tells that others with results follow it.
func (v *verifier) file(ctx context.Context, name string, full bool) error {
	f, err := os.Open(filepath.Join(v.dir, name))
	if errors.Is(err, os.ErrNotExist) {
		v.wrong(name, 0, "it is missing")
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 1<<20)
	n := 0
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if len(line) > 0 {
				v.wrong(name, n+1, "it is cut off")
			}
			break
		}
		if err != nil {
			return err
		}
		n++
		v.line(name, n, line)
	}
	if full && n != storage.ResultsPerFile {
		v.wrong(name, 0, "it has %s, and others follow; it should have %d", plural(int64(n), "result"), storage.ResultsPerFile)
	}
	return nil
}

func (v *verifier) line(name string, n int, line []byte) {
	var record struct {
		PromptID json.RawMessage `json:"prompt_id"`
		Result   *string         `json:"result"`
		Error    *string         `json:"error"`
	}
	if err := json.Unmarshal(line, &record); err != nil || (record.Result == nil) == (record.Error == nil) || record.PromptID == nil {
		v.wrong(name, n, "it is neither a result nor an error record")
		return
	}
	if failed := record.Error != nil; failed != (name == "errors.jsonl") {
		v.wrong(name, n, "it belongs into another file")
	} else if failed {
		v.failures++
		if *record.Error == job.CodeInvalidLine || *record.Error == job.CodeDuplicatePromptID {
			return // such a line may have the id of another
		}
	} else {
		v.results++
	}
	id := string(record.PromptID)
	if first, twice := v.ids[id]; twice {
		v.wrong(name, n, "the prompt %s has a record in %s already", id, first)
		return
	}
	v.ids[id] = fmt.Sprintf("%s line %d", name, n)
}
