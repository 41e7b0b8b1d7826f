package intake_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/files"
	"github.com/promptforge/promptforge/storage/intake"
)

var ctx = context.Background()

func newFolder(t testing.TB) *files.Folder {
	t.Helper()
	fs, err := files.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return fs
}

// taken is an upload in a form to compare.
type taken struct {
	Prompts int64
	Usable  []string // "line raw"
	Errors  []string // public lines
}

// read takes a body in and reads back what became of it, checking what always
// holds.
func read(t testing.TB, fs storage.Files, body []byte, lim intake.Limits) taken {
	t.Helper()
	u, err := intake.Read(ctx, fs, job.NewID(), bytes.NewReader(body), lim)
	if err != nil {
		t.Fatal(err)
	}
	return look(t, fs, body, u)
}

func look(t testing.TB, fs storage.Files, body []byte, u storage.Upload) taken {
	t.Helper()
	if u.Prompts.SHA256 != sha256.Sum256(body) {
		t.Error("the SHA-256 is not the body's")
	}
	got := taken{Prompts: u.PromptCount}
	refused := map[int64]bool{}
	offset := int64(0)
	for _, p := range u.Unusable {
		if p.FirstOffset != offset+1 || p.Results != 0 || p.ResultsBefore != 0 || p.Outcomes > storage.MaxSegmentOutcomes {
			t.Errorf("a part with range %+v after offset %d", p.Range, offset)
		}
		if !p.Done.Equals(p.Failed) {
			t.Error("Done and Failed differ")
		}
		offset = p.LastOffset()
		if err := files.Verify(ctx, fs, p.Name, p.Bytes, p.SHA256); err != nil {
			t.Error(err)
		}
		r, err := files.OpenPart(ctx, fs, p.Part)
		if err != nil {
			t.Fatal(err)
		}
		for {
			o, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if refused[o.Line] || !o.Failed || !p.Done.Contains(uint32(o.Line)) {
				t.Errorf("line %d is refused twice, or not in Done, or no error record", o.Line)
			}
			refused[o.Line] = true
			got.Errors = append(got.Errors, string(o.Public))
		}
		r.Close()
	}
	p, err := files.OpenPrompts(ctx, fs, u.Prompts.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i := range p.Blocks() {
		lines, _, err := p.ReadBlock(i, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			if !refused[l.Line] {
				got.Usable = append(got.Usable, fmt.Sprintf("%d %s", l.Line, l.Raw))
			}
		}
	}
	if int64(len(got.Usable)) != u.Prompts.Usable || u.PromptCount != u.Prompts.Usable+offset {
		t.Errorf("%d usable (said %d) and %d errors of %d prompts", len(got.Usable), u.Prompts.Usable, offset, u.PromptCount)
	}
	return got
}

func TestRead(t *testing.T) {
	const a, b, c = `{"prompt_id":"a","prompt":"x"}`, `{"prompt_id":"b","prompt":"x"}`, `{"prompt_id":"c","prompt":"x"}`
	long := `{"prompt_id":"l","prompt":"` + strings.Repeat("x", job.MaxLineBytes-29) + `"}`
	for _, x := range []struct {
		name, body string
		want       taken
	}{
		{"nothing", "", taken{}},
		{"a BOM alone", "\ufeff", taken{}},
		{"white space alone", " \r\n\t\n\n  ", taken{}},
		{"no line break at the end", a + "\n" + b, taken{2, []string{"1 " + a, "2 " + b}, nil}},
		{"a line break at the end", a + "\n" + b + "\n", taken{2, []string{"1 " + a, "2 " + b}, nil}},
		{"BOM and CRLF", "\ufeff" + a + "\r\n" + b + "\r\n", taken{2, []string{"1 " + a, "2 " + b}, nil}},
		{"a BOM on line 2", a + "\n\ufeff" + b, taken{2, []string{"1 " + a}, []string{
			`{"prompt_id":null,"error":"invalid_line","attempts":0,"message":"The line is not valid JSON (at byte 1).","line":2}`,
		}}},
		{"blank lines count as lines", "\n\n" + a + "\n \n\r\n" + b, taken{2, []string{"3 " + a, "6 " + b}, nil}},
		{"an unusable line", a + "\n{}\n" + b, taken{3, []string{"1 " + a, "3 " + b}, []string{
			`{"prompt_id":null,"error":"invalid_line","attempts":0,"message":"The line has no prompt_id.","line":2}`,
		}}},
		{"a repeated id", a + "\n" + b + "\n" + a + "\n" + c + "\n" + a, taken{5, []string{"1 " + a, "2 " + b, "4 " + c}, []string{
			`{"prompt_id":"a","error":"duplicate_prompt_id","attempts":0,"message":"prompt_id \"a\" stands on line 1 already.","line":3}`,
			`{"prompt_id":"a","error":"duplicate_prompt_id","attempts":0,"message":"prompt_id \"a\" stands on line 1 already.","line":5}`,
		}}},
		{"the first usable one counts", `{"prompt_id":"a"}` + "\n" + a, taken{2, []string{"2 " + a}, []string{
			`{"prompt_id":"a","error":"invalid_line","attempts":0,"message":"The line has no prompt.","line":1}`,
		}}},
		{"repeats come after the unusable", a + "\n" + a + "\nx", taken{3, []string{"1 " + a}, []string{
			`{"prompt_id":null,"error":"invalid_line","attempts":0,"message":"The line is not valid JSON (at byte 1).","line":3}`,
			`{"prompt_id":"a","error":"duplicate_prompt_id","attempts":0,"message":"prompt_id \"a\" stands on line 1 already.","line":2}`,
		}}},
		{"two spellings of one id", `{"prompt_id":"é","prompt":"x"}` + "\n" + `{"prompt_id":"\u00e9","prompt":"x"}`, taken{2, []string{`1 {"prompt_id":"é","prompt":"x"}`}, []string{
			`{"prompt_id":"é","error":"duplicate_prompt_id","attempts":0,"message":"prompt_id \"é\" stands on line 1 already.","line":2}`,
		}}},
		{"7 and its text", `{"prompt_id":7,"prompt":"x"}` + "\n" + `{"prompt_id":"7","prompt":"x"}` + "\n" + `{"prompt_id":7,"prompt":"y"}`, taken{
			3,
			[]string{`1 {"prompt_id":7,"prompt":"x"}`, `2 {"prompt_id":"7","prompt":"x"}`},
			[]string{
				`{"prompt_id":7,"error":"duplicate_prompt_id","attempts":0,"message":"prompt_id 7 stands on line 1 already.","line":3}`,
			},
		}},
		{"-0 and 0", `{"prompt_id":0,"prompt":"x"}` + "\n" + `{"prompt_id":-0,"prompt":"x"}`, taken{2, []string{`1 {"prompt_id":0,"prompt":"x"}`}, []string{
			`{"prompt_id":-0,"error":"duplicate_prompt_id","attempts":0,"message":"prompt_id -0 stands on line 1 already.","line":2}`,
		}}},
		{"the longest line", a + "\n" + long + "\r\n" + b, taken{3, []string{"1 " + a, "2 " + long, "3 " + b}, nil}},
		{"the longest line, with BOM, at the end", "\ufeff" + long, taken{1, []string{"1 " + long}, nil}},
		{"one byte longer", a + "\n" + long + " \r\n" + b, taken{3, []string{"1 " + a, "3 " + b}, []string{
			`{"prompt_id":null,"error":"invalid_line","attempts":0,"message":"The line is longer than 10 MiB.","line":2}`,
		}}},
		{"much longer, at the end", a + "\n" + long + long + long, taken{2, []string{"1 " + a}, []string{
			`{"prompt_id":null,"error":"invalid_line","attempts":0,"message":"The line is longer than 10 MiB.","line":2}`,
		}}},
		{"much longer, then more", long + long + "\n" + a, taken{2, []string{"2 " + a}, []string{
			`{"prompt_id":null,"error":"invalid_line","attempts":0,"message":"The line is longer than 10 MiB.","line":1}`,
		}}},
		{"no usable line", "1\n[]\n", taken{2, nil, []string{
			`{"prompt_id":null,"error":"invalid_line","attempts":0,"message":"The line is JSON but no object; it must look like {\"prompt_id\": \"a\", \"prompt\": \"…\"}.","line":1}`,
			`{"prompt_id":null,"error":"invalid_line","attempts":0,"message":"The line is JSON but no object; it must look like {\"prompt_id\": \"a\", \"prompt\": \"…\"}.","line":2}`,
		}}},
	} {
		t.Run(x.name, func(t *testing.T) {
			fs := newFolder(t)
			if d := cmp.Diff(x.want, read(t, fs, []byte(x.body), intake.Limits{})); d != "" {
				t.Errorf("%.2000s", d)
			}
		})
	}
}

// However a body arrives, it comes to the same.
func TestReadInAnyPieces(t *testing.T) {
	fs := newFolder(t)
	body := []byte("\ufeff{\"prompt_id\":1,\"prompt\":\"x\"}\r\n\r\nno\r\n{\"prompt_id\":1,\"prompt\":\"y\"}\n{\"prompt_id\":2,\"prompt\":\"é\"}")
	want := read(t, fs, body, intake.Limits{})
	for name, r := range map[string]io.Reader{
		"byte by byte":           iotest.OneByteReader(bytes.NewReader(body)),
		"half by half":           iotest.HalfReader(bytes.NewReader(body)),
		"data with the last EOF": iotest.DataErrReader(bytes.NewReader(body)),
	} {
		u, err := intake.Read(ctx, fs, job.NewID(), r, intake.Limits{})
		if err != nil {
			t.Fatal(name, err)
		}
		if d := cmp.Diff(want, look(t, fs, body, u)); d != "" {
			t.Error(name, d)
		}
	}
}

// Random files against the plainest way of reading one.
func TestReadRandom(t *testing.T) {
	fs := newFolder(t)
	rapid.Check(t, func(rt *rapid.T) {
		var body []byte
		want := taken{}
		first := map[int]int{}
		var repeated []string
		n := rapid.IntRange(0, 60).Draw(rt, "lines")
		for i := 1; i <= n; i++ {
			switch rapid.IntRange(0, 5).Draw(rt, "kind") {
			case 0:
				body = append(body, " \t"...)
			case 1:
				body = append(body, '[', ']')
				want.Prompts++
				want.Errors = append(want.Errors, fmt.Sprintf(`{"prompt_id":null,"error":"invalid_line","attempts":0,"message":"The line is JSON but no object; it must look like {\"prompt_id\": \"a\", \"prompt\": \"…\"}.","line":%d}`, i))
			default:
				id := rapid.IntRange(0, 40).Draw(rt, "id")
				line := fmt.Sprintf(`{"prompt_id":%d,"prompt":"%d"}`, id, i)
				body = append(body, line...)
				want.Prompts++
				if first[id] == 0 {
					first[id] = i
					want.Usable = append(want.Usable, fmt.Sprintf("%d %s", i, line))
				} else {
					repeated = append(repeated, fmt.Sprintf(`{"prompt_id":%d,"error":"duplicate_prompt_id","attempts":0,"message":"prompt_id %d stands on line %d already.","line":%d}`, id, id, first[id], i))
				}
			}
			body = append(body, rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(rt, "end")...)
		}
		want.Errors = append(want.Errors, repeated...)
		if d := cmp.Diff(want, read(t, fs, body, intake.Limits{})); d != "" {
			rt.Fatal(d)
		}
	})
}

// manyLines makes lines as they are read. id tells each line's id.
type manyLines struct {
	n, of int
	id    func(line int) int
	left  []byte
	buf   []byte
}

func (m *manyLines) Read(b []byte) (int, error) {
	for len(m.left) == 0 {
		if m.n == m.of {
			return 0, io.EOF
		}
		m.buf = m.buf[:0]
		for range min(500, m.of-m.n) {
			m.n++
			m.buf = fmt.Appendf(m.buf, "{\"prompt_id\":%d,\"prompt\":\"x\"}\n", m.id(m.n))
		}
		m.left = m.buf
	}
	n := copy(b, m.left)
	m.left = m.left[n:]
	return n, nil
}

// scratches counts the temporary files.
type scratches struct {
	storage.Files
	n int
}

func (s *scratches) Scratch(ctx context.Context) (storage.Scratch, error) {
	s.n++
	return s.Files.Scratch(ctx)
}

// More ids than the memory holds: the runs on disk are merged, and a repeat is
// found wherever its first line lies. (TestMillionIDs has more of them.)
func TestMoreIDsThanMemory(t *testing.T) {
	fs := &scratches{Files: newFolder(t)}
	const n = 50_000
	again := map[int]int{}
	r := rand.New(rand.NewPCG(1, 2))
	for range 6_000 {
		line := 2 + r.IntN(n-1)
		again[line] = 1 + r.IntN(line-1)
	}
	run := (64 << 10) * 2 / 3 * 2 / 3 / 24 // entries of a run at the least memory
	for i := run - 2; i < n && i < 40*run; i += run {
		for d := range 4 {
			again[i+d] = i + d - 1 // on both sides of an edge
		}
	}
	var root func(line int) int
	root = func(line int) int {
		if first, ok := again[line]; ok {
			return root(first)
		}
		return line
	}
	u, err := intake.Read(ctx, fs, job.NewID(), &manyLines{of: n, id: root}, intake.Limits{UniqueMemory: 1})
	if err != nil {
		t.Fatal(err)
	}
	if fs.n != 2 {
		t.Errorf("%d temporary files, so that no runs were merged", fs.n)
	}
	if u.PromptCount != n || u.Prompts.Usable != int64(n-len(again)) {
		t.Errorf("%d prompts, %d usable, %d repeated", u.PromptCount, u.Prompts.Usable, len(again))
	}
	seen, last := 0, int64(0)
	for _, p := range u.Unusable {
		pr, err := files.OpenPart(ctx, fs, p.Part)
		if err != nil {
			t.Fatal(err)
		}
		for {
			o, err := pr.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			_, f, err := job.DecodeLine(&o)
			if err != nil || f.Line != o.Line || f.Code != job.CodeDuplicatePromptID {
				t.Fatalf("%s %v", o.Public, err)
			}
			want := root(int(o.Line))
			if _, ok := again[int(o.Line)]; !ok || !strings.Contains(f.Message, fmt.Sprintf("on line %d already", want)) {
				t.Errorf("line %d: %s", o.Line, f.Message)
			}
			if o.Line <= last {
				t.Errorf("line %d after line %d", o.Line, last)
			}
			last = o.Line
			seen++
		}
		pr.Close()
	}
	if seen != len(again) {
		t.Errorf("%d repeats found of %d", seen, len(again))
	}
}

func TestEveryLineRepeats(t *testing.T) {
	fs := newFolder(t)
	const n = 12_001
	u, err := intake.Read(ctx, fs, job.NewID(), &manyLines{of: n, id: func(int) int { return 5 }}, intake.Limits{UniqueMemory: 1})
	if err != nil || u.Prompts.Usable != 1 || len(u.Unusable) != 3 || u.PromptCount != n {
		t.Errorf("%d usable, %d parts, %v", u.Prompts.Usable, len(u.Unusable), err)
	}
}

func TestLimits(t *testing.T) {
	line := `{"prompt_id":1,"prompt":"x"}` + "\n"
	for _, c := range []struct {
		name, body string
		lim        intake.Limits
		want       string
	}{
		{"bytes", line, intake.Limits{MaxBytes: int64(len(line))}, ""},
		{"a byte more", line + " ", intake.Limits{MaxBytes: int64(len(line))}, fmt.Sprintf("larger than %d bytes", len(line))},
		{"bytes in one line", strings.Repeat("x", 3<<20), intake.Limits{MaxBytes: 2 << 20}, "larger than 2 MiB"},
		{"lines", line + "\n\n", intake.Limits{MaxLines: 3}, ""},
		{"a line more", line + "\n\n\n", intake.Limits{MaxLines: 3}, "more than 3 lines"},
		{"a line more, without a line break", line + "\n\nx", intake.Limits{MaxLines: 3}, "more than 3 lines"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := newFolder(t)
			_, err := intake.Read(ctx, fs, job.NewID(), strings.NewReader(c.body), c.lim)
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var large *intake.TooLargeError
			if !errors.As(err, &large) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			empty(t, fs)
		})
	}
}

// empty checks that nothing is kept.
func empty(t testing.TB, fs storage.Files) {
	t.Helper()
	err := fs.List(ctx, func(name string, _ int64, _ time.Time) error { return errors.New(name) })
	if err != nil {
		t.Errorf("left behind: %v", err)
	}
}

// A cut upload is the client's error and leaves nothing, wherever it is cut.
func TestCutBody(t *testing.T) {
	fs := newFolder(t)
	cut := errors.New("connection reset")
	var body strings.Builder
	for i := range 6000 {
		fmt.Fprintf(&body, "no %d\n", i) // more than one part
	}
	for _, n := range []int{0, 1, 10, body.Len()} {
		r := io.MultiReader(strings.NewReader(body.String()[:n]), iotest.ErrReader(cut))
		_, err := intake.Read(ctx, fs, job.NewID(), r, intake.Limits{})
		var broken *intake.BodyError
		if !errors.As(err, &broken) || !errors.Is(err, cut) {
			t.Errorf("cut at %d: %v", n, err)
		}
		empty(t, fs)
	}
}

func TestCancelledRead(t *testing.T) {
	fs := newFolder(t)
	ending, cancel := context.WithCancel(ctx)
	body := io.MultiReader(&manyLines{of: 6000, id: func(int) int { return 1 }}, readFunc(func([]byte) (int, error) {
		cancel()
		return 0, nil
	}))
	_, err := intake.Read(ending, fs, job.NewID(), body, intake.Limits{})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	empty(t, fs)
	var broken *intake.BodyError
	_, err = intake.Read(ctx, fs, job.NewID(), readFunc(func([]byte) (int, error) { return 0, nil }), intake.Limits{})
	if !errors.As(err, &broken) || !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a body that gives nothing: %v", err)
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(b []byte) (int, error) { return f(b) }

// failing fails the n-th call to the store of files, counted over all of them.
type failing struct {
	storage.Files
	n, at int
}

var errDisk = errors.New("the disk is full")

func (f *failing) step() error {
	f.n++
	if f.n == f.at {
		return errDisk
	}
	return nil
}

func (f *failing) Create(ctx context.Context, name string) (storage.NewFile, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	n, err := f.Files.Create(ctx, name)
	return &failingNew{n, f}, err
}

func (f *failing) Open(ctx context.Context, name string) (storage.File, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	return f.Files.Open(ctx, name)
}

func (f *failing) Scratch(ctx context.Context) (storage.Scratch, error) {
	if err := f.step(); err != nil {
		return nil, err
	}
	s, err := f.Files.Scratch(ctx)
	return &failingScratch{s, f}, err
}

type failingNew struct {
	storage.NewFile
	f *failing
}

func (n *failingNew) Write(b []byte) (int, error) {
	if err := n.f.step(); err != nil {
		return 0, err
	}
	return n.NewFile.Write(b)
}

func (n *failingNew) Commit() error {
	if err := n.f.step(); err != nil {
		n.Discard()
		return err
	}
	return n.NewFile.Commit()
}

type failingScratch struct {
	storage.Scratch
	f *failing
}

func (s *failingScratch) Write(b []byte) (int, error) {
	if err := s.f.step(); err != nil {
		return 0, err
	}
	return s.Scratch.Write(b)
}

func (s *failingScratch) ReadAt(b []byte, off int64) (int, error) {
	if err := s.f.step(); err != nil {
		return 0, err
	}
	return s.Scratch.ReadAt(b, off)
}

// Whatever of the store fails, the upload fails with that, and leaves nothing.
func TestEveryCallMayFail(t *testing.T) {
	run := func(at int) (int, error) {
		fs := &failing{Files: newFolder(t), at: at}
		body := io.MultiReader(strings.NewReader("bad\n"), &manyLines{of: 2600, id: func(n int) int { return n % 1300 }})
		_, err := intake.Read(ctx, fs, job.NewID(), body, intake.Limits{UniqueMemory: 1})
		if err != nil {
			empty(t, fs)
		}
		return fs.n, err
	}
	calls, err := run(0)
	if err != nil || calls < 15 {
		t.Fatalf("%d calls, %v", calls, err)
	}
	for at := 1; at <= calls; at++ {
		_, err := run(at)
		var body *intake.BodyError
		if !errors.Is(err, errDisk) || errors.As(err, &body) {
			t.Errorf("call %d of %d: %v", at, calls, err)
		}
	}
}
