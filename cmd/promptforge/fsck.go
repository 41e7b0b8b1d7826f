package main

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/promptforge/promptforge/storage/bolt"
	"github.com/promptforge/promptforge/storage/files"
	"github.com/promptforge/promptforge/storage/fsck"
)

// fsckCmd is for the operator, while no server runs.
type fsckCmd struct {
	configFlag
	dataDirFlag
}

// Help is the long help.
func (c *fsckCmd) Help() string {
	return `Reads the whole store and every file that it names, and compares them: lengths, checksums, SHA-256, counts, and the lines that are done. What is damaged is named on stdout, a sentence each, and nothing is changed. Exit code 0 when everything is sound. Stop the server first, or check a backup.

	promptforge fsck --data-dir /var/lib/promptforge
`
}

// Run checks the data folder.
func (c *fsckCmd) Run(p *program) error { return checkFolder(p, c.DataDir) }

// checkFolder checks a data folder and tells what it finds.
func checkFolder(p *program, dir string) error {
	store, folder, err := lookAt(dir)
	if err != nil {
		return err
	}
	sum, err := fsck.Check(p.ctx, store, folder, func(sentence string) { fmt.Fprintln(p.stdout, sentence) })
	if err = errors.Join(err, store.Close()); err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "%s: looked at %s and %s of %s", dir,
		plural(int64(sum.Jobs), "job"), plural(int64(sum.Files), "file"), plural(int64(sum.Bytes), "byte"))
	if sum.Orphans > 0 {
		fmt.Fprintf(p.stderr, "; %s to no job and will be removed in time", subject(int64(sum.Orphans), "more file", "belongs", "belong"))
	}
	fmt.Fprintln(p.stderr, ".")
	if sum.Damages > 0 {
		return fmt.Errorf("%s found, and nothing was changed; restore what is named from a backup, or go on without: a job whose files are gone fails and keeps what can still be read", subject(int64(sum.Damages), "damage", "was", "were"))
	}
	return nil
}

// lookAt opens a data folder that must be there, without changing anything.
func lookAt(dir string) (*bolt.Store, *files.Folder, error) {
	if err := findStore(dir); err != nil {
		return nil, nil, err
	}
	store, err := bolt.OpenReadOnly(filepath.Join(dir, storeName))
	var held *bolt.HeldError
	if errors.As(err, &held) {
		return nil, nil, fmt.Errorf("%w; stop that process first, or make a backup and check that", held)
	}
	if err != nil {
		return nil, nil, err
	}
	folder, err := files.OpenFolderReadOnly(filepath.Join(dir, filesName))
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return store, folder, nil
}
