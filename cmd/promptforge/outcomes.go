package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/promptforge/promptforge/internal/durable"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage/results"
)

// writeOutcomes writes what a job has recorded into a folder. A file that is
// there with its full length already is left alone; any other is written
// beside and renamed, so that a reader never sees half of one.
func writeOutcomes(ctx context.Context, m *memory, j *job.Job, dir string) error {
	for _, name := range results.FileNames(j) {
		d, err := results.Open(ctx, m.store, m.files, j, name, false)
		if err != nil {
			return fmt.Errorf("reading the outcomes: %w", err)
		}
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Size() == d.Size() {
			continue
		}
		if err := writeOutcomeFile(ctx, d, path); err != nil {
			return fmt.Errorf("writing %s: %w; what it holds is safe in %s", path, err, filepath.Join(dir, stateName))
		}
	}
	return syncFolder(durable.OutcomesName, dir)
}

func writeOutcomeFile(ctx context.Context, d *results.Download, path string) (err error) {
	beside := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	f, err := os.OpenFile(beside, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	err = d.CopyRange(ctx, f, 0, d.Size())
	if err == nil {
		err = durable.File(durable.OutcomesFile, f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(beside) //nolint:errcheck // a hidden left-over, which the next try writes over
		return err
	}
	return os.Rename(beside, path)
}

// errorRecord is as much of an error record as a person is told at once.
type errorRecord struct {
	Line    int64  `json:"line"`
	Error   string `json:"error"`
	Message string `json:"message"`
}

// firstError reads the first record of an errors.jsonl.
func firstError(path string) (first errorRecord, err error) {
	f, err := os.Open(path)
	if err != nil {
		return first, err
	}
	defer f.Close()
	return first, json.NewDecoder(f).Decode(&first)
}
