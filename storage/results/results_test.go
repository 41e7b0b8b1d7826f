package results_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/files"
	"github.com/promptforge/promptforge/storage/results"
)

var ctx = context.Background()

// memory is the part of a store that results read from, for one job.
type memory struct {
	storage.Outcomes
	t   testing.TB
	fs  *watched
	job *job.Job

	mu       sync.Mutex
	parts    []storage.Part
	segments []*segment
	n        int64

	// before is called, without the lock, at the begin of a call to the store.
	before func(call string)
}

// watched counts the files that are open.
type watched struct {
	*files.Folder
	open atomic.Int64
}

func (w *watched) Open(ctx context.Context, name string) (storage.File, error) {
	f, err := w.Folder.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	w.open.Add(1)
	return &watchedFile{File: f, w: w}, nil
}

type watchedFile struct {
	storage.File
	w *watched
}

func (f *watchedFile) Close() error {
	f.w.open.Add(-1)
	return f.File.Close()
}

type segment struct {
	storage.Segment
	outcomes []job.Outcome
}

func newMemory(t testing.TB) *memory {
	t.Helper()
	fs, err := files.OpenFolder(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{Folder: fs}
	t.Cleanup(func() { // an invariant of every test
		if n := w.open.Load(); n != 0 {
			t.Errorf("%d files are left open", n)
		}
	})
	return &memory{t: t, fs: w, job: &job.Job{ID: job.NewID(), PromptCount: 20_000}, before: func(string) {}}
}

func (m *memory) called(call string) { m.before(call) }

// record keeps outcomes in the open segment.
func (m *memory) record(outcomes ...*job.Outcome) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range outcomes {
		if len(m.segments) == 0 || m.segments[len(m.segments)-1].Frozen || m.segments[len(m.segments)-1].Outcomes == storage.MaxSegmentOutcomes {
			m.n++
			s := &segment{}
			s.N, s.FirstOffset, s.ResultsBefore = m.n, m.job.Outcomes()+1, m.job.CompletedCount
			m.segments = append(m.segments, s)
		}
		s := m.segments[len(m.segments)-1]
		s.Range.Add(o)
		s.outcomes = append(s.outcomes, *o)
		if o.Failed {
			m.job.FailedCount++
		} else {
			m.job.CompletedCount++
		}
	}
}

// freeze ends the open segment.
func (m *memory) freeze() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.segments) > 0 {
		m.segments[len(m.segments)-1].Frozen = true
	}
}

// seal makes a part of the oldest segment.
func (m *memory) seal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.segments) == 0 {
		return
	}
	s := m.segments[0]
	w, err := files.NewPartWriter(ctx, m.fs, files.PartName(m.job.ID, job.Term{}, s.N), s.FirstOffset, s.ResultsBefore)
	if err != nil {
		m.t.Fatal(err)
	}
	for i := range s.outcomes {
		if err := w.Add(&s.outcomes[i]); err != nil {
			m.t.Fatal(err)
		}
	}
	p, err := w.Commit()
	if err != nil {
		m.t.Fatal(err)
	}
	if p.Range != s.Range {
		m.t.Errorf("the part's range %+v, the segment's %+v", p.Range, s.Range)
	}
	m.parts = append(m.parts, p.Part)
	m.segments = m.segments[1:]
}

func (m *memory) Parts(context.Context, job.ID) ([]storage.Part, error) {
	m.called("Parts")
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]storage.Part(nil), m.parts...), nil
}

func (m *memory) Segments(context.Context, job.ID) ([]storage.Segment, error) {
	m.called("Segments")
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []storage.Segment
	for _, s := range m.segments {
		all = append(all, s.Segment)
	}
	return all, nil
}

func (m *memory) ReadSegment(_ context.Context, _ job.ID, n, after int64, maxBytes int) ([]job.Outcome, error) {
	m.called("ReadSegment")
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.segments {
		if s.N != n {
			continue
		}
		var some []job.Outcome
		for i := max(after-s.FirstOffset+1, 0); i < s.Outcomes; i++ {
			o := s.outcomes[i]
			if maxBytes -= len(o.Public) + len(o.Response); maxBytes < 0 && len(some) > 0 {
				break
			}
			some = append(some, o)
		}
		return some, nil
	}
	return nil, fmt.Errorf("segment %d: %w", n, storage.ErrNotFound)
}

// outcome makes the i-th outcome; every ninth is an error record.
func outcome(i int) *job.Outcome {
	if i%9 == 4 {
		f := job.Failure{PromptID: job.IntID(int64(i)), Code: "timeout", Message: strings.Repeat("m", i%7)}
		return &job.Outcome{Line: int64(i), Failed: true, Public: f.AppendJSON(nil)}
	}
	r := job.Result{PromptID: job.IntID(int64(i)), Text: strings.Repeat("x", i%40)}
	o := &job.Outcome{Line: int64(i), Public: r.AppendJSON(nil)}
	if i%2 == 0 {
		o.Response = fmt.Appendf(nil, `{"n":%d}`, i)
	}
	return o
}

func outcomes(from, to int) []*job.Outcome {
	var all []*job.Outcome
	for i := from; i <= to; i++ {
		all = append(all, outcome(i))
	}
	return all
}

// render is what the file of a job with outcomes 1 to n must be.
func render(n int, name string, full bool) []byte {
	var out []byte
	k := int64(0)
	if name != results.ErrorsName {
		fmt.Sscanf(name, "results_part_%d.jsonl", &k)
	}
	seen := int64(0)
	for i := 1; i <= n; i++ {
		o := outcome(i)
		if !o.Failed {
			seen++
		}
		if o.Failed != (k == 0) || (k > 0 && (seen-1)/storage.ResultsPerFile+1 != k) {
			continue
		}
		if full {
			out = o.AppendFull(out)
		} else {
			out = o.AppendPublic(out)
		}
	}
	return out
}

func (m *memory) open(name string, full bool) *results.Download {
	m.t.Helper()
	d, err := results.Open(ctx, m, m.fs, m.job, name, full)
	if err != nil {
		m.t.Fatalf("%s: %v", name, err)
	}
	return d
}

// checkFiles compares every file in both views with what it must be.
func (m *memory) checkFiles(n int) {
	m.t.Helper()
	for _, name := range results.FileNames(m.job) {
		for _, full := range []bool{false, true} {
			want := render(n, name, full)
			d := m.open(name, full)
			if d.Size() != int64(len(want)) {
				m.t.Errorf("%s (full %v): Size %d, want %d", name, full, d.Size(), len(want))
				continue
			}
			var got bytes.Buffer
			if err := d.CopyRange(ctx, &got, 0, d.Size()); err != nil || !bytes.Equal(got.Bytes(), want) {
				m.t.Errorf("%s (full %v): other bytes, %v", name, full, err)
			}
		}
	}
}

func TestFileNames(t *testing.T) {
	for _, c := range []struct {
		prompts, completed int64
		want               string
	}{
		{0, 0, "errors.jsonl"},
		{10, 0, "errors.jsonl"},
		{10, 1, "results_part_001.jsonl errors.jsonl"},
		{5001, 5000, "results_part_001.jsonl errors.jsonl"},
		{5001, 5001, "results_part_001.jsonl results_part_002.jsonl errors.jsonl"},
		{4_995_000, 1, "results_part_001.jsonl errors.jsonl"},
		{4_995_001, 1, "results_part_0001.jsonl errors.jsonl"},
		{10_000_000, 1, "results_part_0001.jsonl errors.jsonl"},
	} {
		j := &job.Job{PromptCount: c.prompts, CompletedCount: c.completed}
		if got := strings.Join(results.FileNames(j), " "); got != c.want {
			t.Errorf("%d of %d: %s", c.completed, c.prompts, got)
		}
	}
}

func TestUnlistedNames(t *testing.T) {
	m := newMemory(t)
	m.record(outcomes(1, 10)...)
	for _, name := range []string{
		"", "x", "results_part_000.jsonl", "results_part_002.jsonl", "results_part_1.jsonl", "results_part_0001.jsonl",
		"results_part_001.jsonlx", "results_part_-01.jsonl", "results_part_+01.jsonl", "results_part_001.jsonl ", "ERRORS.jsonl", "../errors.jsonl",
	} {
		if _, err := results.Open(ctx, m, m.fs, m.job, name, false); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// The edge of 5,000 results lies anywhere in the ranges.
func TestFiles(t *testing.T) {
	for _, sizes := range [][]int{
		{},
		{1},
		{4},                          // an empty results file would be wrong: three results, one error
		{5625},                       // exactly 5,000 results
		{5626},                       // one more
		{4999, 1, 1, 624, 1, 1, 100}, // an edge between ranges
		{3000, 5000, 4000},           // edges within ranges
	} {
		for _, sealed := range []int{0, 1, len(sizes)} {
			if sealed > len(sizes) || (len(sizes) == 3 && sealed != 1) {
				continue
			}
			t.Run(fmt.Sprint(sizes, sealed), func(t *testing.T) {
				m := newMemory(t)
				n := 0
				for _, size := range sizes {
					m.record(outcomes(n+1, n+size)...)
					m.freeze()
					n += size
				}
				for range sealed {
					m.seal()
				}
				m.checkFiles(n)
			})
		}
	}
}

func TestRangesAreSlices(t *testing.T) {
	m := newMemory(t)
	const n = 7_000
	m.record(outcomes(1, 3000)...)
	m.freeze()
	m.record(outcomes(3001, 6500)...)
	m.freeze()
	m.seal()
	m.record(outcomes(6501, n)...)
	for _, name := range results.FileNames(m.job) {
		for _, full := range []bool{false, true} {
			want := render(n, name, full)
			d := m.open(name, full)
			rapid.Check(t, func(rt *rapid.T) {
				from := rapid.Int64Range(0, d.Size()).Draw(rt, "from")
				length := rapid.Int64Range(0, min(d.Size()-from, 100_000)).Draw(rt, "length")
				var got bytes.Buffer
				if err := d.CopyRange(ctx, &got, from, length); err != nil || !bytes.Equal(got.Bytes(), want[from:from+length]) {
					rt.Fatalf("%s (full %v): other bytes, %v", name, full, err)
				}
			})
		}
	}
	d := m.open(results.ErrorsName, false)
	for _, r := range [][2]int64{{-1, 1}, {0, -1}, {0, d.Size() + 1}, {d.Size() + 1, 0}, {1, 1<<63 - 1}} {
		if err := d.CopyRange(ctx, io.Discard, r[0], r[1]); err == nil {
			t.Errorf("%v: no error", r)
		}
	}
}

// A range opens the parts that it needs and no other.
func TestRangeSkipsParts(t *testing.T) {
	m := newMemory(t)
	for i := range 5 {
		m.record(outcomes(i*1000+1, i*1000+1000)...)
		m.freeze()
		m.seal()
	}
	want := render(5000, "results_part_001.jsonl", false)
	for i, p := range m.parts {
		if i != 3 {
			if err := m.fs.Remove(ctx, p.Name); err != nil {
				t.Fatal(err)
			}
		}
	}
	d := m.open("results_part_001.jsonl", false)
	from := m.parts[0].Totals.ResultBytes + m.parts[1].Totals.ResultBytes + m.parts[2].Totals.ResultBytes
	length := m.parts[3].Totals.ResultBytes
	var got bytes.Buffer
	if err := d.CopyRange(ctx, &got, from, length); err != nil || !bytes.Equal(got.Bytes(), want[from:from+length]) {
		t.Error(err)
	}
	var damaged *files.DamagedError
	if err := d.CopyRange(ctx, io.Discard, from, length+1); !errors.As(err, &damaged) {
		t.Errorf("over a part that is gone: %v", err)
	}
}

func TestReader(t *testing.T) {
	m := newMemory(t)
	m.record(outcomes(1, 500)...)
	m.freeze()
	m.seal()
	m.record(outcomes(501, 600)...)
	r := m.open("results_part_001.jsonl", true).Reader(ctx)
	defer r.Close()
	if err := iotest.TestReader(r, render(600, "results_part_001.jsonl", true)); err != nil {
		t.Error(err)
	}
}

// What the server does with it: Range, If-Range and HEAD come from net/http.
func TestServeContent(t *testing.T) {
	m := newMemory(t)
	m.record(outcomes(1, 600)...)
	want := render(600, results.ErrorsName, false)
	d := m.open(results.ErrorsName, false)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", d.ETag())
		w.Header().Set("Content-Type", "application/x-ndjson")
		body := d.Reader(r.Context())
		defer body.Close()
		http.ServeContent(w, r, "", time.Time{}, body)
	})
	for _, c := range []struct {
		header, value string
		code          int
		body          []byte
	}{
		{"X", "", 200, want},
		{"Range", "bytes=10-99", 206, want[10:100]},
		{"Range", "bytes=-7", 206, want[len(want)-7:]},
		{"If-None-Match", d.ETag(), 304, nil},
	} {
		req := httptest.NewRequest("GET", "/", nil)
		req.Header.Set(c.header, c.value)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		if rec.Code != c.code || !bytes.Equal(rec.Body.Bytes(), c.body) {
			t.Errorf("%s %s: %d, %d bytes", c.header, c.value, rec.Code, rec.Body.Len())
		}
	}
}

func TestETag(t *testing.T) {
	m := newMemory(t)
	m.record(outcomes(1, 10)...)
	seen := map[string]bool{}
	for _, name := range results.FileNames(m.job) {
		for _, full := range []bool{false, true} {
			tag := m.open(name, full).ETag()
			if seen[tag] || !strings.HasPrefix(tag, `"`+string(m.job.ID)) || !strings.HasSuffix(tag, `"`) {
				t.Error(tag)
			}
			seen[tag] = true
			if tag != m.open(name, full).ETag() {
				t.Error("not the same twice")
			}
		}
	}
	m.record(outcomes(11, 20)...)
	if seen[m.open("results_part_001.jsonl", false).ETag()] {
		t.Error("a file that grew has the tag of then")
	}
}

// A download is what it was at Open, however the job grows and is sealed
// before, while and after it is read.
func TestGrowingJob(t *testing.T) {
	m := newMemory(t)
	const n = 3_000
	m.record(outcomes(1, n)...)
	d := m.open("results_part_001.jsonl", true)
	want := render(n, "results_part_001.jsonl", true)
	reads := 0
	m.before = func(call string) {
		if call != "ReadSegment" {
			return
		}
		if reads++; reads == 2 { // in the middle
			m.record(outcomes(n+1, n+500)...)
			m.freeze()
			m.seal()
			m.record(outcomes(n+501, n+900)...)
		}
	}
	for range 2 {
		var got bytes.Buffer
		if err := d.CopyRange(ctx, &got, 0, d.Size()); err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%d bytes, want %d, %v", got.Len(), len(want), err)
		}
	}
	if reads < 2 {
		t.Errorf("nothing was sealed")
	}
	m.checkFiles(n + 900)
}

// collect reads what lies behind an offset and checks that it is the job's.
func collect(t *testing.T, m *memory, after int64) (last int64, n int) {
	t.Helper()
	last = after
	for item, err := range results.After(ctx, m, m.fs, m.job.ID, after) {
		if err != nil {
			t.Fatal(err)
		}
		if item.Offset != last+1 {
			t.Fatalf("offset %d after %d", item.Offset, last)
		}
		last = item.Offset
		want := outcome(int(last))
		if !bytes.Equal(item.Outcome.AppendBinary(nil), want.AppendBinary(nil)) {
			t.Fatalf("offset %d has another outcome: %s", last, item.Outcome.Public)
		}
		n++
	}
	return last, n
}

func TestAfter(t *testing.T) {
	m := newMemory(t)
	if last, _ := collect(t, m, 0); last != 0 {
		t.Error("something of nothing")
	}
	m.record(outcomes(1, 100)...)
	m.freeze()
	m.seal()
	m.record(outcomes(101, 150)...)
	m.freeze()
	m.record(outcomes(151, 160)...)
	for _, after := range []int64{0, 1, 99, 100, 101, 149, 150, 159} {
		if last, n := collect(t, m, after); last != 160 || int64(n) != 160-after {
			t.Errorf("after %d: %d up to %d", after, n, last)
		}
	}
	for _, after := range []int64{160, 1000} {
		if _, n := collect(t, m, after); n != 0 {
			t.Errorf("after %d: %d", after, n)
		}
	}
	for item := range results.After(ctx, m, m.fs, m.job.ID, 0) {
		if item.Offset == 3 {
			break // must close the part
		}
	}
}

// Seals and records happen at every possible moment: neither a repeat nor a gap.
func TestAfterWithSeals(t *testing.T) {
	for at := range 12 {
		m := newMemory(t)
		m.record(outcomes(1, 2500)...)
		m.freeze()
		m.record(outcomes(2501, 5000)...)
		n, recorded := 0, 5000
		m.before = func(string) {
			if n++; n-1 == at {
				m.record(outcomes(recorded+1, recorded+100)...)
				recorded += 100
				m.freeze()
				m.seal()
				if at%2 == 0 {
					m.seal()
				}
			}
		}
		last, _ := collect(t, m, 0)
		if last < 5000 {
			t.Errorf("a seal at call %d: it ended at %d", at, last)
		}
		m.before = func(string) {}
		if last, _ := collect(t, m, last); last != int64(recorded) {
			t.Errorf("a seal at call %d: the rest ended at %d of %d", at, last, recorded)
		}
	}
}

// One goroutine records and seals, others read and resume.
func TestAfterWhileRunning(t *testing.T) {
	m := newMemory(t)
	const n = 4_000
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; i < n; i += 50 {
			m.record(outcomes(i+1, i+50)...)
			if i%200 == 0 {
				m.freeze()
				m.seal()
			}
		}
	})
	for range 3 {
		wg.Go(func() {
			for last := int64(0); last < n; {
				last, _ = collect(t, m, last)
			}
		})
	}
	wg.Wait()
}

// A job that is deleted in the middle.
func TestDeletedMeanwhile(t *testing.T) {
	m := newMemory(t)
	m.record(outcomes(1, 3000)...)
	d := m.open("results_part_001.jsonl", false)
	reads := 0
	m.before = func(call string) {
		if reads++; reads == 2 {
			m.mu.Lock()
			m.segments, m.parts = nil, nil
			m.mu.Unlock()
		}
	}
	if err := d.CopyRange(ctx, io.Discard, 0, d.Size()); !errors.Is(err, storage.ErrNotFound) {
		t.Error(err)
	}
}

// A part that the store lists and that is not on the disk is damage, and no job
// that is not there.
func TestMissingPart(t *testing.T) {
	m := newMemory(t)
	m.record(outcomes(1, 20)...)
	m.seal()
	d := m.open("results_part_001.jsonl", false)
	if err := m.fs.Remove(ctx, m.parts[0].Name); err != nil {
		t.Fatal(err)
	}
	var damaged *files.DamagedError
	if err := d.CopyRange(ctx, io.Discard, 0, d.Size()); !errors.As(err, &damaged) || damaged.Name != m.parts[0].Name {
		t.Errorf("%v", err)
	}
	m.parts = nil // erased
	if err := d.CopyRange(ctx, io.Discard, 0, d.Size()); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

// A part of the job that was continued counts without its error records.
func TestResultsOnlyPart(t *testing.T) {
	m := newMemory(t)
	m.record(outcomes(1, 20)...)
	m.seal()
	p := &m.parts[0]
	p.ResultsOnly = true
	p.Outcomes = p.Results
	p.Totals.ErrorBytes, p.Totals.ErrorFullBytes = 0, 0
	m.job.FailedCount = 0
	m.record(outcomes(21, 30)...)
	want := int64(0)
	for item, err := range results.After(ctx, m, m.fs, m.job.ID, 0) {
		if err != nil {
			t.Fatal(err)
		}
		want++
		if item.Offset != want || (item.Outcome.Failed && item.Outcome.Line <= 20) {
			t.Errorf("offset %d, line %d, failed %v", item.Offset, item.Outcome.Line, item.Outcome.Failed)
		}
	}
	if want != m.job.Outcomes() {
		t.Errorf("%d outcomes of %d", want, m.job.Outcomes())
	}
	var got bytes.Buffer
	d := m.open(results.ErrorsName, false)
	if err := d.CopyRange(ctx, &got, 0, d.Size()); err != nil || bytes.Count(got.Bytes(), []byte("\n")) != 1 {
		t.Errorf("%s %v", got.Bytes(), err)
	}
	d = m.open("results_part_001.jsonl", false)
	if err := d.CopyRange(ctx, io.Discard, 0, d.Size()); err != nil {
		t.Error(err)
	}
}

// A writer that fails ends the copy.
func TestBrokenWriter(t *testing.T) {
	m := newMemory(t)
	m.record(outcomes(1, 10)...)
	d := m.open(results.ErrorsName, false)
	broken := errors.New("broken pipe")
	if err := d.CopyRange(ctx, writeFunc(func([]byte) (int, error) { return 0, broken }), 0, d.Size()); !errors.Is(err, broken) {
		t.Error(err)
	}
}

type writeFunc func([]byte) (int, error)

func (f writeFunc) Write(b []byte) (int, error) { return f(b) }
