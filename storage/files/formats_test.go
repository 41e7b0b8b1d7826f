package files

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/promptforge/promptforge/internal/durable"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// chaff is text that does not compress.
func chaff(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(b)
	return b
}

func writePrompts(t testing.TB, fs storage.Files, lines []PromptLine) string {
	t.Helper()
	name := PromptsName(job.NewID())
	w, err := NewPromptsWriter(ctx, fs, name)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		if err := w.Add(l.Line, l.Raw); err != nil {
			t.Fatal(err)
		}
	}
	n, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if f, err := fs.Open(ctx, name); err != nil || f.Size() != n {
		t.Fatalf("Commit says %d bytes: %v", n, err)
	} else {
		f.Close()
	}
	return name
}

func readPrompts(fs storage.Files, name string) ([]PromptLine, error) {
	p, err := OpenPrompts(ctx, fs, name)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	var all []PromptLine
	for i := range p.Blocks() {
		lines, _, err := p.ReadBlock(i, nil)
		if err != nil {
			return nil, err
		}
		all = append(all, lines...)
	}
	return all, nil
}

func TestPrompts(t *testing.T) {
	fs := newFolder(t)
	big := chaff(job.MaxLineBytes)
	for _, c := range []struct {
		name   string
		lines  []PromptLine
		blocks int
	}{
		{"empty", nil, 0},
		{"one", []PromptLine{{5, []byte("a")}}, 1},
		{"the last line there can be", []PromptLine{{1, []byte("a")}, {1<<32 - 1, []byte("b")}}, 1},
		{"a block and a little", []PromptLine{{1, big[:600<<10]}, {2, big[:600<<10]}, {9, nil}}, 2},
		{"the longest", []PromptLine{{1, []byte("a")}, {2, big}, {4, []byte("b")}, {5, []byte("c")}}, 3},
		{"two long ones", []PromptLine{{1, big[:blockBytes]}, {2, big[1 : 2<<20]}}, 2},
		{"at the edge", []PromptLine{{1, big[:blockBytes-maxRecordHead]}, {2, big[:blockBytes-maxRecordHead+1]}}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := writePrompts(t, fs, c.lines)
			p, err := OpenPrompts(ctx, fs, name)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			if len(p.Blocks()) != c.blocks || p.Lines() != int64(len(c.lines)) {
				t.Errorf("%d blocks, %d lines", len(p.Blocks()), p.Lines())
			}
			got, err := readPrompts(fs, name)
			if err != nil {
				t.Fatal(err)
			}
			same(t, c.lines, got)
		})
	}
}

func same(t testing.TB, want, got []PromptLine) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("%d lines, want %d", len(got), len(want))
	}
	for i := range want {
		if want[i].Line != got[i].Line || !bytes.Equal(want[i].Raw, got[i].Raw) {
			t.Fatalf("line %d came back as line %d, or other bytes", want[i].Line, got[i].Line)
		}
	}
}

func TestPromptsRandom(t *testing.T) {
	fs := newFolder(t)
	noise := chaff(2 << 20)
	rapid.Check(t, func(rt *rapid.T) {
		var lines []PromptLine
		at := int64(0)
		for range rapid.IntRange(0, 6).Draw(rt, "lines") {
			at += rapid.Int64Range(1, 1000).Draw(rt, "gap")
			n := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 100<<10), rapid.IntRange(blockBytes-40, blockBytes+40)).Draw(rt, "length")
			lines = append(lines, PromptLine{at, noise[:n]})
		}
		name := writePrompts(t, fs, lines)
		got, err := readPrompts(fs, name)
		if err != nil {
			rt.Fatal(err)
		}
		same(t, lines, got)
		fs.Remove(ctx, name)
	})
}

func TestPromptsReuseBuffer(t *testing.T) {
	fs := newFolder(t)
	name := writePrompts(t, fs, []PromptLine{{1, chaff(700 << 10)}, {2, chaff(700 << 10)}})
	p, err := OpenPrompts(ctx, fs, name)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	_, buf, _ := p.ReadBlock(0, nil)
	lines, again, err := p.ReadBlock(1, buf)
	if err != nil || &buf[0] != &again[0] || lines[0].Line != 2 {
		t.Errorf("the buffer was not used again: %v", err)
	}
}

func TestPromptsWriterRefuses(t *testing.T) {
	fs := newFolder(t)
	begin := func() *PromptsWriter {
		w, err := NewPromptsWriter(ctx, fs, PromptsName(job.NewID()))
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := begin()
	w.Add(2, []byte("a"))
	if err := w.Add(2, []byte("b")); err == nil {
		t.Error("a line twice")
	}
	if _, err := w.Commit(); err == nil {
		t.Error("a commit after an error")
	}
	w = begin()
	if err := w.Add(1, make([]byte, job.MaxLineBytes+1)); err == nil {
		t.Error("a line too long")
	}
	w.Discard()
	w = begin()
	w.Discard()
	if err := w.Add(1, nil); err == nil {
		t.Error("a line after Discard")
	}
	w = begin()
	if _, err := w.Commit(); err != nil {
		t.Error(err)
	}
	w.Discard()
	if len(names(t, fs)) != 1 {
		t.Error("Discard after Commit did something")
	}
}

func outcomes(n int) []*job.Outcome {
	all := make([]*job.Outcome, n)
	for i := range all {
		line := int64(i*2 + 1)
		if i%3 == 1 {
			all[i] = job.UnusableLine(line, &job.LineError{Code: job.CodeInvalidLine, Message: fmt.Sprint("no ", i)})
			continue
		}
		r := job.Result{PromptID: job.IntID(int64(i)), Text: strings.Repeat("ä", i%50)}
		all[i] = &job.Outcome{Line: line, Public: r.AppendJSON(nil), Response: []byte(`{"a":1}`), RequestID: fmt.Sprint("r", i)}
	}
	return all
}

func writePart(t testing.TB, fs storage.Files, all []*job.Outcome) storage.NewPart {
	t.Helper()
	w, err := NewPartWriter(ctx, fs, PartName(job.NewID(), job.NewTerm(), 1), 11, 4990)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range all {
		if err := w.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	p, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func readPart(fs storage.Files, p storage.Part) ([]*job.Outcome, error) {
	r, err := OpenPart(ctx, fs, p)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var all []*job.Outcome
	for {
		o, err := r.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		o.Public, o.Response = bytes.Clone(o.Public), bytes.Clone(o.Response)
		all = append(all, &o)
	}
}

func TestPart(t *testing.T) {
	fs := newFolder(t)
	huge := job.Result{Text: string(bytes.Repeat([]byte("a lot "), 1<<20))}
	cases := map[string][]*job.Outcome{
		"one": outcomes(1), "two": outcomes(2), "a whole part": outcomes(5000),
		"a huge one": append(outcomes(3), &job.Outcome{Line: 100, Public: huge.AppendJSON(nil)}, outcomes(60)[58]),
	}
	for name, all := range cases {
		t.Run(name, func(t *testing.T) {
			p := writePart(t, fs, all)
			var want storage.Range
			want.FirstOffset, want.ResultsBefore = 11, 4990
			for _, o := range all {
				want.Add(o)
				if !p.Done.Contains(uint32(o.Line)) || p.Failed.Contains(uint32(o.Line)) != o.Failed {
					t.Errorf("line %d is wrong in the bitmaps", o.Line)
				}
			}
			if d := cmp.Diff(want, p.Range); d != "" {
				t.Error(d)
			}
			if p.Done.GetCardinality() != uint64(len(all)) || int64(p.Failed.GetCardinality()) != p.Outcomes-p.Results {
				t.Error("the bitmaps hold other lines too")
			}
			if err := Verify(ctx, fs, p.Name, p.Bytes, p.SHA256); err != nil {
				t.Error(err)
			}
			got, err := readPart(fs, p.Part)
			if err != nil || len(got) != len(all) {
				t.Fatal(len(got), err)
			}
			for i := range all {
				if !bytes.Equal(all[i].AppendBinary(nil), got[i].AppendBinary(nil)) {
					t.Fatalf("outcome %d came back otherwise", i)
				}
			}
			results := p.Part
			results.ResultsOnly = true
			results.Outcomes = results.Results
			got, err = readPart(fs, results)
			if err != nil || int64(len(got)) != p.Results {
				t.Fatal(len(got), err)
			}
			for _, o := range got {
				if o.Failed {
					t.Error("an error record of a part that is ResultsOnly")
				}
			}
		})
	}
}

func TestPartWriterRefuses(t *testing.T) {
	fs := newFolder(t)
	begin := func() *PartWriter {
		w, err := NewPartWriter(ctx, fs, PartName(job.NewID(), job.Term{}, 1), 1, 0)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := begin()
	if _, err := w.Commit(); err == nil {
		t.Error("an empty part")
	}
	w = begin()
	for i, o := range outcomes(5000) {
		if w.Full() {
			t.Fatalf("full at %d", i)
		}
		w.Add(o)
	}
	if !w.Full() || w.Add(outcomes(1)[0]) == nil {
		t.Error("outcome 5,001 was taken")
	}
	w.Discard()
	w = begin()
	if err := w.Add(&job.Outcome{Line: 0, Public: []byte("{}")}); err == nil {
		t.Error("line 0 was taken")
	}
	w.Discard()
	w = begin()
	for range 9 {
		w.Add(&job.Outcome{Line: 1, Public: make([]byte, 8<<20)})
	}
	if !w.Full() {
		t.Error("72 MiB and not full")
	}
	w.Discard()
	if err := w.Add(outcomes(1)[0]); err == nil {
		t.Error("an outcome after Discard")
	}
}

// altered is a copy of a file with other bytes, under a new name.
func altered(t testing.TB, fs storage.Files, b []byte) string {
	t.Helper()
	name := "damaged/" + random()
	if err := put(t, fs, name, string(b)); err != nil {
		t.Fatal(err)
	}
	return name
}

// Any one byte that changes, any cut and any tail is found out before a wrong
// line is handed out.
func TestDamage(t *testing.T) {
	fs := newFolder(t)
	fs.sys.syncFile = func(durable.Point, *os.File) error { return nil } // thousands of small files
	fs.sys.syncDir = func(durable.Point, string) error { return nil }

	lines := []PromptLine{{1, []byte("one")}, {3, chaff(300)}, {4, bytes.Repeat([]byte("ab"), 200)}}
	prompts := []byte(get(t, fs, writePrompts(t, fs, lines)))
	part := writePart(t, fs, outcomes(12))
	partBytes := []byte(get(t, fs, part.Name))

	readAs := map[string]func(name string, size int) error{
		"prompts": func(name string, _ int) error { _, err := readPrompts(fs, name); return err },
		"part": func(name string, size int) error {
			p := part.Part
			p.Name = name
			p.Bytes = int64(size) // the length alone must not be what tells
			_, err := readPart(fs, p)
			return err
		},
	}
	for kind, whole := range map[string][]byte{"prompts": prompts, "part": partBytes} {
		read := readAs[kind]
		if err := read(altered(t, fs, whole), len(whole)); err != nil {
			t.Fatalf("an undamaged copy of %s: %v", kind, err)
		}
		expect := func(what string, b []byte) {
			t.Helper()
			var damaged *DamagedError
			name := altered(t, fs, b)
			if err := read(name, len(b)); !errors.As(err, &damaged) || damaged.Name != name || damaged.What == "" {
				t.Errorf("%s, %s: %v", kind, what, err)
			}
		}
		for i := range whole {
			for _, flip := range []byte{0x40} {
				b := bytes.Clone(whole)
				b[i] ^= flip
				expect(fmt.Sprintf("byte %d ^ %#x", i, flip), b)
			}
			expect(fmt.Sprintf("cut at %d", i), whole[:i])
		}
		expect("a tail", append(bytes.Clone(whole), 0))
		expect("twice", append(bytes.Clone(whole), whole...))
	}
}

// What the checksums hold for true and yet is nonsense.
func TestImpossibleIndex(t *testing.T) {
	fs := newFolder(t)
	good := BlockInfo{First: 1, Last: 3, Lines: 2, Bytes: 20, RawBytes: 30}
	for what, change := range map[string]func(*BlockInfo){
		"no lines":        func(b *BlockInfo) { b.Lines = 0 },
		"too many lines":  func(b *BlockInfo) { b.Lines = 4 },
		"a huge block":    func(b *BlockInfo) { b.RawBytes = maxBlockBytes + 1 },
		"a huge line":     func(b *BlockInfo) { b.Lines, b.RawBytes = 1, maxLineBytes+1 },
		"a tiny block":    func(b *BlockInfo) { b.RawBytes = 3 },
		"longer than all": func(b *BlockInfo) { b.Bytes = 21 },
		"a gap":           func(b *BlockInfo) { b.Bytes = 19 },
		"line 0":          func(b *BlockInfo) { b.First = 0 },
		"another block":   func(b *BlockInfo) {},
	} {
		b := good
		change(&b)
		content := append([]byte(promptsMagic), make([]byte, 20)...)
		name := altered(t, fs, appendIndexTo(content, []BlockInfo{b}))
		_, err := readPrompts(fs, name)
		var damaged *DamagedError
		if !errors.As(err, &damaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func appendIndexTo(content []byte, blocks []BlockInfo) []byte {
	return append(content, appendIndex(nil, blocks, int64(len(content)))...)
}

func TestPartThatTheStoreKnowsOtherwise(t *testing.T) {
	fs := newFolder(t)
	part := writePart(t, fs, outcomes(9)).Part
	for what, change := range map[string]func(*storage.Part){
		"bytes":    func(p *storage.Part) { p.Bytes++ },
		"outcomes": func(p *storage.Part) { p.Outcomes++ },
		"results":  func(p *storage.Part) { p.Results--; p.ResultsOnly = true },
	} {
		p := part
		change(&p)
		var damaged *DamagedError
		if _, err := readPart(fs, p); !errors.As(err, &damaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	gone := part
	gone.Name = "parts/none"
	if _, err := readPart(fs, gone); !errors.Is(err, storage.ErrNotFound) {
		t.Error(err)
	}
	var damaged *DamagedError
	if err := Verify(ctx, fs, part.Name, part.Bytes, [32]byte{}); !errors.As(err, &damaged) {
		t.Error(err)
	}
	if err := Verify(ctx, fs, part.Name, part.Bytes-1, part.SHA256); !errors.As(err, &damaged) {
		t.Error(err)
	}
}

// A chunk that is whole and holds garbage.
func TestGarbledRecords(t *testing.T) {
	fs := newFolder(t)
	for what, raw := range map[string][]byte{
		"a length over the end": binary.AppendUvarint(nil, 50),
		"no outcome":            append(binary.AppendUvarint(nil, 3), "abc"...),
		"half a length":         {0x80},
	} {
		b := encoder().EncodeAll(raw, make([]byte, chunkHead))
		putChunkHead(b, len(raw))
		b = append([]byte(partMagic), b...)
		p := storage.Part{Name: altered(t, fs, b), Bytes: int64(len(b))}
		var damaged *DamagedError
		if _, err := readPart(fs, p); !errors.As(err, &damaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestReaderAfterClose(t *testing.T) {
	fs := newFolder(t)
	r, err := OpenPart(ctx, fs, writePart(t, fs, outcomes(2)).Part)
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	r.Close()
	if _, err := r.Next(); err == nil || err == io.EOF {
		t.Error(err)
	}
}
