package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/klauspost/compress/zstd"
)

// compressFrom is the size from which an upload is compressed on its way.
const compressFrom = 1 << 20

// jobsUploadCmd is for a job whose first upload was refused or broke off.
type jobsUploadCmd struct {
	ID   string `arg:"" help:"The id of a job that is AWAITING_UPLOAD."`
	File string `arg:"" help:"The prompts file, one JSON object a line, plain or compressed with gzip or zstd; - reads standard input."`
	serverFlags
}

// Help is the long help.
func (c *jobsUploadCmd) Help() string {
	return `For a job whose upload by jobs submit failed. It must still be AWAITING_UPLOAD: a job whose upload URL expired unused (after 15 minutes, if the operator has not set another time) is CANCELLED, and its prompts are submitted as a new job.

	promptforge jobs upload ID prompts.jsonl
`
}

// Run uploads the file.
func (c *jobsUploadCmd) Run(p *program) error {
	a, err := c.api(p)
	if err != nil {
		return err
	}
	up := &upload{name: c.File, stdin: p.stdin}
	if err := up.check(); err != nil {
		return err
	}
	defer up.close()
	made, err := a.uploadURL(p.ctx, c.ID)
	var refused *apiError
	if errors.As(err, &refused) && refused.status == http.StatusConflict {
		return fmt.Errorf("%s To send the file in a new job: promptforge jobs submit", refused.detail)
	}
	if err != nil {
		return err
	}
	done, err := a.upload(p.ctx, up, made)
	if err != nil {
		return err
	}
	if c.json() {
		done.print(p.stdout)
		return done.refused()
	}
	fmt.Fprintln(p.stdout, done.sentence())
	if err := done.refused(); err != nil {
		return err
	}
	done.hint(p.stderr)
	return nil
}

// uploadURL asks for a fresh URL.
func (a *api) uploadURL(ctx context.Context, id string) (made initAnswer, err error) {
	_, err = a.call(ctx, http.MethodPost, jobPath(id)+"/upload-url", nil, nil, &made)
	if err == nil && made.UploadURL == nil {
		err = errors.New("the server gave out no upload URL")
	}
	return made, err
}

// uploaded is the answer to an upload.
type uploaded struct {
	JobID       string `json:"job_id"`
	Status      string `json:"status"`
	PromptCount int64  `json:"prompt_count"`
}

func (u uploaded) print(w io.Writer) {
	text, _ := json.Marshal(u) // of strings and a number
	printJSON(w, text)
}

func (u uploaded) sentence() string {
	return fmt.Sprintf("%s uploaded; the job is %s.", plural(u.PromptCount, "prompt"), u.Status)
}

// hint says how to go on from here.
func (u uploaded) hint(w io.Writer) {
	fmt.Fprintf(w, "Follow it:         promptforge jobs watch %[1]s\nThen the answers:  promptforge jobs results %[1]s --out DIR\n", u.JobID)
}

// refused tells that not one line of the file can be used.
func (u uploaded) refused() error {
	switch {
	case u.Status != "FAILED":
		return nil
	case u.PromptCount == 0:
		return errors.New("the file has no line at all, and so the job is FAILED; submit another file")
	default:
		return fmt.Errorf("the job is FAILED, and nothing was sent for it; why is told by promptforge jobs results %s --partial --out DIR, for each line in errors.jsonl", u.JobID)
	}
}

// upload is a prompts file on its way to a server.
type upload struct {
	name   string // "-" is stdin
	stdin  io.Reader
	opened *promptsReader // by check, for the first body
	read   bool           // of what can't be read twice
}

// check tells early what is wrong with the file.
func (u *upload) check() (err error) {
	u.opened, err = u.open()
	return err
}

func (u *upload) open() (*promptsReader, error) {
	if u.name == "-" {
		return readPrompts("standard input", io.NopCloser(u.stdin), -1)
	}
	return openPrompts(u.name)
}

// close gives up what was opened and not sent.
func (u *upload) close() {
	if u.opened != nil {
		u.opened.Close() // it was only read
	}
}

// body opens what is sent and says how it is encoded and how long it is (-1:
// not known).
func (u *upload) body() (body io.ReadCloser, encoding string, length int64, err error) {
	f := u.opened
	u.opened = nil
	if f == nil {
		if f, err = u.open(); err != nil {
			return nil, "", 0, err
		}
	}
	u.read = f.length < 0
	if f.encoding != "" || f.length >= 0 && f.length < compressFrom {
		return f, f.encoding, f.length, nil
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
	renewed := false
	for wait := 500 * time.Millisecond; ; wait *= 2 {
		said, err = a.put(ctx, u, *made.UploadURL)
		var refused *apiError
		if errors.As(err, &refused) && refused.status == http.StatusForbidden && !renewed && !u.read {
			renewed = true
			if made, err = a.uploadURL(ctx, made.JobID); err != nil {
				return said, err
			}
			continue
		}
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
