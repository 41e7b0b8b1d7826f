package transfer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/intake"
)

// Upload takes a job's prompts file from body, as a PUT does: whoever calls it
// has made sure that client may. It returns the job after it. contentEncoding
// is "" (or identity), gzip or zstd. An upload of the same bytes that the job
// has already changes nothing and returns the job as it is now.
//
// The error is a problem: BadRequest (broken, or another encoding), NotFound,
// JobState, UploadTooLarge, QuotaExceeded, Unavailable. After any of them the job is as it
// was. An error of body means that the upload broke, unless it is a problem
// itself, which is returned as it is.
func (h *Handler) Upload(ctx context.Context, client string, id job.ID, contentEncoding string, body io.Reader) (*job.Job, error) {
	defer h.begin(id)()
	j, err := h.expecting(ctx, client, id)
	if err != nil {
		return nil, err
	}
	end, err := h.Quotas.Upload(ctx, client)
	if err != nil {
		return nil, err
	}
	defer end()
	return h.take(ctx, j, contentEncoding, newBody(body, h.MaxUploadBytes))
}

// uploaded is the answer to a PUT.
type uploaded struct {
	JobID       job.ID     `json:"job_id"`
	Status      job.Status `json:"status"`
	PromptCount int64      `json:"prompt_count"`
}

// put serves an upload. Nothing of the body is read (and a client that waits
// for 100 Continue sends nothing) before all that can be told without it.
func (h *Handler) put(w http.ResponseWriter, r *http.Request, g grant) {
	j, err := h.receive(w, r, g)
	if err != nil {
		h.refuse(w, r, g, err)
		return
	}
	answer, err := json.Marshal(uploaded{JobID: j.ID, Status: j.Status, PromptCount: j.PromptCount})
	if err != nil {
		h.refuse(w, r, g, err)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(answer)))
	_, err = w.Write(answer)
	ignore(err) // the upload stands, and the client may send it again
}

func (h *Handler) receive(w http.ResponseWriter, r *http.Request, g grant) (*job.Job, error) {
	j, err := h.expecting(r.Context(), g.client, g.job)
	if err != nil {
		return nil, err
	}
	end, err := h.Quotas.Upload(r.Context(), g.client)
	if err != nil {
		return nil, err
	}
	defer end()
	encoding, err := contentEncoding(r.Header)
	if err != nil {
		return nil, err
	}
	b := newBody(r.Body, h.MaxUploadBytes)
	if r.ContentLength > b.left || (encoding == "" && r.ContentLength > h.MaxUploadBytes) {
		return nil, h.tooLarge()
	}
	if b.digests, err = parseDigests(r.Header.Values("Content-Digest")); err != nil {
		return nil, err
	}
	b.watch(w, h.IdleTimeout)
	b.permitted = h.keyed(r.Context(), g.client)
	return h.take(r.Context(), j, encoding, b)
}

// contentEncoding is "", gzip or zstd.
func contentEncoding(h http.Header) (string, error) {
	return canonicalEncoding(strings.Join(h.Values("Content-Encoding"), ","))
}

func canonicalEncoding(name string) (string, error) {
	switch name = strings.ToLower(strings.TrimSpace(name)); name {
	case "", "identity":
		return "", nil
	case "gzip", "x-gzip":
		return "gzip", nil
	case "zstd":
		return "zstd", nil
	}
	return "", problem.New(problem.BadRequest, "The Content-Encoding is not understood here; send the file with gzip, with zstd, or as it is.")
}

func (h *Handler) tooLarge() error {
	return problem.New(problem.UploadTooLarge, fmt.Sprintf("The file is larger than %d bytes (after decompression); split it into several jobs.", h.MaxUploadBytes))
}

// expecting finds the job if an upload to it can come to anything: it awaits
// one, or has had one that this may be the same as.
func (h *Handler) expecting(ctx context.Context, client string, id job.ID) (*job.Job, error) {
	j, err := h.Store.Job(ctx, client, id)
	if err != nil {
		return nil, problem.FromStore(err)
	}
	if j.Status != job.AwaitingUpload {
		if !hasUpload(j) {
			return nil, wrongState(j)
		}
		return j, nil
	}
	return j, h.short()
}

func hasUpload(j *job.Job) bool { return j.Prompts.SHA256 != [sha256.Size]byte{} }

func wrongState(j *job.Job) error {
	sentence := "The job is " + j.Status.String() + " and takes no upload; create another job for these prompts."
	if hasUpload(j) {
		sentence = "The job is " + j.Status.String() + " and has its prompts already, which are not these; create another job for them."
	}
	return problem.New(problem.JobState, sentence)
}

// take reads an upload to its end and gives it to the job, or compares it with
// what the job has.
func (h *Handler) take(ctx context.Context, j *job.Job, encoding string, b *body) (*job.Job, error) {
	encoding, err := canonicalEncoding(encoding)
	if err != nil {
		return nil, err
	}
	content, err := intake.Decompress(encoding, b)
	if err != nil {
		return nil, broken(b, err)
	}
	defer content.Close()
	if j.Status == job.AwaitingUpload {
		return h.keep(ctx, j, content, b)
	}
	sum, err := h.sum(content)
	if err == nil {
		err = b.finish()
	}
	if err != nil {
		return nil, broken(b, err)
	}
	now, err := h.Store.Job(ctx, j.Client, j.ID)
	if err != nil {
		return nil, problem.FromStore(err)
	}
	return same(now, sum)
}

// same is the answer to a whole upload that came after another.
func same(j *job.Job, sum [sha256.Size]byte) (*job.Job, error) {
	if !hasUpload(j) || j.Prompts.SHA256 != sum {
		return nil, wrongState(j)
	}
	return j, nil
}

// sum hashes what the job's prompts were hashed over.
func (h *Handler) sum(content io.Reader) (sum [sha256.Size]byte, err error) {
	hash := sha256.New()
	n, err := io.Copy(hash, io.LimitReader(content, h.MaxUploadBytes+1))
	if err == nil && n > h.MaxUploadBytes {
		err = h.tooLarge()
	}
	hash.Sum(sum[:0])
	return sum, err
}

// keep writes an upload into Files and gives it to the job.
func (h *Handler) keep(ctx context.Context, j *job.Job, content io.Reader, b *body) (*job.Job, error) {
	files, err := h.Quotas.Files(ctx, j.Client, &spacious{h.Files, h})
	if err != nil {
		return nil, err
	}
	u, err := intake.Read(ctx, files, j.ID, content, intake.Limits{MaxBytes: h.MaxUploadBytes})
	if err != nil {
		return nil, broken(b, err)
	}
	if err := b.finish(); err != nil {
		h.discard(ctx, u)
		return nil, err
	}
	// The upload is whole: whether its sender is still there counts no more.
	ctx = context.WithoutCancel(ctx)
	release, err := h.Quotas.Room(ctx, j.Client, 0, stored(u))
	if err != nil {
		h.discard(ctx, u)
		return nil, err
	}
	defer release()
	kept, err := h.Store.CompleteUpload(ctx, j.ID, u, h.Now())
	if err == nil {
		return kept, nil
	}
	var state *storage.StateError
	switch {
	case errors.As(err, &state):
		h.discard(ctx, u)
		return same(state.Job, u.Prompts.SHA256)
	case errors.Is(err, storage.ErrNotFound):
		h.discard(ctx, u)
	}
	// Any other error leaves open whether the job has these files now, so
	// they stay: those that no job names are removed as orphans.
	return nil, problem.FromStore(fmt.Errorf("complete an upload: %w", err))
}

// stored is how much an upload adds to what its client has.
func stored(u storage.Upload) int64 {
	n := u.Prompts.Bytes
	for _, part := range u.Unusable {
		n += part.Bytes
	}
	return n
}

// broken makes a problem of what ended an upload early.
func broken(b *body, err error) error {
	var own *problem.Problem
	var large *intake.TooLargeError
	var corrupt *intake.CorruptError
	var unknown *intake.UnknownEncodingError
	switch bad := b.problem(); {
	case bad != nil:
		return bad
	case errors.As(err, &own):
		return own
	case errors.As(err, &large):
		return problem.New(problem.UploadTooLarge, large.Sentence)
	case errors.As(err, &corrupt):
		return problem.New(problem.BadRequest, corrupt.Error()).Because(err)
	case errors.As(err, &unknown):
		return problem.New(problem.BadRequest, unknown.Error())
	}
	return problem.FromStore(fmt.Errorf("take an upload in: %w", err))
}

// discard removes the files of an upload that no job will name.
func (h *Handler) discard(ctx context.Context, u storage.Upload) {
	ctx = context.WithoutCancel(ctx)
	names := []string{u.Prompts.Name}
	for _, part := range u.Unusable {
		names = append(names, part.Name)
	}
	for _, name := range names {
		if name == "" {
			continue
		}
		if err := h.Files.Remove(ctx, name); err != nil {
			h.Log.WarnContext(ctx, "a file of a refused upload was left behind", "file", name, "error", err)
		}
	}
}
