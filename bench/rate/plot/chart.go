package plot

import (
	"fmt"
	"image/png"
	"io"
	"math"
	"strconv"
)

// Chart is requests a minute over time.
type Chart struct {
	Title string
	Bins  []Bin
}

// Bin is what happened in a span of time. Rates are requests a minute.
type Bin struct {
	Seconds           float64 // its beginning
	Limit             float64
	Accepted, Refused float64
}

const (
	chartWidth, chartHeight         = 900, 340
	left, right, top, bottom        = 74.0, 882.0, 56.0, 300.0
	cell                            = 1.55
	mostOverLimit                   = 2.5 // what is above is cut off
	roomAbove, gridLines, tickEvery = 1.15, 5, 120.0
)

// WritePNG draws the chart.
func (ch *Chart) WritePNG(w io.Writer) error {
	c := newCanvas(chartWidth, chartHeight)
	most, limit := 0.0, 0.0
	for _, b := range ch.Bins {
		most, limit = max(most, b.Accepted, b.Limit, b.Refused), max(limit, b.Limit)
	}
	if limit > 0 {
		most = min(most, mostOverLimit*limit)
	}
	step := niceStep(max(1, most) * roomAbove / gridLines)
	highest := step * math.Ceil(max(1, most)*roomAbove/step)
	y := func(v float64) float64 { return bottom - (bottom-top)*min(1, v/highest) }
	span := 1.0
	if n := len(ch.Bins); n > 1 {
		span = ch.Bins[n-1].Seconds + ch.Bins[1].Seconds - ch.Bins[0].Seconds
	}
	x := func(s float64) float64 { return left + (right-left)*s/span }

	for v := 0.0; v <= highest+step/2; v += step {
		c.rect(left, math.Round(y(v)), right, math.Round(y(v))+1, grey)
		label := strconv.FormatFloat(v, 'f', -1, 64)
		c.text(left-8-width(cell, label), y(v)-4, cell, black, label)
	}
	for s := 0.0; s <= span+1; s += tickEvery {
		c.line(x(s), bottom, x(s), bottom+4, 1, black)
		label := strconv.Itoa(int(s / 60))
		c.text(x(s)-width(cell, label)/2, bottom+10, cell, black, label)
	}
	c.text((left+right)/2-30, bottom+25, cell, black, "minutes")

	for i, b := range ch.Bins {
		if b.Refused > 0 {
			c.rect(x(b.Seconds), min(y(b.Refused), bottom-2), x(ch.end(i, span)), bottom, red)
		}
	}
	ch.steps(c, x, y, span, 1.6, black, func(b Bin) float64 { return b.Limit })
	ch.steps(c, x, y, span, 1.6, blue, func(b Bin) float64 { return b.Accepted })
	c.line(left, bottom, right, bottom, 1, black)

	c.text(left, 12, 1.8, black, ch.Title)
	at := left
	for _, key := range []struct {
		ink  shade
		name string
	}{{black, "true limit"}, {blue, "accepted"}, {red, "refused"}} {
		c.rect(at, 38, at+14, 43, key.ink)
		c.text(at+20, 35, cell, black, key.name)
		at += 20 + width(cell, key.name) + 20
	}
	c.text(at, 35, cell, black, "(requests a minute)")
	return png.Encode(w, c.image())
}

// end is where a bin is over.
func (ch *Chart) end(i int, span float64) float64 {
	if i+1 < len(ch.Bins) {
		return ch.Bins[i+1].Seconds
	}
	return span
}

func (ch *Chart) steps(c *canvas, x, y func(float64) float64, span, thick float64, ink shade, of func(Bin) float64) {
	for i, b := range ch.Bins {
		c.line(x(b.Seconds), y(of(b)), x(ch.end(i, span)), y(of(b)), thick, ink)
		if i > 0 {
			c.line(x(b.Seconds), y(of(ch.Bins[i-1])), x(b.Seconds), y(of(b)), thick, ink)
		}
	}
}

// niceStep is the next of 1, 2, 5, 10, … that is at least v.
func niceStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, n := range []float64{1, 2, 5} {
		if n*power >= v {
			return n * power
		}
	}
	return 10 * power
}

// WriteCSV writes the chart's data.
func (ch *Chart) WriteCSV(w io.Writer) error {
	if _, err := fmt.Fprintln(w, "seconds,limit_rpm,accepted_rpm,refused_rpm"); err != nil {
		return err
	}
	for _, b := range ch.Bins {
		if _, err := fmt.Fprintf(w, "%g,%g,%g,%g\n", b.Seconds, b.Limit, b.Accepted, b.Refused); err != nil {
			return err
		}
	}
	return nil
}
