package judge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/bolt"
	"github.com/promptforge/promptforge/storage/files"
)

// CheckFolder reads every file that the store of a data folder names, from its
// beginning to its end, and returns what is missing, short or altered. Files of
// deleted jobs may be gone: they go before the record that names them. No server
// may have the folder open.
func CheckFolder(ctx context.Context, dir string) (err error) {
	store, err := bolt.Open(filepath.Join(dir, "promptforge.db"), bolt.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	folder, err := files.OpenSharedFolder(filepath.Join(dir, "files"))
	if err != nil {
		return err
	}
	named, err := store.FileNames(ctx)
	if err != nil {
		return err
	}
	doomed, err := store.Doomed(ctx, 1000)
	if err != nil {
		return err
	}
	leaving := map[string]bool{}
	for _, d := range doomed {
		for _, name := range d.Files {
			leaving[name] = true
		}
	}
	sizes := map[string]int64{}
	for name := range named {
		f, missing := folder.Open(ctx, name)
		if errors.Is(missing, storage.ErrNotFound) && leaving[name] {
			continue
		}
		if missing != nil {
			err = errors.Join(err, fmt.Errorf("a file that the store names: %w", missing))
			continue
		}
		sizes[name] = f.Size()
		err = errors.Join(err, f.Close())
	}
	clients, listErr := clientsOf(ctx, store)
	err = errors.Join(err, listErr)
	for _, client := range clients {
		page, _, listErr := store.ListJobs(ctx, storage.ListQuery{Client: client, Limit: 1000})
		err = errors.Join(err, listErr)
		for _, j := range page {
			err = errors.Join(err, checkParts(ctx, store, folder, j), checkPrompts(ctx, folder, j, sizes))
		}
	}
	return err
}

// clientsOf are the clients that have a key.
func clientsOf(ctx context.Context, store storage.Store) (clients []string, err error) {
	keys, err := store.ListKeys(ctx)
	seen := map[string]bool{}
	for i := range keys {
		if c := keys[i].Client; !seen[c] {
			seen[c] = true
			clients = append(clients, c)
		}
	}
	return clients, err
}

func checkParts(ctx context.Context, store storage.Store, fs storage.Files, j *job.Job) error {
	parts, err := store.Parts(ctx, j.ID)
	for _, p := range parts {
		err = errors.Join(err, files.Verify(ctx, fs, p.Name, p.Bytes, p.SHA256))
	}
	return err
}

func checkPrompts(ctx context.Context, fs storage.Files, j *job.Job, sizes map[string]int64) error {
	if j.Prompts.Name == "" || j.Prompts.Usable == 0 {
		return nil
	}
	if n := sizes[j.Prompts.Name]; n != j.Prompts.Bytes {
		return fmt.Errorf("%s has %d bytes, and the store says %d", j.Prompts.Name, n, j.Prompts.Bytes)
	}
	p, err := files.OpenPrompts(ctx, fs, j.Prompts.Name)
	if err != nil {
		return err
	}
	lines := int64(0)
	for i := range p.Blocks() {
		block, _, readErr := p.ReadBlock(i, nil)
		if readErr != nil {
			err = errors.Join(err, readErr)
		}
		lines += int64(len(block))
	}
	if err == nil && lines < j.Prompts.Usable { // repeated ids stand in the file, too
		err = fmt.Errorf("%s has %d lines, and the store says %d", j.Prompts.Name, lines, j.Prompts.Usable)
	}
	return errors.Join(err, p.Close())
}

// CheckAnswers compares the files that a finished job left, all results in one
// piece and all errors in another, with the prompts file that it was given.
func CheckAnswers(f *File, results, failures []byte) error {
	h := New()
	h.Created("", "files", "")
	h.Uploaded("files", f, int64(len(f.Lines)))
	offset := int64(0)
	for raw := range bytes.Lines(append(slices.Clone(results), failures...)) {
		var l fileLine
		if err := json.Unmarshal(raw, &l); err != nil {
			return fmt.Errorf("line %d of the files is %.200q", offset+1, raw)
		}
		offset++
		h.Streamed(h.Now(), "files", Outcome{Offset: offset, ID: string(l.PromptID), Result: l.Result, Error: l.Error, Line: l.Line})
	}
	j := h.jobs["files"]
	for i := range f.Lines {
		if j.records[f.Lines[i].key()] == nil {
			h.fault("line %d has no record", f.Lines[i].Number)
		}
	}
	return h.joined()
}
