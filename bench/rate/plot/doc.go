// Package plot draws charts of a run with nothing but the standard library:
// lines, bars and a font of strokes of its own, drawn three times as large and
// averaged down.
package plot
