package plot

import (
	"bytes"
	"errors"
	"image/png"
	"strings"
	"testing"
)

func example() *Chart {
	ch := &Chart{Title: "bucket of 1 s, 600 rpm, ×10, 1s, silent"}
	for i := range 120 {
		b := Bin{Seconds: float64(i) * 5, Limit: 600, Accepted: 590}
		if i%20 == 7 {
			b.Refused = 60
		}
		ch.Bins = append(ch.Bins, b)
	}
	return ch
}

func TestChartHasAllThatIsDrawn(t *testing.T) {
	var file bytes.Buffer
	if err := example().WritePNG(&file); err != nil {
		t.Fatal(err)
	}
	size := file.Len()
	img, err := png.Decode(&file)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[shade]int{}
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			r, g, b, _ := img.At(x, y).RGBA()
			seen[shade{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8)}]++
		}
	}
	for _, ink := range []shade{black, blue, red, grey} {
		if seen[ink] < 50 {
			t.Errorf("%d pixels of %v", seen[ink], ink)
		}
	}
	if size > 60_000 {
		t.Errorf("the file has %d bytes", size)
	}
}

func TestCSV(t *testing.T) {
	var b strings.Builder
	if err := example().WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 121 || lines[0] != "seconds,limit_rpm,accepted_rpm,refused_rpm" || lines[8] != "35,600,590,60" {
		t.Errorf("%d lines: %q, %q", len(lines), lines[0], lines[8])
	}
}

// fullDisk takes so many writes.
type fullDisk int

var errFull = errors.New("no space left")

func (f *fullDisk) Write(p []byte) (int, error) {
	if *f--; *f < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWriteErrorsAreReturned(t *testing.T) {
	for n := range 3 {
		disk := fullDisk(n)
		if err := example().WriteCSV(&disk); !errors.Is(err, errFull) {
			t.Errorf("CSV after %d writes: %v", n, err)
		}
	}
	disk := fullDisk(0)
	if err := example().WritePNG(&disk); !errors.Is(err, errFull) {
		t.Errorf("PNG: %v", err)
	}
}

// An empty chart is a frame, not a panic.
func TestEmptyChart(t *testing.T) {
	var file bytes.Buffer
	if err := (&Chart{}).WritePNG(&file); err != nil {
		t.Fatal(err)
	}
}
