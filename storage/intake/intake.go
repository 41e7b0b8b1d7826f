package intake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/files"
)

// The defaults of Limits.
const (
	DefaultMaxBytes     = 20 << 30
	DefaultUniqueMemory = 8 << 20
)

// Limits bound an upload. A field that is 0 has its default.
type Limits struct {
	MaxBytes     int64 // of the decompressed body; DefaultMaxBytes
	MaxLines     int64 // physical lines; job.MaxLines
	UniqueMemory int   // bytes for telling repeated prompt_ids; DefaultUniqueMemory, at least 64 KiB
}

func (l Limits) withDefaults() Limits {
	if l.MaxBytes == 0 {
		l.MaxBytes = DefaultMaxBytes
	}
	if l.MaxLines == 0 {
		l.MaxLines = job.MaxLines
	}
	if l.UniqueMemory == 0 {
		l.UniqueMemory = DefaultUniqueMemory
	}
	l.UniqueMemory = max(l.UniqueMemory, 64<<10)
	return l
}

// Read takes in the decompressed body of an upload for a job. When it returns
// nil, the prompts file and the parts of the unusable lines are durable, and
// belong to the caller. On an error everything that it wrote is gone again:
// *TooLargeError; *BodyError; any other is the store's or the context's.
//
// The lines of repeated ids are found after the pass: they stand in the
// prompts file, but also in the Done of a part, and are not among the Usable.
func Read(ctx context.Context, fs storage.Files, id job.ID, body io.Reader, lim Limits) (storage.Upload, error) {
	lim = lim.withDefaults()
	in := &intake{ctx: ctx, fs: fs, name: files.PromptsName(id), id: id, unique: newUnique(ctx, fs, lim.UniqueMemory)}
	defer in.unique.close()
	err := in.read(newLines(ctx, body, lim))
	if err != nil {
		in.undo()
		return storage.Upload{}, err
	}
	return in.upload, nil
}

// intake is one upload being read.
type intake struct {
	ctx    context.Context
	fs     storage.Files
	id     job.ID
	name   string // of the prompts file
	parser job.Parser
	unique *unique

	prompts *files.PromptsWriter
	part    *files.PartWriter // nil between parts
	begun   int64             // parts
	offset  int64             // of the last error record
	written []string          // files that are committed
	upload  storage.Upload
}

func (in *intake) read(l *lines) error {
	var err error
	if in.prompts, err = files.NewPromptsWriter(in.ctx, in.fs, in.name); err != nil {
		return err
	}
	if err := in.pass(l); err != nil {
		return err
	}
	in.upload.Prompts.Name = in.name
	in.upload.Prompts.Bytes, err = in.prompts.Commit()
	if err != nil {
		return err
	}
	in.written = append(in.written, in.name)
	l.sum.Sum(in.upload.Prompts.SHA256[:0])
	l.buf = nil
	if err := in.repeated(); err != nil {
		return err
	}
	return in.endPart()
}

// pass reads all lines once.
func (in *intake) pass(l *lines) error {
	for {
		line, long, err := l.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case long:
			err = in.refuse(l.n, job.TooLong())
		case !job.Blank(line):
			err = in.take(l.n, line)
		default:
			continue
		}
		if err != nil {
			return err
		}
		in.upload.PromptCount++
	}
}

// take puts a line where it belongs.
func (in *intake) take(number int64, line []byte) error {
	id, err := in.parser.Check(line)
	var bad *job.LineError
	if errors.As(err, &bad) {
		return in.refuse(number, bad)
	}
	if err != nil {
		return err
	}
	if err := in.unique.add(id, number); err != nil {
		return err
	}
	in.upload.Prompts.Usable++
	return in.prompts.Add(number, line)
}

// refuse records a line that can't be used.
func (in *intake) refuse(number int64, why *job.LineError) error {
	if in.part == nil {
		in.begun++
		var err error
		in.part, err = files.NewPartWriter(in.ctx, in.fs, files.PartName(in.id, job.Term{}, in.begun), in.offset+1, 0)
		if err != nil {
			return err
		}
	}
	if err := in.part.Add(job.UnusableLine(number, why)); err != nil {
		return err
	}
	in.offset++
	if in.part.Full() {
		return in.endPart()
	}
	return nil
}

func (in *intake) endPart() error {
	if in.part == nil {
		return nil
	}
	part, err := in.part.Commit()
	in.part = nil
	if err != nil {
		return err
	}
	in.written = append(in.written, part.Name)
	in.upload.Unusable = append(in.upload.Unusable, part)
	return nil
}

// repeated refuses the usable lines whose prompt_id stood before. It reads
// only the blocks that hold such lines.
func (in *intake) repeated() error {
	var at *reader
	defer func() {
		if at != nil {
			at.prompts.Close()
		}
	}()
	return in.unique.eachRepeated(func(line, first int64) error {
		if at == nil {
			p, err := files.OpenPrompts(in.ctx, in.fs, in.name)
			if err != nil {
				return err
			}
			at = &reader{prompts: p, block: -1}
		}
		raw, err := at.line(line)
		if err != nil {
			return err
		}
		id, err := in.parser.Check(raw)
		if err != nil {
			return fmt.Errorf("reading line %d again: %w", line, err)
		}
		in.upload.Prompts.Usable--
		return in.refuse(line, &job.LineError{
			Code:    job.CodeDuplicatePromptID,
			ID:      id,
			Message: fmt.Sprintf("prompt_id %s stands on line %d already.", id, first),
		})
	})
}

// reader finds lines of rising numbers in a prompts file.
type reader struct {
	prompts *files.Prompts
	block   int // the one that is read; -1: none
	lines   []files.PromptLine
	buf     []byte
}

func (r *reader) line(number int64) ([]byte, error) {
	blocks := r.prompts.Blocks()
	block := max(r.block, 0)
	for block < len(blocks) && blocks[block].Last < number {
		block++
	}
	if block == len(blocks) {
		return nil, fmt.Errorf("line %d is not in the prompts file", number)
	}
	if block != r.block {
		var err error
		if r.lines, r.buf, err = r.prompts.ReadBlock(block, r.buf); err != nil {
			return nil, err
		}
		r.block = block
	}
	i, ok := slices.BinarySearchFunc(r.lines, number, func(l files.PromptLine, n int64) int { return int(l.Line - n) })
	if !ok {
		return nil, fmt.Errorf("line %d is not in the prompts file", number)
	}
	return r.lines[i].Raw, nil
}

// undo discards what is being written and removes what is committed, also when
// the context has ended. What can't be removed is an orphan.
func (in *intake) undo() {
	if in.prompts != nil {
		in.prompts.Discard()
	}
	if in.part != nil {
		in.part.Discard()
	}
	for _, name := range in.written {
		in.fs.Remove(context.WithoutCancel(in.ctx), name) //nolint:errcheck // an orphan then
	}
}
