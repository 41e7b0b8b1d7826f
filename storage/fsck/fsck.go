// Package fsck compares a store with the files that it names, and reports
// whatever is missing, short or altered. It changes nothing.
package fsck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/files"
)

// Store is a store that can be checked. Nobody writes to it meanwhile.
type Store interface {
	// Check reports damage of the store itself.
	Check(ctx context.Context, report func(sentence string)) error
	// Contents hands out all that is kept of each job that can be read.
	Contents(ctx context.Context, each func(*storage.Kept) error) error
}

// Summary is what was looked at.
type Summary struct {
	Jobs    int
	Files   int // that the store names
	Bytes   int64
	Orphans int // files that no job names; they are no damage
	Damages int // sentences that were reported
}

// Check looks at the store and at every file that it names: length, SHA-256,
// checksums, and the lines that are in it against the store's lists. Each
// damage is reported as a sentence. The error is one that ended the check.
func Check(ctx context.Context, store Store, fs storage.Files, report func(sentence string)) (Summary, error) {
	c := &check{ctx: ctx, files: fs, seen: map[string]int64{}, leaving: map[string]bool{}, lines: map[storage.Part]*contents{}}
	c.report = func(sentence string) {
		c.sum.Damages++
		report(sentence)
	}
	if err := store.Check(ctx, c.report); err != nil {
		return c.sum, err
	}
	if err := store.Contents(ctx, c.job); err != nil {
		return c.sum, err
	}
	for _, size := range c.seen {
		c.sum.Files++
		c.sum.Bytes += size
	}
	err := fs.List(ctx, func(name string, _ int64, _ time.Time) error {
		if _, named := c.seen[name]; !named && !c.leaving[name] {
			c.sum.Orphans++
		}
		return nil
	})
	return c.sum, err
}

type check struct {
	ctx    context.Context
	files  storage.Files
	report func(string)
	sum    Summary
	seen   map[string]int64           // names with their lengths
	lines  map[storage.Part]*contents // of files that several jobs may have
	// Names that doomed jobs have. A deletion that was broken off has removed
	// some of them, and the next start goes on with it.
	leaving map[string]bool
}

// contents are the lines of a file; nil sets where it is damaged.
type contents struct{ done, failed *roaring.Bitmap }

func (c *check) wrong(j *job.Job, what string, err error) {
	if errors.Is(err, storage.ErrNotFound) {
		err = errors.New("it is gone")
	}
	var damaged *files.DamagedError
	if errors.As(err, &damaged) {
		err = errors.New(damaged.What)
	}
	c.report(fmt.Sprintf("files/%s, of job %s (client %s): %v", what, j.ID, j.Client, err))
}

func (c *check) job(k *storage.Kept) error {
	c.sum.Jobs++
	if k.Job.Deleted && k.Job.Settled() {
		c.leaving[k.Job.Prompts.Name] = true
		for i := range k.Parts {
			c.leaving[k.Parts[i].Name] = true
		}
		return nil
	}
	if err := c.prompts(k); err != nil {
		return err
	}
	done, failed, whole := roaring.New(), roaring.New(), true
	for i := range k.Parts {
		p := &k.Parts[i]
		lines, err := c.part(k.Job, p)
		if err != nil {
			return err
		}
		if lines.done == nil {
			whole = false
			continue
		}
		done.Or(lines.done)
		failed.Or(lines.failed)
	}
	if whole && (!done.Equals(k.Done) || !failed.Equals(k.Failed)) {
		c.report(fmt.Sprintf("job %s (client %s): its parts hold %d lines, %d of them failed, and the store lists %d and %d as sealed",
			k.Job.ID, k.Job.Client, done.GetCardinality(), failed.GetCardinality(), k.Done.GetCardinality(), k.Failed.GetCardinality()))
	}
	return nil
}

// prompts reads a job's prompts file to its end.
func (c *check) prompts(k *storage.Kept) error {
	name := k.Job.Prompts.Name
	if _, again := c.seen[name]; name == "" || again {
		return nil
	}
	c.seen[name] = k.Job.Prompts.Bytes
	usable, err := c.readPrompts(k)
	switch {
	case c.ctx.Err() != nil:
		return c.ctx.Err()
	case err != nil:
		c.wrong(k.Job, name, err)
	case usable != k.Job.Prompts.Usable:
		c.wrong(k.Job, name, fmt.Errorf("it has %d usable lines, and the store says %d", usable, k.Job.Prompts.Usable))
	}
	return nil
}

func (c *check) readPrompts(k *storage.Kept) (usable int64, err error) {
	f, err := c.files.Open(c.ctx, k.Job.Prompts.Name)
	if err != nil {
		return 0, err
	}
	if size := f.Size(); size != k.Job.Prompts.Bytes {
		return 0, errors.Join(fmt.Errorf("it has %d bytes and should have %d", size, k.Job.Prompts.Bytes), f.Close())
	}
	if err := f.Close(); err != nil {
		return 0, err
	}
	p, err := files.OpenPrompts(c.ctx, c.files, k.Job.Prompts.Name)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	var buf []byte
	for i := range p.Blocks() {
		if err := c.ctx.Err(); err != nil {
			return 0, err
		}
		var lines []files.PromptLine
		if lines, buf, err = p.ReadBlock(i, buf); err != nil {
			return 0, err
		}
		for _, l := range lines {
			if !k.Unusable.Contains(uint32(l.Line)) { // repeated ids stand in the file, too
				usable++
			}
		}
	}
	return usable, nil
}

// part reads a part to its end.
func (c *check) part(j *job.Job, p *storage.Part) (*contents, error) {
	as := *p // a job that continues another has its results alone
	as.Range = storage.Range{}
	if lines := c.lines[as]; lines != nil {
		return lines, nil
	}
	c.seen[p.Name] = p.Bytes
	lines, err := c.readPart(p)
	if c.ctx.Err() != nil {
		return nil, c.ctx.Err()
	}
	if err != nil {
		c.wrong(j, p.Name, err)
		lines = &contents{}
	}
	c.lines[as] = lines
	return lines, nil
}

func (c *check) readPart(p *storage.Part) (_ *contents, err error) {
	if err := files.Verify(c.ctx, c.files, p.Name, p.Bytes, p.SHA256); err != nil {
		return nil, err
	}
	r, err := files.OpenPart(c.ctx, c.files, *p)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	lines := &contents{roaring.New(), roaring.New()}
	for {
		o, err := r.Next()
		if errors.Is(err, io.EOF) {
			return lines, nil
		}
		if err != nil {
			return nil, err
		}
		if !lines.done.CheckedAdd(uint32(o.Line)) {
			return nil, fmt.Errorf("line %d is in it twice", o.Line)
		}
		if o.Failed {
			lines.failed.Add(uint32(o.Line))
		}
	}
}
