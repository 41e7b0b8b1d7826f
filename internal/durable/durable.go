// Package durable is where everything of ours that must survive a power loss
// is synced. Each place has a name, so that a test can take that one sync away
// (build tag unsafe_nosync) and must then see a power loss do harm: a sync that
// nobody would miss is none.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/promptforge/promptforge/internal/failpoint"
)

// Point is a place where something is synced.
type Point string

// The points. A file's content is synced before the file gets its name, and the
// name's folder after it.
const (
	DataFolder    Point = "data-folder"    // the name of the data folder
	StoreName     Point = "store-name"     // that of the store, also after Compact
	StoreCommit   Point = "store-commit"   // a transaction; bbolt does it
	StoreFound    Point = "store-found"    // what a process left that died before it synced
	CompactFile   Point = "compact-file"   // the store that Compact wrote
	FilesFolder   Point = "files-folder"   // the name of the folder of files
	NewDirectory  Point = "new-directory"  // that of a directory within it
	PromptsFile   Point = "prompts-file"   // a prompts file
	PromptsName   Point = "prompts-name"   // and its name
	PartFile      Point = "part-file"      // a part
	PartName      Point = "part-name"      // and its name
	OutcomesFile  Point = "outcomes-file"  // what run writes
	OutcomesName  Point = "outcomes-name"  // and its name
	DownloadFile  Point = "download-file"  // what jobs results downloads
	DownloadsName Point = "downloads-name" // and its name
)

// Points lists all of them.
func Points() []Point {
	return []Point{
		DataFolder, StoreName, StoreCommit, StoreFound, CompactFile, FilesFolder, NewDirectory, PromptsFile, PromptsName,
		PartFile, PartName, OutcomesFile, OutcomesName, DownloadFile, DownloadsName,
	}
}

// File makes the content of a file survive a power loss.
func File(p Point, f *os.File) error {
	if Removed(p) {
		return nil
	}
	if err := hit(p); err != nil {
		return err
	}
	return f.Sync()
}

// hit is the failpoint of a sync, "sync." and its name.
func hit(p Point) error {
	if !failpoint.Enabled {
		return nil
	}
	return failpoint.Hit("sync." + string(p))
}

// Dir makes the names in a directory survive a power loss. Windows cannot sync
// a directory and need not.
func Dir(p Point, path string) error {
	if Removed(p) || runtime.GOOS == "windows" {
		return nil
	}
	if err := hit(p); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// MkdirAll makes a directory with its parents, and each that is new survives a
// power loss.
func MkdirAll(p Point, path string, perm fs.FileMode) error {
	info, err := os.Stat(path)
	if err == nil {
		if info.IsDir() {
			return nil
		}
		return &fs.PathError{Op: "mkdir", Path: path, Err: errors.New("it is no folder")}
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := MkdirAll(p, parent, perm); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return Dir(p, parent)
}
