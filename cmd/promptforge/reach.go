package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/promptforge/promptforge/server/admin"
)

// reach does something through the server that runs on the data folder, else in
// the folder itself, which is made where it is not there and may be.
func (f *dataDirFlag) reach(makeIt bool, do func(*admin.Client) error, local func(*memory) error) error {
	client, err := admin.Dial(f.DataDir)
	if err == nil {
		return do(client)
	}
	if !errors.Is(err, admin.ErrNobodyListens) {
		return keptOut(f.DataDir, err)
	}
	open := openExisting
	if makeIt {
		open = func(dir string) (*memory, error) { return openMemory(dir, 1) }
	}
	m, err := open(f.DataDir)
	if err != nil {
		// A server that is just starting has the store before it listens.
		if client, again := admin.Dial(f.DataDir); again == nil {
			return do(client)
		}
		return err
	}
	return m.close(local(m))
}

// openExisting opens a data folder that must be there.
func openExisting(dir string) (*memory, error) {
	if err := findStore(dir); err != nil {
		return nil, fmt.Errorf("%w; name the server's with --data-dir", err)
	}
	return openMemory(dir, 1)
}

// findStore tells whether a data folder is there.
func findStore(dir string) error {
	_, err := os.Stat(filepath.Join(dir, storeName))
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("there is no data folder at %s", dir)
	}
	return keptOut(dir, err)
}

// keptOut says it where the system keeps this user out of a data folder, and
// leaves other errors as they are.
func keptOut(dir string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("the data folder %s is another user's; run this as the user that the server runs as", dir)
	}
	return err
}
