package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/promptforge/promptforge/internal/durable"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/bolt"
	"github.com/promptforge/promptforge/storage/files"
)

// What a data folder holds.
const (
	storeName = "promptforge.db"
	filesName = "files"
)

// dataDirFlag says where a server of this machine keeps everything.
type dataDirFlag struct {
	DataDir string `setting:"" help:"The folder that holds everything: jobs, keys, prompts and answers." default:"promptforge-data" placeholder:"DIR"`
}

// memory is an open data folder.
type memory struct {
	store storage.Store
	files *files.Folder
}

// openMemory opens a data folder, making it if it is not there. The error is a
// sentence that names the folder.
func openMemory(dir string, maxActivePerClient int) (*memory, error) {
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	// The store first: it syncs the data folder, and so the name of a files
	// folder, too, that a process made which then died.
	store, err := bolt.Open(filepath.Join(dir, storeName), bolt.Options{MaxActivePerClient: maxActivePerClient})
	if err != nil {
		if path := filepath.Join(dir, storeName); !strings.Contains(err.Error(), path) {
			err = fmt.Errorf("the store %s cannot be opened: %w", path, err)
		}
		return nil, err
	}
	folder, err := files.OpenFolder(filepath.Join(dir, filesName))
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return &memory{store: store, files: folder}, nil
}

// makeFolder makes a data folder. One without a store may have been made by a
// process that died before it was durable.
func makeFolder(dir string) error {
	err := durable.MkdirAll(durable.DataFolder, dir, 0o700)
	if _, missing := os.Stat(filepath.Join(dir, storeName)); err == nil && errors.Is(missing, fs.ErrNotExist) {
		err = durable.Dir(durable.DataFolder, filepath.Dir(dir))
		if errors.Is(err, fs.ErrPermission) { // whoever may not read there did not make it
			err = nil
		}
	}
	if err == nil {
		return nil
	}
	return unusableFolder(dir, err)
}

// unusableFolder is a sentence for what the system says of a folder.
func unusableFolder(dir string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the folder %s cannot be used: this user may not write there; choose another, or change who owns it", dir)
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		return fmt.Errorf("the folder %s cannot be made: a file has that name, or one above it; choose another", dir)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("the folder %s cannot be used: its disk is mounted read-only; choose another", dir)
	default:
		return fmt.Errorf("the folder %s cannot be made: %w", dir, err)
	}
}

// close closes the store, and adds what that says to err.
func (m *memory) close(err error) error {
	if closing := m.store.Close(); closing != nil && err == nil {
		return fmt.Errorf("closing the store: %w", closing)
	}
	return err
}

// hasKey tells whether anyone could use the server.
func (m *memory) hasKey(ctx context.Context) (bool, error) {
	list, err := m.store.ListKeys(ctx)
	for i := range list {
		if !list[i].Revoked() {
			return true, err
		}
	}
	return false, err
}
