// Package files keeps prompts files and parts: Folder is storage.Files in a
// folder of this machine, and PromptsWriter, Prompts, PartWriter and PartReader
// are the two formats, over any storage.Files.
package files

import "fmt"

// DamagedError says that a file is not as it was written. No byte of the
// damaged piece has been handed out.
type DamagedError struct {
	Name string // in storage.Files
	What string // for instance "a block's checksum does not match"
}

func (e *DamagedError) Error() string { return fmt.Sprintf("%s is damaged: %s", e.Name, e.What) }
