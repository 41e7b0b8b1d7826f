package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/promptforge/promptforge/storage/intake"
)

// promptsReader is a prompts file being read. Its first bytes tell how it is
// encoded, whatever its name.
type promptsReader struct {
	io.Reader
	io.Closer
	encoding string // "", gzip or zstd
	length   int64  // of the file as it is; -1: not known, and it can be read once only
}

// openPrompts opens a prompts file. What is certainly none (a folder, a
// spreadsheet, UTF-16 and so on) is an error, a sentence that says what to do.
func openPrompts(name string) (*promptsReader, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, unreadable(name, err)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, errors.Join(unreadable(name, err), f.Close())
	case info.IsDir():
		return nil, errors.Join(fmt.Errorf("%s is a folder; a file with one prompt a line is needed", name), f.Close())
	}
	length := int64(-1)
	if info.Mode().IsRegular() {
		length = info.Size()
	}
	return readPrompts(name, f, length)
}

// readPrompts takes over f, which it closes where it fails.
func readPrompts(name string, f io.ReadCloser, length int64) (*promptsReader, error) {
	r := bufio.NewReaderSize(f, 64<<10)
	head, err := r.Peek(headBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(unreadable(name, err), f.Close())
	}
	encoding := encodingOf(head)
	if encoding != "" {
		head = inside(encoding, head)
	}
	if what := noPrompts(filepath.Ext(name), head); what != "" {
		return nil, errors.Join(fmt.Errorf("%s is %s", name, what), f.Close())
	}
	return &promptsReader{Reader: r, Closer: f, encoding: encoding, length: length}, nil
}

// unreadable is a sentence for what the system says of a file.
func unreadable(name string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no file %s", name)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s cannot be read: this user may not (ls -l %s shows who may)", name, quote(name))
	default:
		return fmt.Errorf("%s cannot be read: %w", name, err)
	}
}

// headBytes is how much of a file is looked at: as much as tar's mark needs.
const headBytes = 512

func encodingOf(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return "gzip"
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		return "zstd"
	}
	return ""
}

// inside is how the content of a compressed file begins, as far as the head of
// the file tells.
func inside(encoding string, head []byte) []byte {
	z, err := intake.Decompress(encoding, bytes.NewReader(head))
	if err != nil {
		return nil
	}
	defer z.Close()
	text, _ := io.ReadAll(io.LimitReader(z, headBytes)) // it is cut, so it ends in an error
	return text
}

// noPrompts says what a file is that begins like this and holds no prompts for
// certain; "" where it may.
func noPrompts(ext string, head []byte) string {
	begins := func(marks ...string) bool {
		for _, mark := range marks {
			if bytes.HasPrefix(head, []byte(mark)) {
				return true
			}
		}
		return false
	}
	const jsonl = ", and JSON Lines are needed"
	ext = strings.ToLower(ext)
	switch {
	case begins("PK\x03\x04") && (ext == ".xlsx" || ext == ".ods"), begins("\xd0\xcf\x11\xe0") && ext == ".xls":
		return "a spreadsheet" + jsonl + `: one object a line such as {"prompt_id": 1, "prompt": "…"}; export it as CSV and convert that`
	case begins("PK\x03\x04"):
		return "a ZIP archive; unpack it first (unzip), or compress the prompts with gzip or zstd"
	case begins("BZh", "\xfd7zXZ\x00", "7z\xbc\xaf\x27\x1c", "\x04\x22\x4d\x18"):
		return "compressed in a way that is not understood here; unpack it first, or compress it with gzip or zstd"
	case len(head) > 262 && string(head[257:262]) == "ustar":
		return "a tar archive; unpack it first (tar xf), and give the file in it"
	case begins("PAR1"):
		return "a Parquet file" + jsonl + `; from Python: pandas.read_parquet(FILE).to_json("prompts.jsonl", orient="records", lines=True)`
	case begins("\xff\xfe\x00\x00", "\x00\x00\xfe\xff"):
		return "in UTF-32, and UTF-8 is needed: iconv -f UTF-32 -t UTF-8 FILE > prompts.jsonl"
	case begins("\xff\xfe", "\xfe\xff", "{\x00", "\x00{"):
		return "in UTF-16, and UTF-8 is needed: iconv -f UTF-16 -t UTF-8 FILE > prompts.jsonl"
	case begins("%PDF-"):
		return "a PDF" + jsonl
	}
	if text, array := bytes.CutPrefix(bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n"), []byte("[")); array {
		if text = bytes.TrimLeft(text, " \t\r\n"); len(text) > 0 && text[0] == '{' {
			return "one JSON array, and one object a line without a comma between them is needed: jq -c '.[]' FILE > prompts.jsonl"
		}
	}
	return ""
}
