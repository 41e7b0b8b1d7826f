package bolt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/promptforge/promptforge/internal/durable"
	"github.com/promptforge/promptforge/internal/failpoint"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// lockTimeout is how long Open waits for another process to let go.
const lockTimeout = time.Second

// mapSize is how much address space is taken at once, so that growing the file
// up to there never waits for readers. On Windows the file would take that
// size itself.
const mapSize = 16 << 30

// Options shape a Store.
type Options struct {
	// MaxActivePerClient is how many jobs of one client may take a turn at the
	// same time; 0 is 1.
	MaxActivePerClient int
}

// Store is a storage.Store in one bbolt file.
type Store struct {
	path      string
	maxActive int
	db        *bbolt.DB
	watches   watches
	jobs      jobCache

	// write is held from before a write transaction begins until what it
	// changed in memory is in place. It guards the fields below.
	write    sync.Mutex
	broken   error                      // a *BrokenError once a write failed
	wroteAt  time.Time                  // of the last commit
	progress map[job.ID]*roaring.Bitmap // lines with an outcome, sealed or not
	commit   func(tx *bbolt.Tx) error   // commit but in tests

	// committing is held for writing while a transaction is written and synced,
	// and durable is the last that was; unsynced is why one was not.
	committing sync.RWMutex
	durable    atomic.Int64
	unsynced   error
}

var _ storage.Store = (*Store)(nil)

// Open opens the store in the file at path, whose folder must exist, and makes
// it if there is none. Its errors are *HeldError when another process has it
// open, *DamagedError, *NewerError, or what the file system says.
func Open(path string, opts Options) (*Store, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, fmt.Errorf("make the store %s: %w", path, err)
		}
	} else if err != nil {
		return nil, err
	}
	if err := inspect(path); err != nil {
		return nil, err
	}
	db, err := openFile(path, writeOptions(initialMmapSize()))
	if errors.Is(err, syscall.ENOMEM) { // the address space is limited (ulimit -v)
		db, err = openFile(path, writeOptions(0))
	}
	if err != nil {
		return nil, err
	}
	if err := ignoreMissing(os.Remove(path + compactSuffix)); err != nil { // of a Compact that was killed
		return nil, errors.Join(err, db.Close())
	}
	// Whoever gave the file its name, create or Compact, may have died before
	// that was durable; then all that is written now would go with the name.
	if err := durable.Dir(durable.StoreName, filepath.Dir(path)); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := syncAll(db); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := guard(path, func() error { return migrate(path, db, failpoint.Hit) }); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s, err := newStore(path, opts, db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	// MaxActivePerClient may have grown since the file was last open.
	if _, err := s.Promote(context.Background()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// newStore is the store in an open file whose content is durable.
func newStore(path string, opts Options, db *bbolt.DB) (*Store, error) {
	s := &Store{
		path:      path,
		maxActive: max(opts.MaxActivePerClient, 1),
		db:        db,
		progress:  map[job.ID]*roaring.Bitmap{},
		jobs:      jobCache{jobs: map[job.ID]*job.Job{}, writing: map[job.ID]bool{}},
		commit:    commit,
	}
	err := db.View(func(tx *bbolt.Tx) error {
		s.durable.Store(int64(tx.ID()))
		return nil
	})
	return s, err
}

// syncAll syncs what a process wrote that died before it synced: it can be read
// now, and so must last.
func syncAll(db *bbolt.DB) error {
	if durable.Removed(durable.StoreFound) {
		return nil
	}
	return db.Sync()
}

func writeOptions(initialMmapSize int) *bbolt.Options {
	return &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType, InitialMmapSize: initialMmapSize, NoSync: durable.Removed(durable.StoreCommit)}
}

func initialMmapSize() int {
	if strconv.IntSize < 64 || runtime.GOOS == "windows" {
		return 0
	}
	return mapSize
}

// inspect looks at a file without writing to it, and without following any
// page number that a damaged file may hold: is it whole, and of our schema?
func inspect(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return &DamagedError{path, errors.New("it is no regular file")}
	}
	if info.Size() == 0 {
		return &DamagedError{path, errors.New("the file is empty")} // bbolt would begin a new one in it
	}
	db, err := openFile(path, &bbolt.Options{Timeout: lockTimeout, ReadOnly: true})
	if err != nil {
		return err
	}
	err = guard(path, func() error { return db.View(func(tx *bbolt.Tx) error { return inspectTx(path, tx) }) })
	return errors.Join(err, db.Close())
}

func inspectTx(path string, tx *bbolt.Tx) error {
	// The size as of now: another process may have grown the file since the
	// first look at it.
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if whole := tx.Size(); info.Size() < whole {
		return &DamagedError{path, fmt.Errorf("the file was cut to %d of %d bytes", info.Size(), whole)}
	}
	return checkSchema(path, tx)
}

// openFile is bbolt.Open with this package's errors. It waits for the file's
// lock; if the file was replaced meanwhile (Compact), it opens the new one,
// since what is written to the old one would be lost.
func openFile(path string, opts *bbolt.Options) (*bbolt.DB, error) {
	for range 10 {
		db, file, err := openOnce(path, *opts)
		if err != nil {
			return nil, err
		}
		current, err := isNamed(file, path)
		if current {
			return db, nil
		}
		if err := errors.Join(err, db.Close()); err != nil {
			return nil, err
		}
	}
	return nil, &HeldError{Path: path, PID: holder(path)}
}

func openOnce(path string, opts bbolt.Options) (db *bbolt.DB, file *os.File, err error) {
	opts.OpenFile = func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}
	err = guard(path, func() (err error) {
		db, err = bbolt.Open(path, 0o600, &opts)
		return err
	})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return nil, nil, &HeldError{Path: path, PID: holder(path)}
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch),
		errors.Is(err, berrors.ErrInvalidMapping):
		return nil, nil, &DamagedError{path, err}
	case err != nil:
		return nil, nil, err
	}
	return db, file, nil
}

// isNamed tells whether an open file still has its name.
func isNamed(file *os.File, path string) (bool, error) {
	opened, err := file.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	return os.SameFile(opened, named), nil
}

// guard turns the panics and the faults of bbolt on a damaged file into a
// *DamagedError.
func guard(path string, do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = &DamagedError{path, fmt.Errorf("%v", r)}
		}
	}()
	return do()
}

// Close waits for what is under way and closes.
func (s *Store) Close() error {
	s.write.Lock()
	defer s.write.Unlock()
	err := s.db.Close()
	s.watches.signalAll() // whoever waits looks again and finds ErrClosed
	return err
}

// pingEvery is how often at most a ping writes.
const pingEvery = time.Second

// Ping writes to the store, unless another write went well a moment ago.
func (s *Store) Ping(ctx context.Context) error {
	s.write.Lock()
	fresh := s.broken == nil && time.Since(s.wroteAt) < pingEvery
	s.write.Unlock()
	if fresh {
		return s.view(ctx, func(*bbolt.Tx) error { return nil })
	}
	return s.update(ctx, func(t *tx) error { return t.put(t.bucket(bucketMeta), []byte("ping"), nil) })
}
