// Package backup copies a data folder while it is in use, so that store and
// files are of one moment.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/promptforge/promptforge/internal/durable"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/files"
)

// Snapshotter is a store of which a copy can be had.
type Snapshotter interface {
	// Snapshot writes the store as it is at one moment into a new file, synced,
	// and returns the names of the files that it refers to.
	Snapshot(ctx context.Context, path string) (names []string, err error)
}

// Copied is what a backup holds.
type Copied struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"` // of the store and the files
	// Missing are files that the store names and that are not there: the data
	// folder is damaged, and so is its copy.
	Missing []string `json:"missing"`
}

// Names of what a data folder holds, and of a store's copy until all is there.
const (
	storeName = "promptforge.db"
	filesName = "files"
	partial   = storeName + ".partial"
)

// Copy copies a data folder into dir, which must be empty or not there. Nobody
// may remove files that the store names meanwhile; anything else goes on. The
// store's copy gets its name last, so that half a backup is never taken for
// one.
func Copy(ctx context.Context, store Snapshotter, from storage.Files, dir string) (c Copied, err error) {
	c.Missing = []string{}
	if err := prepare(dir); err != nil {
		return c, err
	}
	names, err := store.Snapshot(ctx, filepath.Join(dir, partial))
	if err != nil {
		return c, fmt.Errorf("copying the store: %w", err)
	}
	to, err := files.OpenFolder(filepath.Join(dir, filesName))
	if err != nil {
		return c, err
	}
	for _, name := range names {
		n, err := copyFile(ctx, from, to, name)
		if errors.Is(err, storage.ErrNotFound) {
			c.Missing = append(c.Missing, name)
			continue
		}
		if err != nil {
			return c, fmt.Errorf("copying files/%s: %w", name, err)
		}
		c.Files++
		c.Bytes += n
	}
	path := filepath.Join(dir, storeName)
	if err := os.Rename(filepath.Join(dir, partial), path); err != nil {
		return c, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return c, err
	}
	c.Bytes += info.Size()
	return c, durable.Dir(durable.StoreName, dir)
}

func prepare(dir string) error {
	if err := durable.MkdirAll(durable.DataFolder, dir, 0o700); err != nil {
		return fmt.Errorf("the folder %s cannot be made: %w", dir, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("the folder %s is not empty; name one that is not there yet", dir)
	}
	return nil
}

func copyFile(ctx context.Context, from, to storage.Files, name string) (n int64, err error) {
	in, err := from.Open(ctx, name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := to.Create(ctx, name)
	if err != nil {
		return 0, err
	}
	defer out.Discard()
	if n, err = io.Copy(out, contextReader{ctx, in}); err != nil {
		return 0, err
	}
	return n, out.Commit()
}

// contextReader ends when its context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}
