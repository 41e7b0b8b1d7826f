package bolt

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"runtime"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/internal/durable"
)

const (
	// compactSuffix names the file beside a store in which it is rewritten.
	compactSuffix = ".compact"
	// compactBytes bounds what one transaction of a rewriting holds in memory.
	compactBytes = 16 << 20
)

// Compact rewrites the store in the file at path without its free pages, so
// that nothing that was deleted is left in it, and returns the file's sizes.
// The new file is written beside, compared with the old one, and takes its name
// in the end: until then the old one stays as it is. Its errors are those of
// Open. Of the old file nothing is overwritten on the disk, it is only removed.
func Compact(path string) (before, after int64, err error) {
	return compact(path, func(compactStep) {})
}

// compactStep is how far a rewriting is, for tests.
type compactStep int

const (
	compactBegun    compactStep = iota // the new file is there
	compactWritten                     // it is whole and synced
	compactVerified                    // it holds what the old one does
	compactRenamed                     // it has the old one's name
)

func compact(path string, reached func(compactStep)) (before, after int64, err error) {
	if err := inspect(path); err != nil {
		return 0, 0, err
	}
	old, err := openFile(path, writeOptions(0)) // for its lock
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, old.Close()) }()
	if before, err = sizeOf(path); err != nil {
		return 0, 0, err
	}
	beside := path + compactSuffix
	if err := ignoreMissing(os.Remove(beside)); err != nil { // of a rewriting that was killed
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, ignoreMissing(os.Remove(beside))) }()
	if err := rewrite(path, old, beside, reached); err != nil {
		return 0, 0, err
	}
	if runtime.GOOS == "windows" { // where an open file cannot be replaced
		if err := old.Close(); err != nil {
			return 0, 0, err
		}
	}
	if err := os.Rename(beside, path); err != nil {
		return 0, 0, err
	}
	reached(compactRenamed)
	if err := durable.Dir(durable.StoreName, filepath.Dir(path)); err != nil {
		return 0, 0, err
	}
	after, err = sizeOf(path)
	return before, after, err
}

// rewrite writes what is in a store into a new file, and makes sure that it is
// there.
func rewrite(path string, old *bbolt.DB, beside string, reached func(compactStep)) error {
	want, err := digest(path, old)
	if err != nil {
		return err
	}
	db, err := openFile(beside, &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType, NoSync: true})
	if err != nil {
		return err
	}
	reached(compactBegun)
	err = guard(path, func() error { return bbolt.Compact(db, old, compactBytes) })
	if !durable.Removed(durable.CompactFile) {
		err = errors.Join(err, db.Sync())
	}
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	reached(compactWritten)
	if err := verifyCopy(path, beside, want); err != nil {
		return err
	}
	reached(compactVerified)
	return nil
}

// verifyCopy reads the copy of a store once more.
func verifyCopy(path, beside string, want [sha256.Size]byte) error {
	if err := inspect(beside); err != nil {
		return err
	}
	db, err := openFile(beside, &bbolt.Options{Timeout: lockTimeout, ReadOnly: true})
	if err != nil {
		return err
	}
	got, err := digest(beside, db)
	if err == nil && got != want {
		err = &DamagedError{path, errors.New("a copy of it does not hold what it seems to hold")}
	}
	if err == nil {
		err = db.View(func(tx *bbolt.Tx) (first error) {
			for found := range tx.Check() { // to the end, or its goroutine stays
				if first == nil {
					first = fmt.Errorf("the copy %s is not sound: %w", beside, found)
				}
			}
			return first
		})
	}
	return errors.Join(err, db.Close())
}

// digest is a hash of all that is in a store.
func digest(path string, db *bbolt.DB) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	err = guard(path, func() error {
		return db.View(func(tx *bbolt.Tx) error {
			return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
				digestEntry(h, 'b', name, nil)
				return digestBucket(h, b)
			})
		})
	})
	h.Sum(sum[:0])
	return sum, err
}

func digestBucket(h hash.Hash, b *bbolt.Bucket) error {
	digestEntry(h, 's', binary.BigEndian.AppendUint64(nil, b.Sequence()), nil)
	err := b.ForEach(func(k, v []byte) error {
		if v != nil {
			digestEntry(h, 'v', k, v)
			return nil
		}
		digestEntry(h, 'b', k, nil)
		return digestBucket(h, b.Bucket(k))
	})
	digestEntry(h, 'e', nil, nil)
	return err
}

// digestEntry adds an entry in such a way that no two series of entries are
// the same bytes. A hash takes all that is written to it.
func digestEntry(h hash.Hash, kind byte, key, value []byte) {
	head := binary.BigEndian.AppendUint64([]byte{kind}, uint64(len(key)))
	h.Write(binary.BigEndian.AppendUint64(head, uint64(len(value))))
	h.Write(key)
	h.Write(value)
}

func sizeOf(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
