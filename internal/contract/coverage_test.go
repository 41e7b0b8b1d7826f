package contract_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

// fewest is how many promises the contract has at the very least.
const fewest = 300

// section is a heading of the table with its rows.
type section struct {
	name string
	rows []row
}

type row struct {
	number, promise string
	tests           []string
}

var rowOf = regexp.MustCompile(`^\| (\d+\.\d+) \| (.+) \| (.*) \|$`)

// TestCoverage checks the table against api.md and the tests.
func TestCoverage(t *testing.T) {
	sections, err := parseTable(read(t, "contract-coverage.md"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range sections {
		names = append(names, s.name)
	}
	if want := headings(read(t, "api.md")); !slices.Equal(names, want) {
		t.Errorf("the table's sections are\n%q\nand api.md's are\n%q", names, want)
	}
	known := tests{}
	rows := 0
	for _, s := range sections {
		rows += len(s.rows)
		for _, r := range s.rows {
			for _, name := range r.tests {
				if err := known.find(name); err != nil {
					t.Errorf("%s (%s): %v", r.number, r.promise, err)
				}
			}
		}
	}
	if rows < fewest {
		t.Errorf("the table has %d rows, and the contract has more promises", rows)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func headings(text string) (names []string) {
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "## "); ok {
			names = append(names, strings.TrimSpace(strings.ReplaceAll(name, "`", "")))
		}
	}
	return names
}

// parseTable reads the table. Its error names the first row that is none.
func parseTable(text string) (sections []section, err error) {
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if name, ok := strings.CutPrefix(line, "## "); ok {
			sections = append(sections, section{name: name})
			continue
		}
		if len(sections) == 0 || line == "" || line == "| | promise | held by |" || line == "|---|---|---|" {
			continue
		}
		s := &sections[len(sections)-1]
		fields := rowOf.FindStringSubmatch(line)
		if fields == nil {
			return nil, fmt.Errorf("no row: %s", line)
		}
		r := row{number: fields[1], promise: fields[2]}
		if want := fmt.Sprintf("%d.%d", len(sections), len(s.rows)+1); r.number != want {
			return nil, fmt.Errorf("row %s should be %s", r.number, want)
		}
		if seen[s.name+r.promise] {
			return nil, fmt.Errorf("row %s comes twice: %s", r.number, r.promise)
		}
		seen[s.name+r.promise] = true
		for _, name := range strings.Split(fields[3], "`, `") {
			if name = strings.Trim(name, "` "); name == "" {
				return nil, fmt.Errorf("row %s has an empty cell", r.number)
			}
			r.tests = append(r.tests, name)
		}
		s.rows = append(s.rows, r)
	}
	for _, s := range sections {
		if len(s.rows) == 0 {
			return nil, fmt.Errorf("section %q has no row", s.name)
		}
	}
	return sections, nil
}

// tests are the test functions of each folder, and the texts in its tests.
type tests map[string]*folder

type folder struct {
	functions map[string]bool
	texts     []string
}

// find looks a test up, such as storage/intake.TestRead/a repeated id.
func (known tests) find(name string) error {
	function, subtest, _ := strings.Cut(name, ".")
	dir := function
	function, subtest, hasCase := strings.Cut(subtest, "/")
	f := known[dir]
	if f == nil {
		var err error
		if f, err = readFolder(dir); err != nil {
			return err
		}
		known[dir] = f
	}
	if !f.functions[function] {
		return fmt.Errorf("%s has no test %s", dir, function)
	}
	if hasCase && !f.hasCase(subtest) {
		return fmt.Errorf("the tests of %s have no case %q", dir, subtest)
	}
	return nil
}

// hasCase tells whether a case, or each of the cases within each other, stands in
// a text of the tests.
func (f *folder) hasCase(name string) bool {
	stands := func(name string) bool {
		return slices.ContainsFunc(f.texts, func(text string) bool { return strings.Contains(text, name) })
	}
	return stands(name) || !slices.ContainsFunc(strings.Split(name, "/"), func(one string) bool { return !stands(one) })
}

// suites are the folders whose cases a test of another folder runs.
var suites = map[string]string{"storage/bolt": "storage/storagetest"}

func readFolder(dir string) (*folder, error) {
	names, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	if suite := suites[dir]; suite != "" && err == nil {
		var more []string
		more, err = filepath.Glob(filepath.Join(root, suite, "*.go"))
		names = append(names, more...)
	}
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, errors.New(dir + " has no tests")
	}
	f := &folder{functions: map[string]bool{}}
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			return nil, err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && (strings.HasPrefix(n.Name.Name, "Test") || strings.HasPrefix(n.Name.Name, "Fuzz")) {
					f.functions[n.Name.Name] = true
				}
			case *ast.BasicLit:
				if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
					f.texts = append(f.texts, text)
				}
			}
			return true
		})
	}
	return f, nil
}

// TestFind: what is not there is not found.
func TestFind(t *testing.T) {
	known := tests{}
	for name, there := range map[string]bool{
		"internal/contract.TestFind":              true,
		"internal/contract.TestFind/a case of it": true,
		"internal/contract.TestNothing":           false,
		"internal/nowhere.TestFind":               false,
		"storage/bolt.TestStore/Quotas":           true,
		"storage/bolt.TestStore/" + "No such":     false,
	} {
		if err := known.find(name); (err == nil) != there {
			t.Errorf("%s: %v", name, err)
		}
	}
	_ = "a case of it"
}

// TestParseTable: what would make the table say nothing is refused.
func TestParseTable(t *testing.T) {
	const head = "# x\n\n## A\n\n| | promise | held by |\n|---|---|---|\n"
	for name, c := range map[string]struct {
		text string
		ok   bool
	}{
		"a row":           {head + "| 1.1 | p | `a.TestB` |\n", true},
		"an empty cell":   {head + "| 1.1 | p |  |\n", false},
		"a gap":           {head + "| 1.1 | p | `a.TestB` |\n| 1.3 | q | `a.TestB` |\n", false},
		"a promise again": {head + "| 1.1 | p | `a.TestB` |\n| 1.2 | p | `a.TestB` |\n", false},
		"prose":           {head + "and so on\n", false},
		"no row":          {head, false},
	} {
		if _, err := parseTable(c.text); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
