package files

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// A part file holds outcomes in the order in which they were recorded:
//
//	magic    8 bytes
//	chunks   compressed length (4 bytes), length (4), CRC-32C of these 8 bytes
//	         and of the compressed bytes (4), then a zstd frame
//	end      a chunk's head alone, with compressed length 0 and, as length, the
//	         number of outcomes
//
// A chunk's content is records: uvarint length, job.Outcome.AppendBinary. A
// chunk holds 256 KiB at most, or one outcome that is longer, and a reader
// checks it before it hands out any of it; so it takes a reader little memory,
// and damage never reaches a client. Fixed numbers are little-endian.
const (
	partMagic  = "PFpart\x01\n"
	chunkBytes = 256 << 10
	chunkHead  = 12
)

// PartWriter writes a part. One goroutine uses it at a time; one of Commit and
// Discard ends it.
type PartWriter struct {
	out    storage.NewFile
	sum    hash.Hash
	part   storage.NewPart
	size   int64 // of the outcomes as they were added
	failed error

	raw, stored, record []byte
}

// NewPartWriter begins a part under a new name. firstOffset is the offset of
// the outcome that is added first, resultsBefore how many results of the job
// stand before it.
func NewPartWriter(ctx context.Context, fs storage.Files, name string, firstOffset, resultsBefore int64) (*PartWriter, error) {
	out, err := fs.Create(ctx, name)
	if err != nil {
		return nil, err
	}
	w := &PartWriter{out: out, sum: sha256.New()}
	w.part.Name = name
	w.part.FirstOffset, w.part.ResultsBefore = firstOffset, resultsBefore
	w.part.Done, w.part.Failed = roaring.New(), roaring.New()
	w.write([]byte(partMagic))
	if w.failed != nil {
		out.Discard()
		return nil, w.failed
	}
	return w, nil
}

// Full tells whether the part holds as much as a part should: 5,000 outcomes
// or 64 MiB of them. Add takes no outcome after the 5,000th.
func (w *PartWriter) Full() bool {
	return w.part.Outcomes >= storage.MaxSegmentOutcomes || w.size >= storage.MaxSegmentBytes
}

// Add appends an outcome, copying it. After an error only Discard is left.
func (w *PartWriter) Add(o *job.Outcome) error {
	if w.failed == nil && w.part.Outcomes >= storage.MaxSegmentOutcomes {
		w.failed = fmt.Errorf("writing %s: a part holds %d outcomes at most", w.part.Name, storage.MaxSegmentOutcomes)
	}
	if w.failed == nil && (o.Line < 1 || o.Line > 1<<32-1) {
		w.failed = fmt.Errorf("writing %s: an outcome of line %d", w.part.Name, o.Line)
	}
	if w.failed != nil {
		return w.failed
	}
	w.record = o.AppendBinary(w.record[:0])
	if len(w.raw)+binary.MaxVarintLen32+len(w.record) > chunkBytes {
		w.flush()
	}
	w.raw = binary.AppendUvarint(w.raw, uint64(len(w.record)))
	w.raw = append(w.raw, w.record...)
	w.size += int64(len(w.record))
	if cap(w.record) > maxPooled {
		w.record = nil
	}
	w.part.Range.Add(o)
	w.part.Done.Add(uint32(o.Line))
	if o.Failed {
		w.part.Failed.Add(uint32(o.Line))
	}
	return w.failed
}

func (w *PartWriter) flush() {
	if len(w.raw) == 0 || w.failed != nil {
		return
	}
	w.stored = encoder().EncodeAll(w.raw, append(w.stored[:0], make([]byte, chunkHead)...))
	putChunkHead(w.stored, len(w.raw))
	w.write(w.stored)
	w.raw = w.raw[:0]
	if cap(w.raw) > maxPooled {
		w.raw, w.stored = nil, nil // one huge outcome must not stay for the rest
	}
}

// putChunkHead fills in the head of a chunk that lies whole in b.
func putChunkHead(b []byte, raw int) {
	binary.LittleEndian.PutUint32(b, uint32(len(b)-chunkHead))
	binary.LittleEndian.PutUint32(b[4:], uint32(raw))
	binary.LittleEndian.PutUint32(b[8:], chunkSum(b, b[chunkHead:]))
}

func chunkSum(head, stored []byte) uint32 {
	return crc32.Update(crc32.Checksum(head[:8], castagnoli), castagnoli, stored)
}

func (w *PartWriter) write(b []byte) {
	if w.failed != nil {
		return
	}
	if _, w.failed = w.out.Write(b); w.failed == nil {
		w.sum.Write(b)
		w.part.Bytes += int64(len(b))
	}
}

// Commit makes the part durable and returns it. An empty part is an error.
func (w *PartWriter) Commit() (storage.NewPart, error) {
	if w.failed == nil && w.part.Outcomes == 0 {
		w.failed = fmt.Errorf("writing %s: a part without outcomes", w.part.Name)
	}
	w.flush()
	end := make([]byte, chunkHead)
	putChunkHead(end, int(w.part.Outcomes))
	w.write(end)
	if w.failed != nil {
		w.Discard()
		return storage.NewPart{}, w.failed
	}
	w.failed = errEnded
	w.raw, w.stored, w.record = nil, nil, nil
	if err := w.out.Commit(); err != nil {
		return storage.NewPart{}, err
	}
	w.sum.Sum(w.part.SHA256[:0])
	w.part.Done.RunOptimize()
	w.part.Failed.RunOptimize()
	return w.part, nil
}

// Discard forgets the part. After Commit it changes nothing.
func (w *PartWriter) Discard() {
	if w.failed == nil {
		w.failed = errEnded
	}
	w.raw, w.stored, w.record = nil, nil, nil
	w.out.Discard()
}

// PartReader reads a part from its beginning. One goroutine uses it at a time.
type PartReader struct {
	part storage.Part
	f    storage.File
	buf  *buffers
	head [chunkHead]byte

	left    []byte // of the chunk
	read    int64  // bytes of the file
	records int64
	results int64
	ended   error
}

// OpenPart opens a part. storage.ErrNotFound; *DamagedError.
func OpenPart(ctx context.Context, fs storage.Files, p storage.Part) (*PartReader, error) {
	f, err := fs.Open(ctx, p.Name)
	if err != nil {
		return nil, err
	}
	r := &PartReader{part: p, f: f, buf: bufferPool.Get().(*buffers)}
	if err := r.begin(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *PartReader) begin() error {
	if r.f.Size() != r.part.Bytes {
		return r.damaged("it has %d bytes and should have %d", r.f.Size(), r.part.Bytes)
	}
	magic := r.head[:len(partMagic)]
	if err := r.fill(magic); err != nil {
		return err
	}
	if string(magic) != partMagic {
		return r.damaged("it does not begin like a part")
	}
	return nil
}

func (r *PartReader) damaged(format string, args ...any) error {
	return &DamagedError{Name: r.part.Name, What: fmt.Sprintf(format, args...)}
}

func (r *PartReader) fill(b []byte) error {
	n, err := io.ReadFull(r.f, b)
	r.read += int64(n)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return r.damaged("it ends too early")
	default:
		return fmt.Errorf("reading %s: %w", r.part.Name, err)
	}
}

// Next returns the next outcome, which is good until the following Next or
// Close; io.EOF after the last. Error records of a part that is ResultsOnly
// are passed over. *DamagedError.
func (r *PartReader) Next() (job.Outcome, error) {
	for r.ended == nil {
		o, err := r.next()
		if err != nil {
			r.ended = err
			break
		}
		r.records++
		if !o.Failed {
			r.results++
		} else if r.part.ResultsOnly {
			continue
		}
		return o, nil
	}
	return job.Outcome{}, r.ended
}

func (r *PartReader) next() (job.Outcome, error) {
	if len(r.left) == 0 {
		if err := r.nextChunk(); err != nil {
			return job.Outcome{}, err
		}
	}
	length, n := binary.Uvarint(r.left)
	if n <= 0 || length > uint64(len(r.left)-n) {
		return job.Outcome{}, r.damaged("outcome %d has an impossible length", r.records+1)
	}
	record := r.left[n : n+int(length)]
	r.left = r.left[n+int(length):]
	o, err := job.DecodeOutcome(record)
	if err != nil {
		return job.Outcome{}, r.damaged("outcome %d is garbled", r.records+1)
	}
	return o, nil
}

func (r *PartReader) nextChunk() error {
	if err := r.fill(r.head[:]); err != nil {
		return err
	}
	stored := int64(binary.LittleEndian.Uint32(r.head[:]))
	raw := int64(binary.LittleEndian.Uint32(r.head[4:]))
	if stored > r.part.Bytes-r.read {
		return r.damaged("a chunk is longer than the file")
	}
	r.buf.stored = grow(r.buf.stored, int(stored))
	if err := r.fill(r.buf.stored); err != nil {
		return err
	}
	if chunkSum(r.head[:], r.buf.stored) != binary.LittleEndian.Uint32(r.head[8:]) {
		return r.damaged("the checksum of a chunk does not match")
	}
	if stored == 0 {
		return r.end(raw)
	}
	var ok bool
	if r.buf.raw, ok = decode(r.buf.stored, r.buf.raw, int(raw)); !ok || raw == 0 {
		return r.damaged("a chunk can't be decompressed")
	}
	r.left = r.buf.raw
	return nil
}

// end compares what was read with what the file and the store say.
func (r *PartReader) end(records int64) error {
	switch {
	case r.read != r.part.Bytes:
		return r.damaged("it goes on after its end")
	case r.records != records:
		return r.damaged("it has %d outcomes and should have %d", r.records, records)
	case r.results != r.part.Results, !r.part.ResultsOnly && r.records != r.part.Outcomes:
		return r.damaged("it has %d outcomes, %d of them results, and the store says %d and %d",
			r.records, r.results, r.part.Outcomes, r.part.Results)
	}
	return io.EOF
}

// Close frees the reader.
func (r *PartReader) Close() error {
	if r.buf == nil {
		return nil
	}
	r.buf.release()
	r.buf, r.left, r.ended = nil, nil, errEnded
	return r.f.Close()
}

// Verify reads a whole file, a part or any other, and compares its length and
// SHA-256. *DamagedError; storage.ErrNotFound.
func Verify(ctx context.Context, fs storage.Files, name string, bytes int64, sum [sha256.Size]byte) error {
	f, err := fs.Open(ctx, name)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, contextReader{ctx, f})
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	if n != bytes {
		return &DamagedError{Name: name, What: fmt.Sprintf("it has %d bytes and should have %d", n, bytes)}
	}
	if [sha256.Size]byte(h.Sum(nil)) != sum {
		return &DamagedError{Name: name, What: "its SHA-256 does not match"}
	}
	return nil
}

// contextReader ends when its context does.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(b)
}
