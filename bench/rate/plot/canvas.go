package plot

import (
	"image"
	"image/color"
	"math"
)

// scale is how much larger is drawn than shown.
const scale = 3

// shade is an opaque colour.
type shade [3]uint8

var (
	white = shade{255, 255, 255}
	black = shade{40, 44, 52}
	grey  = shade{222, 225, 230}
	blue  = shade{38, 104, 190}
	red   = shade{206, 60, 48}
)

// canvas is drawn on in pixels of the picture, as fractions.
type canvas struct {
	w, h   int // of the picture
	pixels []shade
}

func newCanvas(w, h int) *canvas {
	c := &canvas{w: w, h: h, pixels: make([]shade, w*h*scale*scale)}
	for i := range c.pixels {
		c.pixels[i] = white
	}
	return c
}

// rect fills a rectangle.
func (c *canvas) rect(x0, y0, x1, y1 float64, ink shade) {
	left, right := c.column(x0), c.column(x1)
	top, bottom := c.row(y0), c.row(y1)
	for y := top; y < bottom; y++ {
		line := c.pixels[y*c.w*scale:]
		for x := left; x < right; x++ {
			line[x] = ink
		}
	}
}

func (c *canvas) column(x float64) int {
	return min(c.w*scale, max(0, int(math.Round(x*scale))))
}

func (c *canvas) row(y float64) int {
	return min(c.h*scale, max(0, int(math.Round(y*scale))))
}

// line draws a line with round ends.
func (c *canvas) line(x0, y0, x1, y1, thick float64, ink shade) {
	length := math.Hypot(x1-x0, y1-y0)
	steps := max(1, int(math.Ceil(length*scale)))
	for i := range steps + 1 {
		share := float64(i) / float64(steps)
		c.dot(x0+(x1-x0)*share, y0+(y1-y0)*share, thick/2, ink)
	}
}

// dot fills a disc.
func (c *canvas) dot(x, y, radius float64, ink shade) {
	x, y, radius = x*scale, y*scale, radius*scale
	for row := max(0, int(y-radius)); row <= min(c.h*scale-1, int(y+radius)); row++ {
		for column := max(0, int(x-radius)); column <= min(c.w*scale-1, int(x+radius)); column++ {
			if math.Hypot(float64(column)+0.5-x, float64(row)+0.5-y) <= radius {
				c.pixels[row*c.w*scale+column] = ink
			}
		}
	}
}

// image averages the drawing down to the picture. Few colours suffice, and
// make a small file.
func (c *canvas) image() *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, c.w, c.h))
	for y := range c.h {
		for x := range c.w {
			var sum [3]int
			for row := range scale {
				for column := range scale {
					p := c.pixels[(y*scale+row)*c.w*scale+x*scale+column]
					for i := range sum {
						sum[i] += int(p[i])
					}
				}
			}
			const n = scale * scale
			img.SetRGBA(x, y, color.RGBA{uint8(sum[0] / n), uint8(sum[1] / n), uint8(sum[2] / n), 255})
		}
	}
	return img
}
