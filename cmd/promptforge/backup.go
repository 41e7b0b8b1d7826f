package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/promptforge/promptforge/server/admin"
	"github.com/promptforge/promptforge/storage/backup"
)

// backupCmd copies a data folder, also while a server runs on it.
type backupCmd struct {
	Dir string `arg:"" help:"The folder that the copy is written to; it must be empty or not there."`
	configFlag
	dataDirFlag
}

// Help is the long help.
func (c *backupCmd) Help() string {
	return `Copies the store and all files that it names, as they are at one moment; a server that runs goes on meanwhile and writes the copy itself. To restore, put the copy in place of the data folder while nothing runs.

	promptforge backup /backup/2026-01-31 --data-dir /var/lib/promptforge
	promptforge verify /backup/2026-01-31
`
}

// Run makes a backup.
func (c *backupCmd) Run(p *program) error {
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return err
	}
	var copied backup.Copied
	err = c.reach(false,
		func(a *admin.Client) (err error) {
			copied, err = a.Backup(p.ctx, dir)
			return err
		},
		func(m *memory) (err error) {
			copied, err = m.backup(p.ctx, dir)
			return err
		})
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s: %s and the store, %s\n", dir, plural(int64(copied.Files), "file"), plural(int64(copied.Bytes), "byte"))
	if len(copied.Missing) == 0 {
		return nil
	}
	for _, name := range copied.Missing {
		fmt.Fprintln(p.stderr, "files/"+name)
	}
	return fmt.Errorf("the backup was made, but %s gone that the store names (see above); promptforge fsck says whose", subject(int64(len(copied.Missing)), "file", "is", "are"))
}

func (m *memory) backup(ctx context.Context, dir string) (backup.Copied, error) {
	store, ok := m.store.(backup.Snapshotter)
	if !ok {
		return backup.Copied{}, errors.New("this store is backed up by its own means")
	}
	return backup.Copy(ctx, store, m.files, dir)
}
