package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/promptforge/promptforge/internal/durable"
)

// claimName is a file in a folder of downloads that holds the job's id. It is
// durable before the first result is there, so that no two jobs' answers ever
// come together, and a download goes on after a power loss, too.
const claimName = ".promptforge-job"

// claimFolder makes a folder the job's. One that holds results of another job,
// or of nobody knows whom, is refused, and nothing in it is changed.
func claimFolder(dir, id string) error {
	text, err := os.ReadFile(filepath.Join(dir, claimName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	owner := strings.TrimSpace(string(text))
	if owner == id {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch {
		case !resultName.MatchString(e.Name()):
		case owner == "":
			return fmt.Errorf("it holds %s, which jobs results did not write; choose an empty folder", e.Name())
		default:
			return fmt.Errorf("it holds the results of the job %s; choose another folder", owner)
		}
	}
	return writeClaim(dir, id)
}

func writeClaim(dir, id string) error {
	path := filepath.Join(dir, claimName)
	f, err := os.OpenFile(path+growing, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(id + "\n")
	if err == nil {
		err = durable.File(durable.DownloadFile, f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+growing, path); err != nil {
		return err
	}
	return syncFolder(durable.DownloadsName, dir)
}
