package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/promptforge/promptforge/internal/durable"
)

type jobsResultsCmd struct {
	ID      string `arg:"" help:"The job's id."`
	Out     string `required:"" help:"The folder that the files are written to; it is made if it is not there." placeholder:"DIR"`
	Partial bool   `help:"Take what is finished so far, whatever the job's state."`
	Full    bool   `help:"Add the provider's whole answer to each line, as \"response\"."`
	serverFlags
}

// Help is the long help.
func (c *jobsResultsCmd) Help() string {
	return `Writes results_part_001.jsonl and so on, and errors.jsonl, which is empty when nothing failed. A download that broke off is taken up where it was when the command is run again. The folder is the job's from then on; another job's results need another folder.

	promptforge jobs results ID --out answers
	promptforge verify answers
`
}

// resultFile is a file as the server lists it.
type resultFile struct {
	Filename string `json:"filename"`
	URL      string `json:"url"`
}

// resultName is what a listed file may be called: anything else, a path above
// all, does not come from a server of ours.
var resultName = regexp.MustCompile(`^(results_part_\d{3,}|errors)\.jsonl$`)

// Run downloads all files.
func (c *jobsResultsCmd) Run(p *program) error {
	a, err := c.api(p)
	if err != nil {
		return err
	}
	files, status, err := c.list(p.ctx, a)
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(durable.DownloadsName, c.Out, 0o755); err != nil {
		return fmt.Errorf("--out: %w", unusableFolder(c.Out, err))
	}
	err = claimFolder(c.Out, c.ID)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("--out: %w", unusableFolder(c.Out, err))
	}
	if err != nil {
		return fmt.Errorf("--out %s: %w", c.Out, err)
	}
	d := &download{api: a, dir: c.Out, job: c.ID}
	var bytes int64
	for i, f := range files {
		n, err := d.file(p.ctx, f, c.fresh(a, i))
		if err != nil {
			return fmt.Errorf("%s: %w", f.Filename, err)
		}
		bytes += n
	}
	if err := syncFolder(durable.DownloadsName, c.Out); err != nil {
		return err
	}
	if c.json() {
		names := make([]string, len(files))
		for i, f := range files {
			names[i] = filepath.Join(c.Out, f.Filename)
		}
		text, err := json.Marshal(map[string]any{"job_id": c.ID, "status": status, "files": names, "bytes": bytes})
		printJSON(p.stdout, text)
		return err
	}
	fmt.Fprintf(p.stdout, "%s (%s bytes) in %s; the job is %s.\n", plural(int64(len(files)), "file"), number(bytes), c.Out, status)
	return nil
}

// list asks for all files, over all pages.
func (c *jobsResultsCmd) list(ctx context.Context, a *api) (files []resultFile, status string, err error) {
	query := url.Values{}
	if c.Partial {
		query.Set("partial", "true")
	}
	if c.Full {
		query.Set("view", "full")
	}
	for {
		var page struct {
			Status string       `json:"status"`
			Files  []resultFile `json:"files"`
			Next   string       `json:"next_page_token"`
		}
		if _, err := a.call(ctx, http.MethodGet, jobPath(c.ID)+"/results", query, nil, &page); err != nil {
			return nil, "", c.inFlags(err)
		}
		for _, f := range page.Files {
			if !resultName.MatchString(f.Filename) {
				return nil, "", fmt.Errorf("the server lists a file %q, which is no name for results", f.Filename)
			}
		}
		files, status = append(files, page.Files...), page.Status
		if page.Next == "" {
			return files, status, nil
		}
		query.Set("page_token", page.Next)
	}
}

// inFlags says with this command's flags what the server says with its query.
func (c *jobsResultsCmd) inFlags(err error) error {
	var refused *apiError
	if c.Partial || !errors.As(err, &refused) || refused.status != http.StatusConflict {
		return err
	}
	return errors.New(strings.Replace(refused.detail, "?partial=true", "--partial", 1))
}

// fresh finds the URL of the i-th file again, when the first has expired.
func (c *jobsResultsCmd) fresh(a *api, i int) func(context.Context) (string, error) {
	return func(ctx context.Context) (string, error) {
		files, _, err := c.list(ctx, a)
		if err != nil {
			return "", err
		}
		if i >= len(files) {
			return "", errors.New("the server does not list it any more")
		}
		return files[i].URL, nil
	}
}

// download brings files into a folder. One that is not whole yet has a name of
// its own, made of the job and of the version that the server has, so that
// pieces of two versions never come together.
type download struct {
	api *api
	dir string
	job string
}

// file downloads a file and returns its length. fresh gives another URL.
func (d *download) file(ctx context.Context, f resultFile, fresh func(context.Context) (string, error)) (int64, error) {
	target := f.URL
	renewed := false
	for wait := 500 * time.Millisecond; ; wait *= 2 {
		n, err := d.try(ctx, f.Filename, target)
		if err == nil {
			return n, nil
		}
		var refused *apiError
		if errors.As(err, &refused) && refused.status == http.StatusForbidden && !renewed {
			renewed = true
			if target, err = fresh(ctx); err != nil {
				return 0, err
			}
			continue
		}
		if !mayPass(err) || wait > 8*time.Second {
			return 0, err
		}
		if err := pause(ctx, wait); err != nil {
			return 0, err
		}
	}
}

// try goes on where an earlier try broke off.
func (d *download) try(ctx context.Context, name, target string) (int64, error) {
	length, etag, err := d.head(ctx, target)
	if err != nil {
		return 0, err
	}
	sum := sha256.Sum256([]byte(d.job + " " + etag))
	path := filepath.Join(d.dir, "."+name+"."+hex.EncodeToString(sum[:6]))
	out, have, err := d.open(path)
	if err != nil {
		return 0, err
	}
	defer out.Close() // it was synced and closed before it counts
	if have > length || etag == "" {
		have = 0
	}
	if have < length {
		if have, err = d.get(ctx, target, etag, out, have, length); err != nil {
			d.keep(out, path)
			return 0, err
		}
	}
	if have != length {
		return 0, &unreachable{fmt.Sprintf("the download broke off at %d of %d bytes", have, length)}
	}
	if err := errors.Join(out.Truncate(length), durable.File(durable.DownloadFile, out), out.Close()); err != nil {
		return 0, err
	}
	if err := os.Rename(out.Name(), filepath.Join(d.dir, name)); err != nil {
		return 0, err
	}
	d.clean(name)
	return length, nil
}

const (
	// growing ends the name of a file that is being written. After a power loss
	// nobody knows which of its bytes are on the disk.
	growing = ".new"
	// brokenOff ends the name of one whose bytes are.
	brokenOff = ".part"
)

// open opens the file that grows, with what an earlier try brought.
func (d *download) open(path string) (out *os.File, have int64, err error) {
	if err := os.Remove(path + growing); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a try that was killed
		return nil, 0, err
	}
	err = os.Rename(path+brokenOff, path+growing)
	if err == nil {
		// Else a power loss could give the old name to what is written now.
		err = syncFolder(durable.DownloadsName, d.dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, 0, err
	}
	if out, err = os.OpenFile(path+growing, os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return nil, 0, err
	}
	if have, err = out.Seek(0, io.SeekEnd); err != nil {
		return nil, 0, errors.Join(err, out.Close())
	}
	return out, have, nil
}

// keep lets the next try go on where this one broke off. If that fails, the
// next one begins anew.
func (d *download) keep(out *os.File, path string) {
	if err := errors.Join(durable.File(durable.DownloadFile, out), out.Close()); err == nil {
		os.Rename(path+growing, path+brokenOff) //nolint:errcheck // see above
	}
}

func (d *download) head(ctx context.Context, target string) (length int64, etag string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, target, nil)
	if err != nil {
		return 0, "", errors.New("the server gave out a download URL that is none")
	}
	resp, err := d.api.send(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	if resp.ContentLength < 0 {
		return 0, "", errors.New("the server does not tell the file's length")
	}
	return resp.ContentLength, resp.Header.Get("ETag"), nil
}

// get appends what is missing and returns how much there is then.
func (d *download) get(ctx context.Context, target, etag string, out *os.File, have, length int64) (int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return have, err
	}
	// Lengths and ranges are those of the file itself.
	req.Header.Set("Accept-Encoding", "identity")
	if have > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", have))
		req.Header.Set("If-Range", etag)
	}
	resp, err := d.api.send(req)
	if err != nil {
		return have, err
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("ETag"); got != etag {
		return have, &unreachable{"the file changed during the download"} // trying again takes the new one
	}
	if resp.StatusCode == http.StatusOK {
		have = 0
	} else if !strings.HasPrefix(resp.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", have)) {
		return have, errors.New("the server sent another range than the one asked for")
	}
	if _, err := out.Seek(have, io.SeekStart); err != nil {
		return have, err
	}
	if err := out.Truncate(have); err != nil {
		return have, err
	}
	n, err := io.Copy(out, io.LimitReader(resp.Body, length-have+1))
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			return have + n, err // of the disk
		}
		return have + n, d.api.failed(req, err)
	}
	return have + n, nil
}

// clean removes what is left of other versions of a file.
func (d *download) clean(name string) {
	for _, end := range []string{growing, brokenOff} {
		old, err := filepath.Glob(filepath.Join(d.dir, "."+name+".*"+end))
		if err != nil {
			return
		}
		for _, path := range old {
			os.Remove(path) //nolint:errcheck // a hidden left-over does no harm
		}
	}
}

// syncFolder makes the names in a folder durable, where the file system of the
// answers can.
func syncFolder(p durable.Point, dir string) error {
	if err := durable.Dir(p, dir); !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}
