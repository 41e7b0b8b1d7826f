package bolt

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/internal/durable"
)

// create makes an empty store beside path and then gives it its name, so that
// a crash leaves either none or a whole one. Of two processes that do this at
// once one wins, and the other opens what the winner made.
func create(path string) (err error) {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	name := temporary.Name()
	defer func() { err = errors.Join(err, ignoreMissing(os.Remove(name))) }()
	if err := temporary.Close(); err != nil {
		return err
	}
	db, err := bbolt.Open(name, 0o600, &bbolt.Options{Timeout: lockTimeout, NoSync: durable.Removed(durable.StoreCommit)})
	if err != nil {
		return err
	}
	if err := errors.Join(db.Update(initialise), db.Close()); err != nil {
		return err
	}
	return publish(name, path)
}

// publish names a file without ever replacing another.
func publish(name, path string) error {
	err := os.Link(name, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return nil
	}
	return os.Rename(name, path) // a file system without hard links
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
