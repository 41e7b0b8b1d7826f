package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/promptforge/promptforge/dispatcher"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/results"
	"github.com/promptforge/promptforge/storage/room"
)

const (
	// stateName is the folder below OUT that a run goes on from.
	stateName = ".promptforge"
	// runClient owns the jobs of a run's store; it has no key.
	runClient = "run"
	// fileSum is the metadata that binds a run to its file.
	fileSum = "file_sha256"
)

type runCmd struct {
	File       string  `arg:"" help:"The prompts file, one JSON object a line; plain or compressed with gzip or zstd; - reads standard input."`
	Provider   string  `required:"" help:"The provider: openai, anthropic, gemini, mistral, or a name from the configuration file." placeholder:"NAME"`
	Model      string  `required:"" help:"The model, by the provider's name for it, such as gpt-4o-mini." placeholder:"NAME"`
	Out        string  `help:"The folder for the answers; else the file's name without its extension and with -results." placeholder:"DIR"`
	MaxRetries retries `help:"Tries after the first one, 0 to 20, for prompts that the provider fails at." default:"3" placeholder:"N"`
	RPM        count   `name:"rpm" help:"Send at most so many requests a minute; left out, the limit is learned." placeholder:"N"`
	TPM        count   `name:"tpm" help:"Use at most so many tokens a minute." placeholder:"N"`
	configFlag
	engineFlags
}

// Help is the long help.
func (c *runCmd) Help() string {
	return `Writes results_part_001.jsonl and so on and errors.jsonl into the folder. Each line of the file is {"prompt_id": "…", "prompt": "…"}.

	export OPENAI_API_KEY=...
	promptforge run prompts.jsonl --provider openai --model gpt-4o-mini

Interrupted (by ctrl-C, a crash or kill -9), the same command goes on where it was: no prompt whose answer is recorded is sent again. Its state is in DIR/.promptforge.

Exit code 0 when every prompt has an outcome, 1 when the run failed, 130 after ctrl-C.
`
}

// Run does the whole job.
func (c *runCmd) Run(p *program) error {
	registry, err := p.settings.registry()
	if err != nil {
		return err
	}
	if err := registry.Offered(c.Provider, c.Model); err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), " for the server", ""))
	}
	out, err := c.folder()
	if err != nil {
		return err
	}
	in, err := openInput(p, c.File)
	if err != nil {
		return err
	}
	defer in.close()
	state := filepath.Join(out, stateName)
	if err := refuseStrangers(out, state); err != nil {
		return err
	}
	m, err := openMemory(state, 1)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	keeper, err := c.room(state, log)
	if err != nil {
		return m.close(err)
	}
	r := &running{cmd: c, p: p, m: m, in: in, out: out, room: keeper}
	r.engine = c.dispatcher(m, keeper, registry, 1, log)
	return m.close(r.end(r.do()))
}

// folder is where the answers go.
func (c *runCmd) folder() (string, error) {
	if c.Out != "" {
		return filepath.Clean(c.Out), nil
	}
	if c.File == "-" {
		return "", errors.New("--out: names the folder for the answers; it is needed when the prompts come from standard input")
	}
	name := c.File
	for _, ext := range []string{".gz", ".zst"} {
		name = strings.TrimSuffix(name, ext)
	}
	return strings.TrimSuffix(name, filepath.Ext(name)) + "-results", nil
}

// refuseStrangers keeps the answers of someone else from being written over.
func refuseStrangers(out, state string) error {
	if _, err := os.Stat(state); err == nil {
		return nil
	}
	entries, err := os.ReadDir(out)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return unusableFolder(out, err)
	}
	for _, e := range entries {
		if resultName.MatchString(e.Name()) {
			return fmt.Errorf("%s holds %s, which this command did not write; choose another folder with --out", out, e.Name())
		}
	}
	return nil
}

// running is a run under way.
type running struct {
	cmd    *runCmd
	p      *program
	m      *memory
	in     *input
	out    string
	room   *room.Keeper
	engine *dispatcher.Dispatcher

	job   *job.Job
	meter meter
}

// end gives up the disk's reserve, and adds what that says to err.
func (r *running) end(err error) error {
	if closing := r.room.Close(); err == nil {
		return closing
	}
	return err
}

func (r *running) do() error {
	begin := time.Now()
	fresh, err := r.prepare(r.p.ctx)
	if err != nil {
		if r.p.ctx.Err() != nil {
			return r.interrupted(nil)
		}
		return err
	}
	if !fresh {
		fmt.Fprintf(r.p.stderr, "Going on with the run in %s.\n", r.out)
	}
	if r.job.Settled() {
		return r.report(begin, !fresh)
	}
	err = r.follow()
	if err := r.look(); err != nil {
		return err
	}
	var gaveUp *dispatcher.GaveUpError
	if err != nil && !errors.As(err, &gaveUp) {
		return err
	}
	if !r.job.Settled() {
		return r.interrupted(err)
	}
	return r.report(begin, false)
}

// look reads the job again. What was interrupted must still be read.
func (r *running) look() error {
	j, err := r.m.store.Job(context.WithoutCancel(r.p.ctx), runClient, r.job.ID)
	if err != nil {
		return fmt.Errorf("reading the state in %s: %w", r.out, err)
	}
	r.job = j
	return nil
}

// prepare finds the job that the folder is bound to, or makes it. fresh tells
// that it was made now.
func (r *running) prepare(ctx context.Context) (fresh bool, err error) {
	jobs, _, err := r.m.store.ListJobs(ctx, storage.ListQuery{Client: runClient, Limit: 1})
	if err != nil {
		return false, fmt.Errorf("reading the state in %s: %w", r.out, err)
	}
	if len(jobs) == 0 {
		return true, r.begin(ctx)
	}
	r.job = jobs[0]
	if r.unusable() && r.otherFile() {
		// Nothing was sent for it, and by now it may be mended.
		return true, r.beginAnew(ctx)
	}
	if err := r.checkBinding(); err != nil {
		return false, err
	}
	switch j := r.job; {
	case j.Status == job.AwaitingUpload:
		return false, r.upload(ctx)
	case j.Status == job.Failed && j.Settled() && j.Prompts.Usable > 0:
		// It may be mended by now (another key, credit). What was answered
		// stays answered.
		return false, r.create(ctx, j.ID)
	}
	r.noteCaps()
	return false, nil
}

// unusable tells that the run ended since its file had no usable line.
func (r *running) unusable() bool {
	return r.job.Status == job.Failed && r.job.Settled() && r.job.Parsed && r.job.Prompts.Usable == 0
}

func (r *running) otherFile() bool { return r.job.Metadata[fileSum] != hex.EncodeToString(r.in.sum[:]) }

func (r *running) checkBinding() error {
	j, c := r.job, r.cmd
	var differs string
	switch {
	case r.otherFile():
		differs = "another file"
	case j.Provider != c.Provider:
		differs = "the provider " + j.Provider
	case j.Model != c.Model:
		differs = "the model " + j.Model
	default:
		return nil
	}
	return fmt.Errorf("%s belongs to a run of %s; choose another folder with --out", r.out, differs)
}

// noteCaps says which flags have no effect any more.
func (r *running) noteCaps() {
	for _, cap := range []struct {
		flag       string
		was, given int
	}{{"--rpm", r.job.RPM, int(r.cmd.RPM)}, {"--tpm", r.job.TPM, int(r.cmd.TPM)}, {"--max-retries", r.job.MaxRetries, int(r.cmd.MaxRetries)}} {
		if cap.was != cap.given && !r.job.Settled() {
			fmt.Fprintf(r.p.stderr, "Note: %s stays at what it was when the run began (%s).\n", cap.flag, orNone(cap.was, cap.flag))
		}
	}
}

func orNone(n int, flag string) string {
	if n == 0 && flag != "--max-retries" {
		return "no cap"
	}
	return number(int64(n))
}

func (r *running) begin(ctx context.Context) error {
	if err := r.create(ctx, ""); err != nil {
		return err
	}
	return r.upload(ctx)
}

// beginAnew takes away what the unusable file left, which is error records.
func (r *running) beginAnew(ctx context.Context) error {
	for _, name := range results.FileNames(r.job) {
		if err := os.Remove(filepath.Join(r.out, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return r.begin(ctx)
}

func (r *running) create(ctx context.Context, continued job.ID) error {
	now := time.Now().UTC()
	j, _, err := r.m.store.CreateJob(ctx, &job.Job{
		ID: job.NewID(), Client: runClient, CreatedAt: now, ContinueFrom: continued,
		Provider: r.cmd.Provider, Model: r.cmd.Model, MaxRetries: int(r.cmd.MaxRetries),
		RPM: int(r.cmd.RPM), TPM: int(r.cmd.TPM),
		Metadata:        map[string]string{fileSum: hex.EncodeToString(r.in.sum[:])},
		UploadExpiresAt: now.AddDate(100, 0, 0), // nobody else could upload
	}, nil)
	if err != nil {
		return fmt.Errorf("beginning the run in %s: %w", r.out, err)
	}
	r.job = j
	return nil
}

// upload takes the prompts in and checks them.
func (r *running) upload(ctx context.Context) error {
	content, err := r.in.open()
	if err != nil {
		return err
	}
	defer content.Close()
	u, err := takeIn(ctx, r.m, r.job.ID, content)
	if err != nil {
		return err
	}
	j, err := r.m.store.CompleteUpload(ctx, r.job.ID, u, time.Now().UTC())
	if err != nil {
		return fmt.Errorf("keeping the prompts in %s: %w", r.out, err)
	}
	r.job = j
	return nil
}

// follow runs the dispatcher until the job is settled, or until ctx ends and
// what is in flight is recorded.
func (r *running) follow() error {
	changed, unwatch := r.m.store.Watch(r.job.ID)
	defer unwatch()
	ctx, finish := context.WithCancel(r.p.ctx)
	var looking sync.WaitGroup
	defer looking.Wait()
	defer finish()
	ended := make(chan error, 1)
	looking.Go(func() { r.room.Run(ctx) })
	go func() { ended <- r.engine.Run(ctx) }()

	show := r.p.newProgress(nil)
	defer show.end()
	interrupted := r.p.ctx.Done()
	for {
		if err := r.look(); err != nil {
			finish()
			return errors.Join(err, <-ended)
		}
		show.update(r.snapshot())
		if r.job.Settled() {
			finish()
			return <-ended
		}
		select {
		case err := <-ended:
			return err
		case <-changed:
		case <-interrupted:
			interrupted = nil
			show.say("Stopping: nothing more is sent, and what is in flight is waited for and recorded. Ctrl-C again leaves at once; those requests may then be paid for twice.")
		}
	}
}

func (r *running) snapshot() snapshot {
	j := r.job
	s := snapshot{
		state: j.Status.String(), total: j.PromptCount, done: j.Outcomes(), failed: j.FailedCount,
		boundBy: j.Pace.BoundBy, held: j.Pace.HoldReason, heldSince: j.Pace.HeldSince, heldUntil: j.Pace.HeldUntil,
		tokens:  j.PromptTokens + j.CompletionTokens,
		stopped: r.p.ctx.Err() != nil,
	}
	if s.held != "" {
		r.meter.forget()
		return s
	}
	s.rate, s.cap = r.meter.rate(time.Now(), s.done), capped(j.Pace.BoundBy, float64(j.RPM), j.Pace.CurrentRPM)
	s.rest = rest{j.Pace.EstimatedCompletionAt, j.Pace.EstimatedEarliest, j.Pace.EstimatedLatest}
	return s
}

// report writes the files and says how the run ended. again tells that it had
// ended before.
func (r *running) report(begin time.Time, again bool) error {
	ctx := context.WithoutCancel(r.p.ctx)
	if err := writeOutcomes(ctx, r.m, r.job, r.out); err != nil {
		return err
	}
	j := r.job
	if r.unusable() {
		return fmt.Errorf("%s; mend %s and run the same command again", r.noLine(), r.cmd.File)
	}
	if j.Status != job.Completed {
		return fmt.Errorf("the run failed at %s of %s prompts: %s", number(j.Outcomes()), number(j.PromptCount), j.FailureReason)
	}
	text := fmt.Sprintf("%s of %s prompts have an outcome: %s, %s", number(j.Outcomes()), number(j.PromptCount),
		plural(j.CompletedCount, "result"), plural(j.FailedCount, "error"))
	if tokens := j.PromptTokens + j.CompletionTokens; tokens > 0 {
		text += ", " + plural(tokens, "token")
	}
	if again {
		text += "; they were there already, and nothing was sent"
	} else {
		text += ", in " + short(time.Since(begin))
	}
	text += ". They are in " + r.out + "."
	if first, err := firstError(filepath.Join(r.out, "errors.jsonl")); err == nil && j.FailedCount > 0 {
		text += " The first error is " + first.Error + ": " + clipped(oneLine(first.Message), longestQuote)
	}
	if j.PossiblyRepaid > 0 {
		text += repaid(j.PossiblyRepaid)
	}
	fmt.Fprintln(r.p.stdout, text)
	return nil
}

// noLine says why nothing could be sent.
func (r *running) noLine() string {
	if r.job.PromptCount == 0 {
		return "nothing was sent, since the file has no line at all"
	}
	path := filepath.Join(r.out, "errors.jsonl")
	text := fmt.Sprintf("nothing was sent, since no line of %s can be used", r.cmd.File)
	if first, err := firstError(path); err == nil {
		text += ": line " + number(first.Line) + ": " + strings.TrimRight(oneLine(first.Message), ".")
	}
	return text + " (" + path + " has each)"
}

// interrupted writes what is there so far and says how to go on.
func (r *running) interrupted(gaveUp error) error {
	if r.job == nil || !r.job.Parsed {
		return &errExit{exitInterrupted, errors.New("stopped before anything was sent; run the same command again to go on")}
	}
	if err := writeOutcomes(context.WithoutCancel(r.p.ctx), r.m, r.job, r.out); err != nil {
		return err
	}
	text := fmt.Sprintf("stopped at %s of %s prompts; their outcomes are in %s. Run the same command again to go on where it was",
		number(r.job.Outcomes()), number(r.job.PromptCount), r.out)
	if gaveUp != nil {
		text += " (" + gaveUp.Error() + ")"
	}
	return &errExit{exitInterrupted, errors.New(text)}
}
