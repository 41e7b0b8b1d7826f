package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/promptforge/promptforge/storage/bolt"
	"github.com/promptforge/promptforge/storage/erase"
)

// compactCmd is for the operator, while no server runs.
type compactCmd struct {
	configFlag
	dataDirFlag
}

// Help is the long help.
func (c *compactCmd) Help() string {
	return `Erases what deleted jobs left behind, left-over temporary files, and files of jobs that the store does not know; then it rewrites the store without its free pages. The new store is written beside the old one, compared with it, and takes its name in the end; it needs room for both. Stop the server first.

	promptforge compact --data-dir /var/lib/promptforge
`
}

// Run compacts the data folder.
func (c *compactCmd) Run(p *program) error {
	err := c.compact(p)
	var held *bolt.HeldError
	if errors.As(err, &held) {
		return fmt.Errorf("%w; compact rewrites the store: stop that process first", held)
	}
	return err
}

func (c *compactCmd) compact(p *program) error {
	strays, err := c.clean(p.ctx)
	if err != nil {
		return err
	}
	if strays > 0 {
		fmt.Fprintf(p.stderr, "Files of jobs that the store does not know were removed: %d.\n", strays)
	}
	path := filepath.Join(c.DataDir, storeName)
	before, after, err := bolt.Compact(path)
	if err != nil {
		return fmt.Errorf("compacting %s: %w", path, err)
	}
	fmt.Fprintf(p.stdout, "%s: %d bytes before, %d after\n", path, before, after)
	return nil
}

// clean removes what deletions and crashes left.
func (c *compactCmd) clean(ctx context.Context) (strays int, err error) {
	m, err := openExisting(c.DataDir) // removes temporary files
	if err != nil {
		return 0, err
	}
	if err := m.erase(ctx); err != nil {
		return 0, m.close(fmt.Errorf("erasing deleted jobs: %w", err))
	}
	strays, err = erase.Strays(ctx, m.store, m.files)
	if err != nil {
		err = fmt.Errorf("removing files that no job names: %w", err)
	}
	return strays, m.close(err)
}
