package pjson

import (
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// maxTypos is how many letters may differ for a name to be taken for a
// misspelling of a field's.
const maxTypos = 3

// nearest returns the field's name that the caller most likely meant, or "".
// The names that differ only in case and separators, as camelCase does, are
// nearest of all.
func nearest(m protoreflect.MessageDescriptor, name string) string {
	if len(name) > maxShown {
		return ""
	}
	folded := fold(name)
	best, bestTypos := "", maxTypos+1
	fields := m.Fields()
	for i := range fields.Len() {
		candidate := string(fields.Get(i).Name())
		typos := distance(folded, fold(candidate))
		// More than a third of a name misspelt is another name.
		if typos < bestTypos && typos*3 <= len(candidate) {
			best, bestTypos = candidate, typos
		}
	}
	return best
}

var separators = strings.NewReplacer("_", "", "-", "", " ", "")

func fold(name string) string { return strings.ToLower(separators.Replace(name)) }

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
