package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/promptforge/promptforge/internal/durable"
	"github.com/promptforge/promptforge/internal/failpoint"
	"github.com/promptforge/promptforge/storage"
)

// temporaries is the folder, within a Folder, of files that are being written.
const temporaries = ".tmp"

// abandonedAfter is how long a temporary file of a shared folder must have
// stood still before another process takes it for the leavings of a dead one.
const abandonedAfter = time.Hour

// Folder is storage.Files in a folder of this machine. All methods may be
// called from any number of goroutines.
//
// A file is written under a temporary name, synced, closed, and linked to its
// own name, which fails if the name is there; then its directory is synced,
// and before that every directory that was made for it is synced into its
// parent. So a committed file survives a power loss, and a crash before that
// leaves a temporary file alone, which the next OpenFolder removes. The folder
// of temporary files is never synced: lost, it is made again.
type Folder struct {
	root string
	sys  system

	// tree is held for reading while a file gets its name, and for writing
	// while an emptied directory goes.
	tree sync.RWMutex

	mu      sync.Mutex
	durable map[string]bool // directories that are known to survive a power loss
}

var _ storage.Files = (*Folder)(nil)

// system is what a Folder asks of the operating system on the way to
// durability, so that tests can watch the order and let each step fail.
type system struct {
	syncFile func(durable.Point, *os.File) error
	syncDir  func(p durable.Point, path string) error
	mkdir    func(path string) error
	link     func(from, to string) error
}

func realSystem() system {
	return system{
		syncFile: durable.File,
		syncDir:  durable.Dir,
		mkdir:    func(path string) error { return os.Mkdir(path, 0o700) },
		link:     link,
	}
}

func link(from, to string) error {
	if err := failpoint.Hit("file.link"); err != nil {
		return err
	}
	return os.Link(from, to)
}

// OpenFolder opens the folder, making it if it is not there. One process at a
// time may have a folder open this way: every temporary file in it is taken
// for a dead process's and removed.
func OpenFolder(dir string) (*Folder, error) { return open(dir, 0, realSystem()) }

// OpenSharedFolder opens a folder that other processes have open as well, on
// this machine or over a network: only temporary files that nobody has written
// to for an hour are removed.
func OpenSharedFolder(dir string) (*Folder, error) { return open(dir, abandonedAfter, realSystem()) }

func open(dir string, abandoned time.Duration, sys system) (*Folder, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the files folder %s: %w", dir, err)
	}
	d := &Folder{root: root, sys: sys, durable: map[string]bool{}}
	if err := d.makeRoot(); err != nil {
		return nil, fmt.Errorf("opening the files folder %s: %w", dir, err)
	}
	if err := d.removeLeavings(abandoned); err != nil {
		return nil, fmt.Errorf("opening the files folder %s: %w", dir, err)
	}
	return d, nil
}

// makeRoot makes the folder.
func (d *Folder) makeRoot() error {
	if err := d.makeAll(d.root); err != nil {
		return err
	}
	tmp := filepath.Join(d.root, temporaries)
	if err := d.sys.mkdir(tmp); err != nil && !isDir(tmp) {
		return err
	}
	return nil
}

// OpenFolderReadOnly opens a folder that is to be looked at: nothing in it is
// made or removed. Create and Scratch fail where it was never opened otherwise.
func OpenFolderReadOnly(dir string) (*Folder, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the files folder %s: %w", dir, err)
	}
	if info, err := os.Stat(root); err != nil {
		return nil, fmt.Errorf("opening the files folder: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("opening the files folder: %s is no folder", dir)
	}
	return &Folder{root: root, sys: realSystem(), durable: map[string]bool{}}, nil
}

// makeAll makes a directory with its parents and syncs each new one into its parent.
func (d *Folder) makeAll(path string) error {
	if isDir(path) {
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := d.makeAll(parent); err != nil {
			return err
		}
	}
	if err := d.sys.mkdir(path); err != nil && !isDir(path) {
		return err
	}
	return d.sys.syncDir(durable.FilesFolder, parent)
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

func (d *Folder) removeLeavings(abandoned time.Duration) error {
	entries, err := os.ReadDir(filepath.Join(d.root, temporaries))
	if err != nil {
		return err
	}
	for _, e := range entries {
		if abandoned > 0 {
			info, err := e.Info()
			if err != nil || time.Since(info.ModTime()) < abandoned {
				continue
			}
		}
		if err := os.Remove(filepath.Join(d.root, temporaries, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (d *Folder) path(name string) string { return filepath.Join(d.root, filepath.FromSlash(name)) }

// Create begins a file. ErrExists comes from Commit.
func (d *Folder) Create(ctx context.Context, name string) (storage.NewFile, error) {
	if err := errors.Join(checkName(name), ctx.Err()); err != nil {
		return nil, err
	}
	if err := failpoint.Hit("file.create"); err != nil {
		return nil, fmt.Errorf("beginning %s: %w", name, err)
	}
	f, err := os.CreateTemp(filepath.Join(d.root, temporaries), "new-*")
	if err != nil {
		return nil, fmt.Errorf("beginning %s: %w", name, err)
	}
	return &newFile{folder: d, name: name, f: f}, nil
}

// Open opens a committed file.
func (d *Folder) Open(ctx context.Context, name string) (storage.File, error) {
	if err := errors.Join(checkName(name), ctx.Err()); err != nil {
		return nil, err
	}
	f, err := os.Open(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, storage.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w", name, storage.ErrNotFound)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &file{File: f, size: info.Size()}, nil
}

// Remove deletes a file, and the directories that it leaves empty. It does not
// sync: a file that a power loss brings back is an orphan.
func (d *Folder) Remove(ctx context.Context, name string) error {
	if err := errors.Join(checkName(name), ctx.Err()); err != nil {
		return err
	}
	if err := failpoint.Hit("file.remove"); err != nil {
		return fmt.Errorf("removing %s: %w", name, err)
	}
	path := d.path(name)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing %s: %w", name, err)
	}
	d.tree.Lock()
	defer d.tree.Unlock()
	for dir := filepath.Dir(path); dir != d.root; dir = filepath.Dir(dir) {
		if os.Remove(dir) != nil {
			break // it holds other files, or was never there
		}
		d.forget(dir)
	}
	return nil
}

// List lists what is committed.
func (d *Folder) List(ctx context.Context, each func(name string, size int64, modified time.Time) error) error {
	return filepath.WalkDir(d.root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != d.root {
			return nil // removed meanwhile
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		rel, err := filepath.Rel(d.root, path)
		if err != nil {
			return err
		}
		if rel == temporaries {
			return fs.SkipDir
		}
		name := filepath.ToSlash(rel)
		if !entry.Type().IsRegular() || checkName(name) != nil {
			return nil // not ours
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return each(name, info.Size(), info.ModTime())
	})
}

// Scratch opens a temporary file that has no name from the start, where the
// system allows that; elsewhere its name goes with Close.
func (d *Folder) Scratch(ctx context.Context) (storage.Scratch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Join(d.root, temporaries), "scratch-*")
	if err != nil {
		return nil, fmt.Errorf("opening a temporary file: %w", err)
	}
	return &scratch{File: f, named: os.Remove(f.Name()) != nil}, nil
}

// publish gives a synced temporary file its name, durably.
func (d *Folder) publish(temporary, name string) error {
	path := d.path(name)
	if err := d.name(temporary, path); err != nil {
		return err
	}
	_ = os.Remove(temporary) // a second name of the file; if it stays, the next OpenFolder removes it
	if err := d.sys.syncDir(nameOf(name), filepath.Dir(path)); err != nil {
		_ = os.Remove(path) // no list names it
		return err
	}
	return nil
}

// name links the temporary file to its path, making the directories.
func (d *Folder) name(temporary, path string) error {
	d.tree.RLock()
	defer d.tree.RUnlock()
	err := d.makeDirs(filepath.Dir(path))
	if err != nil {
		return err
	}
	err = d.sys.link(temporary, path)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return storage.ErrExists
	case errors.Is(err, fs.ErrNotExist):
		d.forgetAll() // someone removed directories by hand: the next try makes them again
		return err
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, fs.ErrPermission):
		return nameByRename(temporary, path)
	default:
		return err
	}
}

// nameByRename is for file systems without hard links: it takes the name with
// an empty file, which it then replaces. A crash between the two leaves an
// empty file that no list names.
func nameByRename(temporary, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return storage.ErrExists
	}
	if err != nil {
		return err
	}
	if err := errors.Join(f.Close(), os.Rename(temporary, path)); err != nil {
		_ = os.Remove(path) // no list names it
		return err
	}
	return nil
}

// makeDirs makes a directory below the root. It returns nil only when the
// directory and those above it will survive a power loss, whoever made them.
func (d *Folder) makeDirs(dir string) error {
	if dir == d.root || d.isDurable(dir) {
		return nil
	}
	parent := filepath.Dir(dir)
	if err := d.makeDirs(parent); err != nil {
		return err
	}
	if err := d.sys.mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := d.sys.syncDir(durable.NewDirectory, parent); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.durable) >= 4096 {
		clear(d.durable) // it only saves syncs
	}
	d.durable[dir] = true
	return nil
}

func (d *Folder) isDurable(dir string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.durable[dir]
}

func (d *Folder) forget(dir string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.durable, dir)
}

func (d *Folder) forgetAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.durable)
}

// The points at which a file's content and its name are synced.

func contentOf(name string) durable.Point {
	if strings.HasPrefix(name, promptsDir+"/") {
		return durable.PromptsFile
	}
	return durable.PartFile
}

func nameOf(name string) durable.Point {
	if strings.HasPrefix(name, promptsDir+"/") {
		return durable.PromptsName
	}
	return durable.PartName
}

// newFile is a temporary file on its way to a name.
type newFile struct {
	folder *Folder
	name   string
	f      *os.File
	failed error // of a write; nothing but Discard is left
	ended  bool
}

func (f *newFile) Write(b []byte) (int, error) {
	if f.failed != nil {
		return 0, f.failed
	}
	if err := failpoint.Hit("file.write"); err != nil {
		f.failed = fmt.Errorf("writing %s: %w", f.name, err)
		return 0, f.failed
	}
	n, err := f.f.Write(b)
	if err != nil {
		f.failed = fmt.Errorf("writing %s: %w", f.name, err)
	}
	return n, f.failed
}

// Commit ends the file, whatever it returns.
func (f *newFile) Commit() error {
	if f.ended {
		return fmt.Errorf("committing %s: %w", f.name, os.ErrClosed)
	}
	err := f.failed
	if err == nil {
		err = f.commit()
	}
	if err != nil {
		f.Discard()
		return fmt.Errorf("committing %s: %w", f.name, err)
	}
	f.ended = true
	return nil
}

func (f *newFile) commit() error {
	if err := f.folder.sys.syncFile(contentOf(f.name), f.f); err != nil {
		return err
	}
	if err := f.f.Close(); err != nil {
		return err
	}
	return f.folder.publish(f.f.Name(), f.name)
}

func (f *newFile) Discard() {
	if f.ended {
		return
	}
	f.ended = true
	f.failed = os.ErrClosed
	f.f.Close()               // closed already after a Commit that failed late
	_ = os.Remove(f.f.Name()) // if it stays, the next OpenFolder removes it
}

type file struct {
	*os.File
	size int64
}

func (f *file) Size() int64 { return f.size }

type scratch struct {
	*os.File
	named bool
}

func (s *scratch) Close() error {
	err := s.File.Close()
	if s.named {
		return errors.Join(err, os.Remove(s.Name()))
	}
	return err
}
