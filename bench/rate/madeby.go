package rate

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"runtime"
	"slices"
	"strings"

	"github.com/promptforge/promptforge/dispatcher/rate"
)

//go:embed *.go
var sources embed.FS

// undecided are the files that decide no figure: the scenarios stand with their
// figures, and controller.go is about ours alone.
var undecided = []string{"catalogue.go", "chart.go", "controller.go", "doc.go", "kept.go", "madeby.go", "progress.go", "table.go"}

// madeBy names the code that decides a rule's figures: the laboratory's and, for
// ours, the controller's; and what compiled it. Comments and tests are no part of
// it.
func madeBy(rule string) string {
	parts := []string{runtime.Version(), runtime.GOARCH, hashed(sources, func(name string) bool { return !slices.Contains(undecided, name) })}
	if rule == OursName {
		parts = append(parts, hashed(sources, func(name string) bool { return name == "controller.go" }))
		parts = append(parts, hashed(rate.Sources, func(string) bool { return true }))
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, " ")))
	return hex.EncodeToString(sum[:8])
}

// hashed is a hash of the words of all files that decide.
func hashed(files fs.FS, decides func(name string) bool) string {
	h := sha256.New()
	names, err := fs.Glob(files, "*.go")
	if err != nil {
		panic(err) // the pattern is a good one
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") || !decides(name) {
			continue
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			panic(err) // it is part of this program
		}
		fmt.Fprintln(h, name)
		var s scanner.Scanner
		set := token.NewFileSet()
		s.Init(set.AddFile(name, -1, len(text)), text, nil, 0)
		for {
			_, kind, word := s.Scan()
			if kind == token.EOF {
				break
			}
			fmt.Fprintf(h, "%d %q\n", kind, word)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}
