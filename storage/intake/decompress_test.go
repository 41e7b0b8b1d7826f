package intake_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage/intake"
)

func compress(t testing.TB, encoding string, b []byte, opts ...zstd.EOption) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch encoding {
	case "gzip":
		w = gzip.NewWriter(&out)
	case "zstd":
		z, err := zstd.NewWriter(&out, opts...)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	default:
		return b
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func decompress(encoding string, body io.Reader) ([]byte, error) {
	d, err := intake.Decompress(encoding, body)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return io.ReadAll(d)
}

func text(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{})
	r.Read(b)
	for i := range b {
		b[i] = 'a' + b[i]%16
	}
	return b
}

func TestDecompress(t *testing.T) {
	want := text(300_000)
	for name, format := range map[string]string{"": "", "identity": "", "gzip": "gzip", "zstd": "zstd", " GZIP ": "gzip"} {
		got, err := decompress(name, bytes.NewReader(compress(t, format, want)))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q: %d bytes, %v", name, len(got), err)
		}
	}
	for _, format := range []string{"gzip", "zstd"} {
		twice := append(compress(t, format, want[:1000]), compress(t, format, want[1000:])...)
		if got, err := decompress(format, bytes.NewReader(twice)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("two members of %s: %d bytes, %v", format, len(got), err)
		}
		if got, err := decompress(format, bytes.NewReader(compress(t, format, nil))); err != nil || len(got) != 0 {
			t.Errorf("nothing as %s: %v", format, err)
		}
	}
	var unknown *intake.UnknownEncodingError
	for _, name := range []string{"br", "deflate", "gzip, zstd", "gzip;q=1"} {
		if _, err := intake.Decompress(name, nil); !errors.As(err, &unknown) || unknown.Encoding != name {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestCorruptBodies(t *testing.T) {
	fs := newFolder(t)
	for _, format := range []string{"gzip", "zstd"} {
		whole := compress(t, format, text(100_000))
		check := func(what string, body []byte) {
			t.Helper()
			d, err := intake.Decompress(format, bytes.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			_, err = intake.Read(ctx, fs, job.NewID(), d, intake.Limits{})
			var corrupt *intake.CorruptError
			var broken *intake.BodyError
			if !errors.As(err, &corrupt) || !errors.As(err, &broken) || corrupt.Encoding != format {
				t.Errorf("%s, %s: %v", format, what, err)
			}
			if _, err := d.Read(make([]byte, 10)); err == nil || err == io.EOF {
				t.Errorf("%s, %s: after its error it reads %v", format, what, err)
			}
		}
		check("nothing at all", nil)
		check("plain text", []byte(`{"prompt_id":1,"prompt":"x"}`+"\n"))
		for _, n := range []int{1, 3, 5, 20, len(whole) / 2, len(whole) - 1} {
			check("cut", whole[:n])
		}
		check("a tail", append(bytes.Clone(whole), "garbage"...))
		for i := 0; i < 3; i++ {
			b := bytes.Clone(whole)
			b[len(b)/4*(i+1)] ^= 0xff
			check("a flipped byte", b)
		}
		empty(t, fs)
	}
}

// An error of the connection is no corruption.
func TestCutCompressedBody(t *testing.T) {
	cut := errors.New("connection reset")
	for _, format := range []string{"gzip", "zstd"} {
		whole := compress(t, format, text(200_000))
		for _, n := range []int{0, 1, len(whole) / 2, len(whole) - 1} {
			_, err := decompress(format, io.MultiReader(bytes.NewReader(whole[:n]), iotest.ErrReader(cut)))
			var corrupt *intake.CorruptError
			if !errors.Is(err, cut) || errors.As(err, &corrupt) {
				t.Errorf("%s cut at %d: %v", format, n, err)
			}
		}
	}
}

// Data that expand a thousand times meet the limit, not the memory.
func TestBombs(t *testing.T) {
	fs := newFolder(t)
	zeros := make([]byte, 48<<20)
	for _, format := range []string{"gzip", "zstd"} {
		bomb := compress(t, format, zeros)
		d, err := intake.Decompress(format, bytes.NewReader(bomb))
		if err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = intake.Read(ctx, fs, job.NewID(), d, intake.Limits{MaxBytes: 40 << 20})
		runtime.ReadMemStats(&after)
		d.Close()
		var large *intake.TooLargeError
		if !errors.As(err, &large) {
			t.Errorf("%s: %v", format, err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 32<<20 {
			t.Errorf("%s: it took %d MiB to refuse it", format, took>>20)
		}
		empty(t, fs)
	}
}

func TestLargeWindow(t *testing.T) {
	body := compress(t, "zstd", make([]byte, 17<<20), zstd.WithWindowSize(16<<20))
	_, err := decompress("zstd", bytes.NewReader(body))
	if err == nil || !strings.Contains(err.Error(), "window") {
		t.Error(err)
	}
	body = compress(t, "zstd", make([]byte, 9<<20), zstd.WithWindowSize(8<<20))
	if _, err := decompress("zstd", bytes.NewReader(body)); err != nil {
		t.Error(err)
	}
}
