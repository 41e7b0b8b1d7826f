package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/promptforge/promptforge/job"
)

// jobsCmd is a client of a server, over REST.
type jobsCmd struct {
	Submit  jobsSubmitCmd  `cmd:"" help:"Create a job and upload its prompts."`
	Upload  jobsUploadCmd  `cmd:"" help:"Upload the prompts of a job that still awaits them."`
	Status  jobsStatusCmd  `cmd:"" help:"Show a job."`
	Watch   jobsWatchCmd   `cmd:"" help:"Follow a job until it ends."`
	Results jobsResultsCmd `cmd:"" help:"Download a job's answers."`
	Cancel  jobsCancelCmd  `cmd:"" help:"Stop a job; what was answered stays."`
	Delete  jobsDeleteCmd  `cmd:"" help:"Cancel a job if it runs, and remove its prompts and answers."`
	List    jobsListCmd    `cmd:"" help:"List your jobs, newest first."`
}

// serverFlags say which server is asked. The key comes from the environment
// alone, since everyone on a machine can read a command line.
type serverFlags struct {
	URL    string `name:"url" help:"The server (default http://127.0.0.1:8080, $PROMPTFORGE_URL); the key comes from $PROMPTFORGE_API_KEY." placeholder:"URL"`
	JSON   bool   `name:"json" help:"Print JSON for machines, an object a line."`
	Output string `short:"o" help:"text or json; json is the same as --json." enum:"text,json" default:"text" placeholder:"FORMAT"`
}

func (f *serverFlags) json() bool { return f.JSON || f.Output == "json" }

func (f *serverFlags) api(p *program) (*api, error) {
	text, name := f.URL, "--url"
	if text == "" {
		text, name = p.getenv("PROMPTFORGE_URL"), "PROMPTFORGE_URL"
	}
	if text == "" {
		text = "http://127.0.0.1:8080"
	}
	var u baseURL
	if err := u.UnmarshalText([]byte(text)); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	key := p.getenv("PROMPTFORGE_API_KEY")
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("PROMPTFORGE_API_KEY: holds white space or signs that no key has; it looks like pf_…")
	}
	return newAPI(string(u), key), nil
}

func printJSON(w io.Writer, text []byte) { fmt.Fprintln(w, strings.TrimSpace(string(text))) }

type jobsStatusCmd struct {
	ID string `arg:"" help:"The job's id."`
	serverFlags
}

// Run shows a job.
func (c *jobsStatusCmd) Run(p *program) error {
	a, err := c.api(p)
	if err != nil {
		return err
	}
	j, text, err := a.job(p.ctx, c.ID)
	if err != nil {
		return err
	}
	if c.json() {
		printJSON(p.stdout, text)
		return nil
	}
	return showJob(p.stdout, j)
}

// showJob prints what is known of a job, a line each.
func showJob(out io.Writer, j *wireJob) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	row("job", j.JobID)
	row("status", j.Status)
	row("reason", or(j.FailureReason))
	row("held", or(j.HoldReason))
	row("held since", or(j.HeldSince))
	row("held until", or(j.HeldUntil))
	row("model", j.Provider+" / "+j.Model)
	row("prompts", counts(j))
	row("tokens", positive(j.TokensUsed))
	row("requests", positive(j.RequestsSent))
	row("possibly repaid", positive(j.PossiblyRepaid))
	if n := or(j.CurrentRPM); n > 0 {
		row("rate", number(n)+"/min")
	}
	row("bound by", or(j.BoundBy))
	ready := or(j.EstimatedFinish)
	if from, to := or(j.EstimatedEarliest), or(j.EstimatedLatest); ready != "" && from != "" && to != "" && from != to {
		ready += " (between " + from + " and " + to + ")"
	}
	row("ready by", ready)
	row("created", or(j.CreatedAt))
	row("started", or(j.StartedAt))
	row("ended", or(j.CompletedAt))
	row("continues", or(j.ContinueFrom))
	row("webhook", webhookText(j))
	keys := make([]string, 0, len(j.Metadata))
	for key := range j.Metadata {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		row("metadata "+key, j.Metadata[key])
	}
	return w.Flush()
}

// webhookText is where the POST goes and what has become of it.
func webhookText(j *wireJob) string {
	text := or(j.WebhookURL)
	if state := or(j.WebhookState); state != "" {
		text += ": " + strings.ReplaceAll(state, "_", " ") + " after " + plural(j.WebhookAttempts, "attempt")
	}
	if wrong := or(j.WebhookError); wrong != "" {
		text += " (" + strings.TrimRight(oneLine(wrong), ".") + ")"
	}
	return text
}

func positive(n *int64) string {
	if or(n) == 0 {
		return ""
	}
	return number(*n)
}

// counts is how far a job is, in words.
func counts(j *wireJob) string {
	if j.PromptCount == nil {
		return "not uploaded yet"
	}
	done := or(j.CompletedCount) + or(j.FailedCount)
	text := fmt.Sprintf("%s of %s done", number(done), number(*j.PromptCount))
	if n := or(j.FailedCount); n > 0 {
		text += fmt.Sprintf(", %s of them failed", number(n))
	}
	return text
}

type jobsCancelCmd struct {
	ID string `arg:"" help:"The job's id."`
	serverFlags
}

// Help is the long help.
func (c *jobsCancelCmd) Help() string {
	return `No new prompt is sent after it; requests in flight may finish, and are recorded. The answers so far are fetched with jobs results --partial, and jobs submit --continue-from sends the rest later.

	promptforge jobs cancel ID
`
}

// Run cancels a job.
func (c *jobsCancelCmd) Run(p *program) error {
	return c.change(p, http.MethodPost, jobPath(c.ID)+"/cancel", "The job "+c.ID+" is cancelled; nothing more is sent for it.")
}

type jobsDeleteCmd struct {
	ID string `arg:"" help:"The job's id."`
	serverFlags
}

// Help is the long help.
func (c *jobsDeleteCmd) Help() string {
	return `Nothing of it can be had back, and what was paid for is gone with it: fetch the answers first (jobs results).

	promptforge jobs delete ID
`
}

// Run deletes a job.
func (c *jobsDeleteCmd) Run(p *program) error {
	return c.change(p, http.MethodDelete, jobPath(c.ID), "The job "+c.ID+" is gone.")
}

func (f *serverFlags) change(p *program, method, path, done string) error {
	a, err := f.api(p)
	if err != nil {
		return err
	}
	text, err := a.call(p.ctx, method, path, nil, nil, nil)
	if err != nil {
		return err
	}
	if f.json() {
		printJSON(p.stdout, text)
	} else {
		fmt.Fprintln(p.stdout, done)
	}
	return nil
}

type jobsListCmd struct {
	Status string `help:"Only jobs in this state: AWAITING_UPLOAD, PENDING, QUEUED, PROCESSING, COMPLETED, FAILED or CANCELLED." placeholder:"STATUS"`
	Limit  *count `help:"At most so many jobs; left out, 100." placeholder:"N" xor:"many"`
	All    bool   `help:"All jobs, however many." xor:"many"`
	serverFlags
}

// Help is the long help.
func (c *jobsListCmd) Help() string {
	return `Those at work, and all of them for a script:

	promptforge jobs list --status PROCESSING --limit 20
	promptforge jobs list --all --json
`
}

// Run lists jobs.
func (c *jobsListCmd) Run(p *program) error {
	a, err := c.api(p)
	if err != nil {
		return err
	}
	query := url.Values{}
	if c.Status != "" {
		status, err := job.ParseStatus(strings.ToUpper(c.Status))
		if err != nil {
			return fmt.Errorf("--status: %q is no status; there are %s", c.Status, strings.Trim(fmt.Sprint(job.Statuses()), "[]"))
		}
		query.Set("status", status.String())
	}
	limit := 100
	switch {
	case c.All:
		limit = math.MaxInt
	case c.Limit != nil:
		limit = int(*c.Limit)
	}
	listed, more, err := c.list(p, a, query, limit)
	switch {
	case err != nil, c.json():
		return err
	case listed == 0 && c.Status == "":
		fmt.Fprintln(p.stderr, "There is no job yet; promptforge jobs submit FILE --provider NAME --model NAME makes one.")
	case listed == 0:
		fmt.Fprintf(p.stderr, "No job is %s.\n", query.Get("status"))
	case more:
		fmt.Fprintln(p.stderr, "There are older ones, too; --all lists them, or --limit N so many.")
	}
	return nil
}

// list prints the jobs, page by page; more tells that there are others.
func (c *jobsListCmd) list(p *program, a *api, query url.Values, limit int) (listed int, more bool, err error) {
	for {
		query.Set("page_size", strconv.Itoa(min(limit-listed, 1000)))
		page := struct {
			Jobs []jsonJob `json:"jobs"`
			Next string    `json:"next_page_token"`
		}{}
		if _, err := a.call(p.ctx, http.MethodGet, "/v1/jobs", query, nil, &page); err != nil {
			return listed, false, err
		}
		if err := c.print(p.stdout, page.Jobs, listed == 0); err != nil {
			return listed, false, err
		}
		listed += len(page.Jobs)
		if page.Next == "" || len(page.Jobs) == 0 || listed >= limit {
			return listed, page.Next != "", nil
		}
		query.Set("page_token", page.Next)
	}
}

// print prints a page, so that a long list begins at once.
func (c *jobsListCmd) print(out io.Writer, jobs []jsonJob, first bool) error {
	if c.json() {
		for _, j := range jobs {
			printJSON(out, j.text)
		}
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	if first && len(jobs) > 0 {
		fmt.Fprintln(w, "JOB\tSTATUS\tMODEL\tPROMPTS\tCREATED")
	}
	for _, j := range jobs {
		fmt.Fprintf(w, "%s\t%s\t%s / %s\t%s\t%s\n", j.JobID, j.Status, j.Provider, j.Model, counts(&j.wireJob), or(j.CreatedAt))
	}
	return w.Flush()
}
