package files

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"github.com/klauspost/compress/zstd"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// A prompts file holds the usable lines of an upload, so that any of them is
// found without reading the others:
//
//	magic      8 bytes
//	blocks     zstd frames, one after the other
//	index      of each block: uvarint first line less the last line of the
//	           block before, uvarint last line less first line, uvarint number
//	           of lines, uvarint compressed length, uvarint length, and the
//	           CRC-32C of the compressed bytes in 4 bytes
//	footer     index offset (8 bytes), index length (8), number of blocks (4),
//	           CRC-32C of the index and of the footer so far (4), magic (8)
//
// A block's content is records: uvarint line number, uvarint length, the bytes
// of the line as they came, without line break and BOM. Line numbers rise. A
// block holds 1 MiB at most, or one line that is longer. Fixed numbers are
// little-endian.
const (
	promptsMagic  = "PFprmt\x01\n"
	promptsFooter = 32

	blockBytes = 1 << 20
	// maxBlockBytes is what a reader takes for a block of several lines.
	maxBlockBytes = 4 << 20
	maxRecordHead = 2 * binary.MaxVarintLen64
	maxLineBytes  = job.MaxLineBytes + maxRecordHead
)

// BlockInfo is where a block lies and what it holds.
type BlockInfo struct {
	First, Last int64 // line numbers
	Lines       int64
	Offset      int64
	Bytes       int64 // compressed
	RawBytes    int64
	crc         uint32
}

// PromptLine is a usable line.
type PromptLine struct {
	Line int64  // its number in the upload, from 1
	Raw  []byte // without its line break
}

// PromptsWriter writes a prompts file. One goroutine uses it at a time; one of
// Commit and Discard ends it.
type PromptsWriter struct {
	name   string
	out    storage.NewFile
	failed error

	raw, stored []byte
	block       BlockInfo // the one being filled
	blocks      []BlockInfo
	last        int64         // line
	offset      int64         // of what is written
	alone       *zstd.Encoder // for lines longer than a block
}

// NewPromptsWriter begins a prompts file under a new name.
func NewPromptsWriter(ctx context.Context, fs storage.Files, name string) (*PromptsWriter, error) {
	out, err := fs.Create(ctx, name)
	if err != nil {
		return nil, err
	}
	w := &PromptsWriter{name: name, out: out}
	w.write([]byte(promptsMagic))
	if w.failed != nil {
		out.Discard()
		return nil, w.failed
	}
	return w, nil
}

// Add appends a line, copying it. Line numbers must rise. After an error only
// Discard is left.
func (w *PromptsWriter) Add(line int64, raw []byte) error {
	if w.failed != nil {
		return w.failed
	}
	if line <= w.last || len(raw) > job.MaxLineBytes {
		w.failed = fmt.Errorf("writing %s: line %d of %d bytes after line %d", w.name, line, len(raw), w.last)
		return w.failed
	}
	size := maxRecordHead + len(raw)
	if len(w.raw)+size > blockBytes {
		w.flush()
	}
	if w.block.Lines == 0 {
		w.block.First = line
	}
	w.block.Last, w.last = line, line
	w.block.Lines++
	w.raw = binary.AppendUvarint(w.raw, uint64(line))
	w.raw = binary.AppendUvarint(w.raw, uint64(len(raw)))
	if size > blockBytes {
		w.addAlone(raw)
	} else {
		w.raw = append(w.raw, raw...)
	}
	return w.failed
}

// flush writes the block that is being filled.
func (w *PromptsWriter) flush() {
	if w.block.Lines == 0 || w.failed != nil {
		return
	}
	w.stored = encoder().EncodeAll(w.raw, w.stored[:0])
	w.endBlock(len(w.raw), int64(len(w.stored)), crc32.Checksum(w.stored, castagnoli))
	w.write(w.stored)
}

// addAlone writes a block of one long line, whose head is in w.raw, without
// copying the line.
func (w *PromptsWriter) addAlone(raw []byte) {
	out := &summingWriter{w: w.out}
	if w.alone == nil {
		w.alone, w.failed = zstd.NewWriter(out, append(encoderOptions[:len(encoderOptions):len(encoderOptions)],
			zstd.WithEncoderConcurrency(1))...)
		if w.failed != nil {
			return
		}
	} else {
		w.alone.Reset(out)
	}
	n := len(w.raw) + len(raw)
	_, err1 := w.alone.Write(w.raw)
	_, err2 := w.alone.Write(raw)
	w.failed = errors.Join(err1, err2, w.alone.Close())
	w.endBlock(n, out.n, out.crc)
	w.offset += out.n
}

func (w *PromptsWriter) endBlock(raw int, stored int64, crc uint32) {
	w.block.Offset, w.block.Bytes, w.block.RawBytes, w.block.crc = w.offset, stored, int64(raw), crc
	w.blocks = append(w.blocks, w.block)
	w.block = BlockInfo{}
	w.raw = w.raw[:0]
}

func (w *PromptsWriter) write(b []byte) {
	if w.failed == nil {
		_, w.failed = w.out.Write(b)
		w.offset += int64(len(b))
	}
}

// Commit makes the file durable and returns its size.
func (w *PromptsWriter) Commit() (int64, error) {
	w.flush()
	w.write(appendIndex(nil, w.blocks, w.offset))
	if w.failed != nil {
		w.Discard()
		return 0, w.failed
	}
	w.failed = errEnded
	if err := w.out.Commit(); err != nil {
		return 0, err
	}
	w.release()
	return w.offset, nil
}

var errEnded = errors.New("the file was ended already")

// Discard forgets the file. After Commit it changes nothing.
func (w *PromptsWriter) Discard() {
	if w.failed == nil {
		w.failed = errEnded
	}
	w.release()
	w.out.Discard()
}

func (w *PromptsWriter) release() { w.raw, w.stored, w.blocks, w.alone = nil, nil, nil, nil }

// appendIndex appends index and footer.
func appendIndex(b []byte, blocks []BlockInfo, offset int64) []byte {
	last := int64(0)
	for _, i := range blocks {
		for _, n := range []int64{i.First - last, i.Last - i.First, i.Lines, i.Bytes, i.RawBytes} {
			b = binary.AppendUvarint(b, uint64(n))
		}
		b = binary.LittleEndian.AppendUint32(b, i.crc)
		last = i.Last
	}
	length := uint64(len(b))
	b = binary.LittleEndian.AppendUint64(b, uint64(offset))
	b = binary.LittleEndian.AppendUint64(b, length)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(blocks)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return append(b, promptsMagic...)
}

// summingWriter counts what passes and keeps its checksum.
type summingWriter struct {
	w   io.Writer
	n   int64
	crc uint32
}

func (s *summingWriter) Write(b []byte) (int, error) {
	n, err := s.w.Write(b)
	s.n += int64(n)
	s.crc = crc32.Update(s.crc, castagnoli, b[:n])
	return n, err
}

// Prompts is an open prompts file. It may be read from any number of
// goroutines; its index is in memory (some 60 bytes for each MiB of prompts).
type Prompts struct {
	name   string
	f      storage.File
	blocks []BlockInfo
	lines  int64
}

// OpenPrompts opens a prompts file and reads its index. storage.ErrNotFound;
// *DamagedError.
func OpenPrompts(ctx context.Context, fs storage.Files, name string) (*Prompts, error) {
	f, err := fs.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	p := &Prompts{name: name, f: f}
	if err := p.readIndex(); err != nil {
		f.Close()
		return nil, err
	}
	return p, nil
}

func (p *Prompts) damaged(format string, args ...any) error {
	return &DamagedError{Name: p.name, What: fmt.Sprintf(format, args...)}
}

// readAt fills b; a file that ends too early is damaged.
func (p *Prompts) readAt(b []byte, offset int64) error {
	n, err := p.f.ReadAt(b, offset)
	switch {
	case n == len(b):
		return nil
	case errors.Is(err, io.EOF):
		return p.damaged("it ends too early")
	default:
		return fmt.Errorf("reading %s: %w", p.name, err)
	}
}

func (p *Prompts) readIndex() error {
	size := p.f.Size()
	if size < int64(len(promptsMagic))+promptsFooter {
		return p.damaged("it is too short")
	}
	head := make([]byte, len(promptsMagic))
	footer := make([]byte, promptsFooter)
	if err := errors.Join(p.readAt(head, 0), p.readAt(footer, size-promptsFooter)); err != nil {
		return err
	}
	if string(head) != promptsMagic || string(footer[24:]) != promptsMagic {
		return p.damaged("it does not begin and end like a prompts file")
	}
	offset := binary.LittleEndian.Uint64(footer)
	length := binary.LittleEndian.Uint64(footer[8:])
	if length > math.MaxInt32 || offset > math.MaxInt64-length-promptsFooter || int64(offset+length+promptsFooter) != size {
		return p.damaged("its index is not where its footer says")
	}
	index := make([]byte, length)
	if err := p.readAt(index, int64(offset)); err != nil {
		return err
	}
	crc := crc32.Update(crc32.Checksum(index, castagnoli), castagnoli, footer[:20])
	if crc != binary.LittleEndian.Uint32(footer[20:]) {
		return p.damaged("the checksum of its index does not match")
	}
	return p.parseIndex(index, int64(offset), int(binary.LittleEndian.Uint32(footer[16:])))
}

// parseIndex reads an index whose checksum matched, and still believes nothing.
func (p *Prompts) parseIndex(index []byte, end int64, count int) error {
	if count > len(index)/9 {
		return p.damaged("its index has fewer blocks than its footer says")
	}
	p.blocks = make([]BlockInfo, 0, count)
	offset, last := int64(len(promptsMagic)), int64(0)
	for len(p.blocks) < count {
		var v [5]int64
		for i := range v {
			n, used := binary.Uvarint(index)
			if used <= 0 || n > math.MaxInt64/4 {
				return p.damaged("its index is garbled")
			}
			v[i], index = int64(n), index[used:]
		}
		if len(index) < 4 {
			return p.damaged("its index ends too early")
		}
		b := BlockInfo{
			First: last + v[0], Last: last + v[0] + v[1], Lines: v[2],
			Offset: offset, Bytes: v[3], RawBytes: v[4],
			crc: binary.LittleEndian.Uint32(index),
		}
		index = index[4:]
		limit := int64(maxBlockBytes)
		if b.Lines == 1 {
			limit = maxLineBytes
		}
		if v[0] < 1 || b.Lines < 1 || b.Lines > v[1]+1 || b.RawBytes > limit || b.RawBytes < 2*b.Lines || b.Bytes > end-offset {
			return p.damaged("block %d has impossible lengths", len(p.blocks))
		}
		p.blocks = append(p.blocks, b)
		p.lines += b.Lines
		offset, last = offset+b.Bytes, b.Last
	}
	if len(index) != 0 || offset != end {
		return p.damaged("its index does not cover it")
	}
	return nil
}

// Blocks describes the blocks in order of their lines. It must not be changed.
func (p *Prompts) Blocks() []BlockInfo { return p.blocks }

// Lines counts the lines.
func (p *Prompts) Lines() int64 { return p.lines }

// ReadBlock reads the i-th block, into buf if it is large enough, and returns
// its lines, which alias the buffer that it returns. *DamagedError.
func (p *Prompts) ReadBlock(i int, buf []byte) ([]PromptLine, []byte, error) {
	b := &p.blocks[i]
	pooled := bufferPool.Get().(*buffers)
	defer pooled.release()
	pooled.stored = grow(pooled.stored, int(b.Bytes))
	if err := p.readAt(pooled.stored, b.Offset); err != nil {
		return nil, buf, err
	}
	if crc32.Checksum(pooled.stored, castagnoli) != b.crc {
		return nil, buf, p.damaged("the checksum of block %d does not match", i)
	}
	raw, ok := decode(pooled.stored, buf, int(b.RawBytes))
	if !ok {
		return nil, buf, p.damaged("block %d can't be decompressed", i)
	}
	lines, ok := parseBlock(raw, b)
	if !ok {
		return nil, raw, p.damaged("block %d is not what the index says", i)
	}
	return lines, raw, nil
}

func parseBlock(raw []byte, b *BlockInfo) ([]PromptLine, bool) {
	lines := make([]PromptLine, 0, b.Lines)
	last := int64(0)
	for len(raw) > 0 {
		number, n := binary.Uvarint(raw)
		if n <= 0 || number > math.MaxInt64 || int64(number) <= last {
			return nil, false
		}
		length, m := binary.Uvarint(raw[n:])
		if m <= 0 || length > uint64(len(raw)-n-m) {
			return nil, false
		}
		end := n + m + int(length)
		lines = append(lines, PromptLine{Line: int64(number), Raw: raw[n+m : end : end]})
		raw, last = raw[end:], int64(number)
	}
	ok := int64(len(lines)) == b.Lines && lines[0].Line == b.First && last == b.Last
	return lines, ok
}

// Close frees the file. Lines that were read stay good.
func (p *Prompts) Close() error { return p.f.Close() }
