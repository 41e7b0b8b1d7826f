package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/google/uuid"
)

type jobsSubmitCmd struct {
	File           string            `arg:"" optional:"" help:"The prompts file, one JSON object a line, plain or compressed with gzip or zstd; - reads standard input. Left out with --continue-from."`
	Provider       string            `help:"The provider, by the server's name for it, such as openai." placeholder:"NAME"`
	Model          string            `help:"The model, by the provider's name for it, such as gpt-4o-mini." placeholder:"NAME"`
	MaxRetries     *retries          `help:"Tries after the first one, 0 to 20, for prompts that the provider fails at; left out, 3." placeholder:"N"`
	RPM            *count            `name:"rpm" help:"Send at most so many requests a minute; left out, the limit is learned." placeholder:"N"`
	TPM            *count            `name:"tpm" help:"Use at most so many tokens a minute; left out, the limit is learned." placeholder:"N"`
	ContinueFrom   string            `help:"Take over the file and the results of an earlier job that has ended, and send only the prompts that have no result. --provider and --model are that job's where they are left out." placeholder:"ID"`
	WebhookURL     string            `name:"webhook-url" help:"Where the server sends one signed POST when the job has ended; https only." placeholder:"URL"`
	Metadata       map[string]string `help:"A note that stays with the job; up to 16 times." placeholder:"KEY=VALUE" mapsep:"none"`
	IdempotencyKey string            `help:"Submitting again with the same key within 24 hours finds the same job." placeholder:"KEY"`
	Wait           bool              `help:"Follow the job until it ends; exit code 1 unless it is COMPLETED."`
	serverFlags
}

// Help is the long help.
func (c *jobsSubmitCmd) Help() string {
	return `Prints the job's id.

	promptforge jobs submit prompts.jsonl --provider openai --model gpt-4o-mini --wait

What failed in an earlier job is tried again, and nothing is bought twice:

	promptforge jobs submit --continue-from ID
`
}

// check refuses what the server would, before a file is read for it.
func (c *jobsSubmitCmd) check() error {
	switch {
	case c.ContinueFrom != "" && c.File != "":
		return errors.New("--continue-from takes over the file of that job; leave " + c.File + " out, or leave --continue-from out to submit it as a job of its own")
	case c.ContinueFrom != "":
		return nil
	case c.File == "":
		return errors.New("name a prompts file, or an earlier job with --continue-from (promptforge jobs submit --help shows what there is)")
	case c.Provider == "" || c.Model == "":
		return errors.New("--provider and --model are needed, such as --provider openai --model gpt-4o-mini (promptforge jobs submit --help shows what there is)")
	}
	return nil
}

// initRequest is the body of POST /v1/jobs/init.
type initRequest struct {
	Provider     string            `json:"provider"`
	Model        string            `json:"model"`
	MaxRetries   *retries          `json:"max_retries,omitempty"`
	RPM          *count            `json:"rpm,omitempty"`
	TPM          *count            `json:"tpm,omitempty"`
	ContinueFrom string            `json:"continue_from,omitempty"`
	Metadata     map[string]string `json:"metadata,omitempty"`
	WebhookURL   string            `json:"webhook_url,omitempty"`
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
	if err := c.check(); err != nil {
		return err
	}
	up := &upload{name: c.File, stdin: p.stdin}
	if c.ContinueFrom == "" {
		if err := up.check(); err != nil {
			return err // before a job is made for it
		}
		defer up.close()
	}
	made, err := c.init(p.ctx, a)
	if err != nil {
		return err
	}
	if made.UploadURL == nil {
		err = c.tellOfOld(p, a, made.JobID)
	} else {
		err = c.sendFile(p, a, up, made)
	}
	if err != nil || !c.Wait {
		return err
	}
	return (&watcher{p: p, api: a, id: made.JobID, json: c.json()}).run()
}

func (c *jobsSubmitCmd) init(ctx context.Context, a *api) (made initAnswer, err error) {
	req := initRequest{
		Provider: c.Provider, Model: c.Model, MaxRetries: c.MaxRetries, RPM: c.RPM, TPM: c.TPM,
		ContinueFrom: c.ContinueFrom, Metadata: c.Metadata, WebhookURL: c.WebhookURL,
	}
	if c.Provider == "" || c.Model == "" { // check lets only a continued job pass
		earlier, _, err := a.job(ctx, c.ContinueFrom)
		if err != nil {
			return made, fmt.Errorf("--continue-from %s: %w", c.ContinueFrom, err)
		}
		req.Provider, req.Model = cmp.Or(c.Provider, earlier.Provider), cmp.Or(c.Model, earlier.Model)
	}
	key := c.IdempotencyKey
	if key == "" {
		key = uuid.NewString() // so that the request can be repeated
	}
	_, err = a.call(ctx, http.MethodPost, "/v1/jobs/init", nil, req, &made, "Idempotency-Key", key)
	return made, err
}

// tellOfOld tells of a job that has its file already.
func (c *jobsSubmitCmd) tellOfOld(p *program, a *api, id string) error {
	j, _, err := a.job(p.ctx, id)
	if err != nil {
		return err
	}
	if c.ContinueFrom == "" {
		fmt.Fprintf(p.stderr, "This was submitted before, as the job %s.\n", id)
	}
	done := uploaded{JobID: id, Status: j.Status, PromptCount: or(j.PromptCount)}
	c.tell(p, done, fmt.Sprintf("%s; the job is %s.", counts(j), j.Status))
	return nil
}

func (c *jobsSubmitCmd) sendFile(p *program, a *api, up *upload, made initAnswer) error {
	done, err := a.upload(p.ctx, up, made)
	again := fmt.Sprintf("; to upload again: promptforge jobs upload %s FILE", made.JobID)
	if err != nil && p.ctx.Err() != nil {
		return &errExit{exitInterrupted, errors.New("stopped before the upload was whole, so that nothing is sent" + again)}
	}
	if err != nil {
		return fmt.Errorf("the job %[1]s was created, but the upload failed: %[2]w%[3]s", made.JobID, err, again)
	}
	c.tell(p, done, done.sentence())
	return done.refused()
}

func (c *jobsSubmitCmd) tell(p *program, done uploaded, sentence string) {
	if c.json() {
		done.print(p.stdout)
		return
	}
	fmt.Fprintln(p.stderr, sentence)
	fmt.Fprintln(p.stdout, done.JobID)
	if !c.Wait && done.refused() == nil {
		done.hint(p.stderr)
	}
}
