package files

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/promptforge/promptforge/job"
)

// MaxNameBytes bounds a name.
const MaxNameBytes = 512

// promptsDir is where prompts files are, by their names.
const promptsDir = "prompts"

// PromptsName makes a name for a job's prompts file that no file had before.
func PromptsName(id job.ID) string { return promptsDir + "/" + string(id) + "/" + random() }

// PartName makes a name for the n-th part that a holder writes for a job; no
// file had it before.
func PartName(id job.ID, term job.Term, n int64) string {
	return fmt.Sprintf("parts/%s/%s-%d-%s", id, term, n, random())
}

func random() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// checkName refuses whatever is no name by the rule of storage.Files. An
// element that begins with a point is refused too: such names are the folder's
// own, and "." and ".." are among them.
func checkName(name string) error {
	bad := name == "" || len(name) > MaxNameBytes
	for element := range strings.SplitSeq(name, "/") {
		bad = bad || element == "" || element[0] == '.'
		for _, c := range []byte(element) {
			bad = bad || !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_')
		}
	}
	if bad {
		return fmt.Errorf("%q is no file name here", name)
	}
	return nil
}
