//go:build power && linux

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/promptforge/promptforge/e2e/judge"
	"github.com/promptforge/promptforge/e2e/powerfs"
	"github.com/promptforge/promptforge/e2e/witness"
)

// tryUntilWhole runs a command that goes on where it was, which is cut at most
// twice, until it says that everything is there; then the power is cut once
// more.
func (p *powered) tryUntilWhole(steps int, args ...string) error {
	for range p.random.IntN(3) {
		p.atStep(steps)
		cut, _, err := p.command(args...)
		if err != nil {
			return err
		}
		if !cut {
			break
		}
	}
	p.cutAt(powerfs.Rule{})
	if _, _, err := p.command(args...); err != nil {
		return err
	}
	return p.powerOff(nil)
}

// answers reads the files that a command wrote onto the disk.
func (p *powered) answers(folder string) (results, failures []byte, err error) {
	out, err := os.MkdirTemp(filepath.Dir(p.dir), "survived")
	if err != nil {
		return nil, nil, &stageError{err}
	}
	if err := p.disk.Export(out); err != nil {
		return nil, nil, &stageError{err}
	}
	names, err := filepath.Glob(filepath.Join(out, folder, "results_part_*.jsonl"))
	if err != nil {
		return nil, nil, &stageError{err}
	}
	slices.Sort(names)
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, err
		}
		results = append(results, b...)
	}
	failures, err = os.ReadFile(filepath.Join(out, folder, "errors.jsonl"))
	return results, failures, err
}

// all plays a seed of any kind of schedule: most are the server's.
func (b build) all(seed uint64, dir string, sum *tally) error {
	switch seed % 10 {
	case 6:
		return b.compact(seed, dir, sum)
	case 7:
		return b.run(seed, dir, sum)
	case 8:
		return b.download(seed, dir, sum)
	case 9:
		return b.found(seed, dir, sum)
	default:
		return b.serve(seed, dir, sum)
	}
}

// run plays one seed of the command without a server: it is cut, run again, and
// what it says is there survives a cut. Run once more it sends nothing.
func (b build) run(seed uint64, dir string, sum *tally) (err error) {
	p, err := newPowered(b, seed, dir)
	if err != nil {
		return err
	}
	defer p.unplug(&err)
	file, body := witness.DrawFile(p.random, fmt.Sprintf("%x run", seed), 20+p.random.IntN(100))
	input := filepath.Join(dir, "prompts.jsonl")
	if err := os.WriteFile(input, []byte(body), 0o600); err != nil {
		return &stageError{err}
	}
	args := []string{
		"run", input, "--provider", "openai", "--model", "gpt-4o-mini",
		"--out", filepath.Join(p.dir, "a", "answers"), "--max-in-flight", "32", "--retry-base", "10ms",
	}
	if err := p.tryUntilWhole(400, args...); err != nil {
		return err
	}
	if err := p.provider.Settle(); err != nil {
		return &stageError{err}
	}
	sent := p.provider.Requests()
	check := func() error {
		results, failures, err := p.answers("a/answers")
		if err != nil {
			return err
		}
		return judge.CheckAnswers(file, results, failures)
	}
	if err := check(); err != nil {
		return err
	}
	for i := range file.Lines {
		l := &file.Lines[i]
		if n := p.provider.Counts()(l.Prompt).Requests; l.Prompt != "" && n > int64(1+l.Retries+p.cuts-1) {
			return fmt.Errorf("the prompt of line %d was sent %d times at %d cuts", l.Number, n, p.cuts-1)
		}
	}
	if _, _, err := p.command(args...); err != nil {
		return err
	}
	if n := p.provider.Requests(); n != sent {
		return fmt.Errorf("run again after its end it sent %d requests", n-sent)
	}
	sum.Lock()
	sum.crashes += p.cuts
	sum.Unlock()
	return check()
}

// download plays one seed of the command that fetches answers from a server,
// which itself stands on a disk that has power.
func (b build) download(seed uint64, dir string, sum *tally) (err error) {
	p, err := newPowered(b, seed, dir)
	if err != nil {
		return err
	}
	defer p.unplug(&err)
	p.data = filepath.Join(dir, "data")
	ctx, stop := context.WithTimeout(context.Background(), scheduleLimit)
	defer stop()
	if err := p.start(); err != nil {
		return &stageError{err}
	}
	server := p.now
	if err := server.up(ctx); err != nil {
		return &stageError{err}
	}
	key, err := p.key(ctx, "tester")
	if err != nil {
		return &stageError{err}
	}
	p.env = append(p.env, "PROMPTFORGE_URL="+server.url, "PROMPTFORGE_API_KEY="+key)
	file, body := witness.DrawFile(p.random, fmt.Sprintf("%x download", seed), 20+p.random.IntN(400))
	input := filepath.Join(dir, "prompts.jsonl")
	if err := os.WriteFile(input, []byte(body), 0o600); err != nil {
		return &stageError{err}
	}
	_, out, err := p.command("jobs", "submit", input, "--provider", "openai", "--model", "gpt-4o-mini", "--wait")
	if err != nil {
		return &stageError{err}
	}
	id, _, _ := strings.Cut(out, "\n")
	if err := p.tryUntilWhole(40, "jobs", "results", id, "--out", filepath.Join(p.dir, "a", "answers")); err != nil {
		return err
	}
	results, failures, err := p.answers("a/answers")
	if err != nil {
		return err
	}
	sum.Lock()
	sum.crashes += p.cuts
	sum.Unlock()
	return judge.CheckAnswers(file, results, failures)
}

// found plays one seed of a server that is killed between writing a
// transaction and syncing it, found again with it, and then loses its power: a
// killed process's writes can be read by the next one, and are not durable.
func (b build) found(seed uint64, dir string, sum *tally) (err error) {
	p, err := newPowered(b, seed, dir)
	if err != nil {
		return err
	}
	defer p.unplug(&err)
	ctx, stop := context.WithTimeout(context.Background(), scheduleLimit)
	defer stop()
	if err := p.start(); err != nil {
		return &stageError{err}
	}
	if err := p.invite(ctx, witness.Sizes{Clients: 1, Jobs: 1, MinPrompts: 20, MaxPrompts: 40}); err != nil {
		return err
	}
	// The second sync of a transaction comes after its meta page.
	p.cutAt(powerfs.Rule{Kind: "fsync", N: 2})
	worked := make(chan error, 1)
	t := &trigger{kind: "init"}
	t.left.Store(1)
	p.armed.Store(t)
	p.crowd.OnAck(p.acked)
	go func() { worked <- p.crowd.Work(ctx) }()
	<-p.disk.Gone()
	if err := p.bury(p.now); err != nil {
		return err
	}
	if err := p.died(p.now); err != nil {
		return err
	}
	if err := p.disk.Resume(); err != nil {
		return &stageError{err}
	}
	if err := p.start(); err != nil {
		return &stageError{err}
	}
	if err := p.now.up(ctx); err != nil {
		return err
	}
	select {
	case <-p.disk.Gone(): // right after the init was answered
	case <-ctx.Done():
		return &stageError{errors.New("no init was answered")}
	}
	if err := p.again(ctx); err != nil {
		return err
	}
	if err := p.finish(ctx, worked); err != nil {
		return err
	}
	sum.add(p.stage, p.cuts)
	return nil
}

// compact plays one seed of an operator who stops the server, compacts its
// store and starts it again: the power is cut right after the one or soon after
// the other.
func (b build) compact(seed uint64, dir string, sum *tally) (err error) {
	p, err := newPowered(b, seed, dir)
	if err != nil {
		return err
	}
	defer p.unplug(&err)
	ctx, stop := context.WithTimeout(context.Background(), scheduleLimit)
	defer stop()
	if err := p.start(); err != nil {
		return &stageError{err}
	}
	if err := p.invite(ctx, witness.Sizes{Clients: 2, Jobs: 2, MinPrompts: 20, MaxPrompts: 60}); err != nil {
		return err
	}
	enough := make(chan struct{})
	left := int64(1 + p.random.IntN(60))
	p.crowd.OnAck(func(kind string) {
		if atomic.AddInt64(&left, -1) == 0 {
			close(enough)
		}
		p.acked(kind)
	})
	worked := make(chan error, 1)
	go func() { worked <- p.crowd.Work(ctx) }()
	select {
	case <-enough:
	case err := <-worked: // there was little to do
		worked <- err
	}
	if err := p.now.stop(); err != nil {
		return err
	}
	if err := p.died(p.now); err != nil {
		return err
	}
	if _, _, err := p.command("compact", "--data-dir", p.data); err != nil {
		return err
	}
	if seed%2 == 0 {
		if err := p.powerOff(nil); err != nil {
			return err
		}
	}
	t := &trigger{kind: "status"}
	t.left.Store(1 + p.random.Int64N(20))
	if err := p.start(); err != nil {
		return &stageError{err}
	}
	if err := p.now.up(ctx); err != nil {
		return err
	}
	p.armed.Store(t)
	select {
	case <-p.disk.Gone():
	case err := <-worked: // the rest was done before
		worked <- err
	}
	if err := p.again(ctx); err != nil {
		return err
	}
	if err := p.finish(ctx, worked); err != nil {
		return err
	}
	sum.add(p.stage, p.cuts)
	return p.checkDisk(ctx)
}
