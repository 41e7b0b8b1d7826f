//go:build unsafe_nosync

package durable

import (
	"fmt"
	"os"
	"slices"
)

// removed is the point whose sync is taken away.
var removed = func() Point {
	p := Point(os.Getenv("PROMPTFORGE_UNSAFE_NOSYNC"))
	if p != "" && !slices.Contains(Points(), p) {
		panic(fmt.Sprintf("PROMPTFORGE_UNSAFE_NOSYNC=%s names no sync; there are %v", p, Points()))
	}
	return p
}()

// Removed tells whether a test took a sync away. A program that was built with
// the tag unsafe_nosync must never hold anything that somebody wants to keep.
func Removed(p Point) bool { return p == removed }
