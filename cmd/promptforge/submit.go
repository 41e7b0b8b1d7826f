package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"
)

// compressFrom is the size from which an upload is compressed on its way.
const compressFrom = 1 << 20

type jobsSubmitCmd struct {
	File           string            `arg:"" help:"The prompts file, one JSON object a line; .gz and .zst are understood, and - reads standard input."`
	Provider       string            `required:"" help:"The provider, by the server's name for it, such as openai."`
	Model          string            `required:"" help:"The model, by the provider's name for it."`
	MaxRetries     *retries          `help:"Tries after the first one, 0 to 20, for prompts that the provider fails at; the server's default is 3." placeholder:"N"`
	RPM            *count            `name:"rpm" help:"Send at most so many requests a minute; left out, the limit is learned." placeholder:"N"`
	TPM            *count            `name:"tpm" help:"Use at most so many tokens a minute." placeholder:"N"`
	Metadata       map[string]string `help:"A note that stays with the job; may come several times." placeholder:"KEY=VALUE" mapsep:"none"`
	IdempotencyKey string            `help:"Submitting again with the same key finds the same job." placeholder:"KEY"`
	Wait           bool              `help:"Follow the job until it ends; exit code 1 unless it is COMPLETED."`
	serverFlags
}

// Help is the long help.
func (c *jobsSubmitCmd) Help() string {
	return `Prints the job's id.

	promptforge jobs submit prompts.jsonl --provider openai --model gpt-4o-mini --wait
`
}

// initRequest is the body of POST /v1/jobs/init.
type initRequest struct {
	Provider   string            `json:"provider"`
	Model      string            `json:"model"`
	MaxRetries *retries          `json:"max_retries,omitempty"`
	RPM        *count            `json:"rpm,omitempty"`
	TPM        *count            `json:"tpm,omitempty"`
	Metadata   map[string]string `json:"metadata,omitempty"`
}

type initAnswer struct {
	JobID     string  `json:"job_id"`
	UploadURL *string `json:"upload_url"`
}

// Run creates the job, uploads, and perhaps waits.
func (c *jobsSubmitCmd) Run(p *program) error {
	a, err := c.api(p)
	if err != nil {
		return err
	}
	up := &upload{name: c.File, stdin: p.stdin}
	if err := up.check(); err != nil {
		return err // before a job is made for it
	}
	key := c.IdempotencyKey
	if key == "" {
		key = uuid.NewString() // so that the request can be repeated
	}
	var made initAnswer
	_, err = a.call(p.ctx, http.MethodPost, "/v1/jobs/init", nil, initRequest{
		Provider: c.Provider, Model: c.Model, MaxRetries: c.MaxRetries, RPM: c.RPM, TPM: c.TPM, Metadata: c.Metadata,
	}, &made, "Idempotency-Key", key)
	if err != nil {
		return err
	}
	said := uploaded{JobID: made.JobID}
	switch {
	case made.UploadURL == nil:
		fmt.Fprintf(p.stderr, "This was submitted before, as the job %s.\n", made.JobID)
		j, _, err := a.job(p.ctx, made.JobID)
		if err != nil {
			return err
		}
		said.Status, said.PromptCount = j.Status, or(j.PromptCount)
	default:
		if said, err = a.upload(p.ctx, up, made); err != nil {
			return fmt.Errorf("the job %s was created, but the upload failed: %w", made.JobID, err)
		}
	}
	c.tell(p, said)
	if !c.Wait {
		return nil
	}
	return (&watcher{p: p, api: a, id: made.JobID, json: c.JSON}).run()
}

func (c *jobsSubmitCmd) tell(p *program, said uploaded) {
	if c.JSON {
		text, _ := json.Marshal(said) // of strings and a number
		printJSON(p.stdout, text)
		return
	}
	fmt.Fprintf(p.stderr, "%s uploaded; the job is %s.\n", plural(said.PromptCount, "prompt"), said.Status)
	fmt.Fprintln(p.stdout, said.JobID)
	if !c.Wait {
		fmt.Fprintf(p.stderr, "Follow it:         promptforge jobs watch %[1]s\nThen the answers:  promptforge jobs results %[1]s --out DIR\n", said.JobID)
	}
}

// uploaded is the answer to an upload.
type uploaded struct {
	JobID       string `json:"job_id"`
	Status      string `json:"status"`
	PromptCount int64  `json:"prompt_count"`
}

// upload is a prompts file on its way to a server.
type upload struct {
	name  string // "-" is stdin
	stdin io.Reader
	read  bool // of stdin, which can't be read twice
}

// check tells early what is wrong with the file.
func (u *upload) check() error {
	if u.name == "-" {
		return nil
	}
	f, err := openPrompts(u.name)
	if err != nil {
		return err
	}
	return f.Close()
}

// openPrompts opens a prompts file; the error is a sentence.
func openPrompts(name string) (*os.File, error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no file %s", name)
	}
	if err != nil {
		return nil, fmt.Errorf("the prompts file cannot be read: %w", err)
	}
	if info, err := f.Stat(); err == nil && info.IsDir() {
		return nil, errors.Join(fmt.Errorf("%s is a folder; a file with one prompt a line is needed", name), f.Close())
	}
	return f, nil
}

// body opens what is sent and says how it is encoded and how long it is (-1:
// not known).
func (u *upload) body() (body io.ReadCloser, encoding string, length int64, err error) {
	if u.name == "-" {
		u.read = true
		return compressed(io.NopCloser(u.stdin)), "zstd", -1, nil
	}
	f, err := openPrompts(u.name)
	if err != nil {
		return nil, "", 0, err
	}
	length = -1
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		length = info.Size()
	}
	switch strings.ToLower(filepath.Ext(u.name)) {
	case ".gz":
		return f, "gzip", length, nil
	case ".zst":
		return f, "zstd", length, nil
	}
	if length >= 0 && length < compressFrom {
		return f, "", length, nil
	}
	return compressed(f), "zstd", -1, nil
}

// compressed reads from r and gives it on as zstd. Closing it closes r.
func compressed(r io.ReadCloser) io.ReadCloser {
	out, in := io.Pipe()
	go func() {
		defer r.Close()
		z, err := zstd.NewWriter(in, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
		if err == nil {
			if _, err = io.Copy(z, r); err == nil {
				err = z.Close()
			}
		}
		in.CloseWithError(err)
	}()
	return out
}

// upload sends the file, again where the connection breaks: the same bytes
// twice are one upload.
func (a *api) upload(ctx context.Context, u *upload, made initAnswer) (said uploaded, err error) {
	for wait := 500 * time.Millisecond; ; wait *= 2 {
		said, err = a.put(ctx, u, *made.UploadURL)
		if err == nil || u.read || !mayPass(err) || wait > 4*time.Second {
			return said, err
		}
		if err := pause(ctx, wait); err != nil {
			return said, err
		}
	}
}

func (a *api) put(ctx context.Context, u *upload, target string) (said uploaded, err error) {
	body, encoding, length, err := u.body()
	if err != nil {
		return said, err
	}
	defer body.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, target, body)
	if err != nil {
		return said, errors.New("the server gave out an upload URL that is none")
	}
	req.ContentLength = length
	if length == 0 {
		req.Body = http.NoBody
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	req.Header.Set("Expect", "100-continue")
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	_, err = a.answer(req, &said)
	return said, err
}
