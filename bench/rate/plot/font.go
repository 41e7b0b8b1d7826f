package plot

import (
	"strconv"
	"strings"
)

// strokes is a font of lower-case letters, digits and some signs. A glyph is
// polylines of points "xy" on a grid of 5 by 9: capitals stand between rows 0
// and 6, small letters between 2 and 6, tails reach row 8.
var strokes = parseStrokes(map[rune]string{
	'0': "10 30 41 45 36 16 05 01 10", '1': "11 20 26;16 36", '2': "01 10 30 41 42 06 46",
	'3': "01 10 30 41 42 33 44 45 36 16 05;13 33", '4': "36 30 04 44", '5': "40 00 03 33 44 45 36 06",
	'6': "40 20 02 05 16 36 45 44 33 03", '7': "00 40 16", '8': "13 02 01 10 30 41 42 33 13 04 05 16 36 45 44 33",
	'9': "06 26 44 41 30 10 01 02 13 43",
	'a': "12 32 43 46;44 14 05 16 36 45", 'b': "00 06 36 45 43 32 02", 'c': "42 12 03 05 16 46",
	'd': "40 46 16 05 03 12 42", 'e': "04 44 43 32 12 03 05 16 36", 'f': "30 20 11 16;02 22",
	'g': "42 12 03 05 16 46;42 47 38 08", 'h': "00 06;02 32 43 46", 'i': "22 26;20 20.5", 'j': "22 27 18 08;20 20.5",
	'k': "00 06;32 04 36", 'l': "10 15 26", 'm': "06 02 12 23 26;23 32 42 46", 'n': "06 02 32 43 46",
	'o': "12 32 43 45 36 16 05 03 12", 'p': "08 02 32 43 45 36 06", 'q': "48 42 12 03 05 16 46",
	'r': "06 02;03 12 32", 's': "42 12 03 14 34 45 36 06", 't': "10 15 26 36;02 32", 'u': "02 05 16 46;42 46",
	'v': "02 26 42", 'w': "02 16 23 36 42", 'x': "02 46;42 06", 'y': "02 26;42 08", 'z': "02 42 06 46",
	'.': "26 26", ',': "26 18", ':': "23 23;26 26", '-': "04 44", '+': "04 44;22 26", '=': "03 43;05 45",
	'/': "06 40", '%': "06 40;00 11;35 46", '(': "30 12 15 37", ')': "10 32 35 17", '×': "13 45;43 15", '÷': "04 44;22 22;26 26",
	'\'': "20 21", '|': "20 28", '≤': "40 02 44;06 46", '≥': "00 42 04;06 46",
})

// point is a place in a glyph, in cells of its grid.
type point struct{ x, y float64 }

func parseStrokes(glyphs map[rune]string) map[rune][][]point {
	parsed := map[rune][][]point{}
	for glyph, text := range glyphs {
		for line := range strings.SplitSeq(text, ";") {
			var points []point
			for xy := range strings.FieldsSeq(line) {
				x, errX := strconv.ParseFloat(xy[:1], 64)
				y, errY := strconv.ParseFloat(xy[1:], 64)
				if errX != nil || errY != nil {
					panic("plot: the glyph " + string(glyph) + " has the point " + xy)
				}
				points = append(points, point{x, y})
			}
			parsed[glyph] = append(parsed[glyph], points)
		}
	}
	return parsed
}

// advance is how far one glyph is from the next, in cells of the grid.
const advance = 6

// text writes s with its first capital's corner at x, y, so many pixels a cell.
// Capitals are written small; a sign that the font has not is left out.
func (c *canvas) text(x, y, cell float64, ink shade, s string) {
	for _, glyph := range strings.ToLower(s) {
		for _, line := range strokes[glyph] {
			if len(line) == 1 {
				line = append(line, line[0])
			}
			for i := 1; i < len(line); i++ {
				from, to := line[i-1], line[i]
				c.line(x+from.x*cell, y+from.y*cell, x+to.x*cell, y+to.y*cell, 0.75*cell, ink)
			}
		}
		x += advance * cell
	}
}

// width is how wide text would be.
func width(cell float64, s string) float64 { return float64(len([]rune(s))) * advance * cell }
