package room

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// FileName is the reserve's file in its folder.
const FileName = "reserve"

// reserveFile is room that is taken so that it can be given up.
type reserveFile struct {
	path string
	size int64
}

func newReserveFile(dir string, size int64) reserveFile {
	return reserveFile{filepath.Join(dir, FileName), size}
}

// there tells whether the file is there, whole. One of another size, or one
// that a crash cut short, is not.
func (f reserveFile) there() bool {
	info, err := os.Stat(f.path)
	return f.size == 0 || err == nil && info.Mode().IsRegular() && info.Size() == f.size
}

// make lays the file out, so that its blocks are taken.
func (f reserveFile) make() error {
	if _, err := f.remove(); err != nil {
		return err
	}
	file, err := os.OpenFile(f.path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = allocate(file, f.size)
	if errors.Is(err, errors.ErrUnsupported) {
		err = fill(file, f.size)
	}
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(file.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, missing(os.Remove(file.Name())))
	}
	return nil
}

// fill writes what no file system can make small.
func fill(file *os.File, size int64) error {
	noise := rand.NewChaCha8([32]byte{})
	block := make([]byte, 1<<20)
	for size > 0 {
		_, _ = noise.Read(block) // never fails
		n, err := file.Write(block[:min(size, int64(len(block)))])
		if err != nil {
			return err
		}
		size -= int64(n)
	}
	return nil
}

// remove gives the room up and tells whether there was any.
func (f reserveFile) remove() (bool, error) {
	err := os.Remove(f.path)
	return err == nil && f.size > 0, missing(err)
}

func missing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
