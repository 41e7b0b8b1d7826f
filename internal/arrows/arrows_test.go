package arrows_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

// TestArrows reads the imports of every Go file in the checkout, whatever its
// build tags, and fails for each that points the wrong way.
func TestArrows(t *testing.T) {
	t.Parallel()
	seen := 0
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != root && skipped(name, entry.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		seen++
		return checkFile(t, name)
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 10 {
		t.Fatalf("only %d Go files were found under %s: the test looks in the wrong place", seen, root)
	}
}

// skipped reports whether a folder holds no code of this module: hidden ones,
// test data, other languages' packages, and modules of their own.
func skipped(dir, base string) bool {
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "node_modules" {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func checkFile(t *testing.T, name string) error {
	t.Helper()
	file, err := filepath.Rel(root, name)
	if err != nil {
		return err
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
	if err != nil {
		return err
	}
	for _, spec := range parsed.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		if why := wrong(filepath.ToSlash(file), imported); why != "" {
			t.Errorf("%s imports %s: %s", file, imported, why)
		}
	}
	return nil
}

// TestRules shows that the rules refuse what they should, so that a green
// TestArrows means something.
func TestRules(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		file, imported string
		allowed        bool
	}{
		{"cmd/promptforge/serve.go", module + "/server", true},
		{"cmd/promptforge/serve.go", module + "/dispatcher", true},
		{"cmd/promptforge/serve.go", module + "/storage/bolt", true},
		{"cmd/promptforge/serve.go", module + "/simulator", true},
		{"cmd/promptforge/serve.go", module + "/gen/go/promptforge/v1", true},
		{"cmd/promptforge/serve.go", "go.etcd.io/bbolt", false},
		{"cmd/promptforge/serve_test.go", "go.etcd.io/bbolt", true},
		{"server/jobs.go", module + "/storage", true},
		{"server/jobs.go", module + "/storage/files", true},
		{"server/jobs.go", module + "/job", true},
		{"server/jobs.go", module + "/server/pjson", true},
		{"server/jobs.go", module + "/gen/go/promptforge/v1", true},
		{"server/jobs.go", module + "/storage/bolt", false},
		{"server/jobs.go", module + "/dispatcher", false},
		{"server/jobs.go", module + "/dispatcher/provider", false},
		{"server/jobs.go", module + "/dispatcher/rate", false},
		{"server/jobs.go", module + "/simulator", false},
		{"server/jobs.go", module + "/cmd/promptforge", false},
		{"server/jobs.go", module, false},
		{"server/jobs_test.go", module + "/simulator", true},
		{"server/jobs_test.go", "go.etcd.io/bbolt", false},
		{"server/pjson/encode.go", module + "/dispatcher", false},
		{"dispatcher/lane.go", module + "/dispatcher/rate", true},
		{"dispatcher/lane.go", module + "/dispatcher/provider", true},
		{"dispatcher/lane.go", module + "/storage", true},
		{"dispatcher/lane.go", module + "/internal/failpoint", true},
		{"dispatcher/lane.go", module + "/server", false},
		{"dispatcher/lane.go", module + "/server/pjson", false},
		{"dispatcher/lane.go", module + "/gen/go/promptforge/v1", false},
		{"dispatcher/lane.go", module + "/storage/postgres", false},
		{"dispatcher/provider/openai.go", module + "/dispatcher", true},
		{"dispatcher/rate/bucket.go", module + "/job", false},
		{"dispatcher/rate/bucket.go", module + "/dispatcher", false},
		{"dispatcher/rate/bucket_test.go", module + "/job", false},
		{"dispatcher/rate/bucket_test.go", module + "/dispatcher/rate", true},
		{"storage/store.go", module + "/job", true},
		{"storage/store.go", module + "/storage/bolt", false},
		{"storage/store.go", module + "/dispatcher", false},
		{"storage/bolt/store.go", module + "/storage", true},
		{"storage/bolt/store.go", "go.etcd.io/bbolt", true},
		{"storage/bolt/store.go", "go.etcd.io/bbolt/errors", true},
		{"storage/bolt/store.go", "github.com/jackc/pgx/v5/pgxpool", false},
		{"storage/bolt/store_test.go", module + "/storage/storagetest", true},
		{"storage/bolt/store.go", module + "/storage/postgres", false},
		{"storage/postgres/store.go", "github.com/jackc/pgx/v5/pgxpool", true},
		{"storage/postgres/store.go", "go.etcd.io/bbolt", false},
		{"storage/files/folder.go", "go.etcd.io/bbolt", false},
		{"storage/storagetest/suite.go", module + "/internal/clock", true},
		{"job/job.go", module + "/storage", false},
		{"job/job.go", module + "/internal/clock", false},
		{"job/job.go", "github.com/google/uuid", true},
		{"job/job_test.go", module + "/job", true},
		{"job/job_test.go", module + "/simulator", false},
		{"simulator/server.go", module + "/job", false},
		{"simulator/server_test.go", module + "/client", true},
		{"client/dial.go", module + "/gen/go/promptforge/v1", true},
		{"client/dial.go", module + "/server", false},
		{"internal/clock/clock.go", module + "/storage", false},
		{"bench/run.go", module + "/simulator", true},
		{"gen/go/promptforge/v1/x.go", module + "/job", false},
	} {
		if why := wrong(tc.file, tc.imported); (why == "") != tc.allowed {
			t.Errorf("%s imports %s: allowed should be %v; %s", tc.file, tc.imported, tc.allowed, why)
		}
	}
}
