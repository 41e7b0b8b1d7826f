package arrows_test

import (
	"fmt"
	"path"
	"strings"
)

const module = "github.com/promptforge/promptforge"

// A room is a folder with all that is under it, and the rooms that its code may
// import beside itself. Anything else of the project is forbidden to it.
type room struct {
	dir  string
	may  []string
	pure bool // its tests import no more than its code
}

// rooms stand with the inner ones before those that hold them: the first whose
// dir holds a package is the package's. A folder in none of them may import
// what it likes, and may be imported by nothing in them.
var rooms = []room{
	{dir: "job", pure: true},
	{dir: "dispatcher/rate", pure: true},
	{dir: "simulator"},
	{dir: "storage/bolt", may: []string{"job", "storage", "internal"}},
	{dir: "storage/postgres", may: []string{"job", "storage", "internal"}},
	{dir: "storage", may: []string{"job", "internal"}},
	{dir: "dispatcher", may: []string{"job", "storage", "dispatcher/rate", "internal"}},
	{dir: "server", may: []string{"job", "storage", "gen", "internal"}},
	{dir: "client", may: []string{"gen", "internal"}},
	{dir: "sdk", may: []string{"gen", "client"}},
	{dir: "gen"},
	{dir: "internal", may: []string{"job"}},
}

// owners are the foreign modules that belong to one room alone. Whole programs
// (cmd, bench) and the tests of storage may look into a store from outside in
// their tests.
var owners = map[string]string{
	"go.etcd.io/bbolt":        "storage/bolt",
	"github.com/jackc/pgx/v5": "storage/postgres",
}

// wrong says why the file, a path below the root of the checkout, must not
// import the package; it is empty where it may.
func wrong(file, imported string) string {
	dir, test := path.Dir(file), isTest(file)
	for foreign, owner := range owners {
		if !within(imported, foreign) || within(dir, owner) {
			continue
		}
		if test && (within(dir, "storage") || within(dir, "cmd") || within(dir, "bench")) {
			continue
		}
		return fmt.Sprintf("only %s may import %s", owner, foreign)
	}
	if !within(imported, module) {
		return ""
	}
	target := strings.TrimPrefix(strings.TrimPrefix(imported, module), "/")
	from := roomOf(dir)
	if from == nil || within(target, from.dir) && roomOf(target) == from || test && !from.pure {
		return ""
	}
	to := roomOf(target)
	for _, may := range from.may {
		if to != nil && to.dir == may {
			return ""
		}
	}
	return fmt.Sprintf("%s may import of this project only itself and %v", from.dir, from.may)
}

// isTest reports whether the file is for tests: by its name, or by that of its
// folder, such as storage/storagetest.
func isTest(file string) bool {
	return strings.HasSuffix(file, "_test.go") || strings.HasSuffix(path.Dir(file), "test")
}

func roomOf(dir string) *room {
	for i := range rooms {
		if within(dir, rooms[i].dir) {
			return &rooms[i]
		}
	}
	return nil
}

// within reports whether the path is root or below it.
func within(name, root string) bool {
	return name == root || strings.HasPrefix(name, root+"/")
}
