package server

import (
	"context"
	"errors"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

// InitJob creates a job, or finds the one that the same request created before.
func (s *service) InitJob(ctx context.Context, req *promptforgev1.InitJobRequest) (*promptforgev1.InitJobResponse, error) {
	j, err := newJob(req, s.webhooks)
	if err != nil {
		return nil, err
	}
	idem, err := idempotencyOf(ctx, j)
	if err != nil {
		return nil, err
	}
	if err := s.offered(j); err != nil {
		return nil, err
	}
	j.ID, j.Client, j.CreatedAt = job.NewID(), clientOf(ctx), s.now().UTC()
	if j.ContinueFrom == "" {
		j.UploadExpiresAt = s.expiry(s.uploadURLTTL)
	}
	kept, created, err := s.create(ctx, j, idem)
	if err != nil {
		return nil, initProblem(err)
	}
	resp := &promptforgev1.InitJobResponse{JobId: string(kept.ID)}
	if kept.Status != job.AwaitingUpload {
		return resp, nil
	}
	if !created {
		if kept, err = s.store.ExtendUpload(ctx, kept.Client, kept.ID, s.expiry(s.uploadURLTTL)); err != nil {
			return resp, unlessMovedOn(err)
		}
	}
	url, expires := s.uploadURL(kept)
	resp.UploadUrl, resp.ExpiresAt = &url, expires
	return resp, nil
}

// create keeps the job where the client's quotas have room for it; a request
// that came before needs none.
func (s *service) create(ctx context.Context, j *job.Job, idem *storage.Idempotency) (kept *job.Job, created bool, err error) {
	bytes, err := s.taken(ctx, j)
	if err != nil {
		return nil, false, err
	}
	release, err := s.quotas.Room(ctx, j.Client, 1, bytes)
	switch {
	case err == nil:
		defer release()
	case problem.From(err).Kind != problem.QuotaExceeded || idem == nil:
		return nil, false, err
	default:
		repeated, cannot := s.store.Repeated(ctx, j.Client, idem, j.CreatedAt)
		if cannot != nil {
			return nil, false, cannot
		}
		if !repeated {
			return nil, false, err
		}
	}
	return s.store.CreateJob(ctx, j, idem)
}

// taken is how many bytes a new job takes over from the one that it continues:
// never less than it does. Whether it may continue it is for the store to say.
func (s *service) taken(ctx context.Context, j *job.Job) (int64, error) {
	if j.ContinueFrom == "" {
		return 0, nil
	}
	source, err := s.store.Job(ctx, j.Client, j.ContinueFrom)
	if errors.Is(err, storage.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	parts, err := s.store.Parts(ctx, source.ID)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return 0, err
	}
	bytes := source.Prompts.Bytes
	for _, p := range parts {
		bytes += p.Bytes
	}
	return bytes, nil
}

// offered asks whether the job could be sent anywhere.
func (s *service) offered(j *job.Job) error {
	err := s.offers.Offered(j.Provider, j.Model)
	var not *NotOffered
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &not):
		return err
	case not.Model:
		return problem.New(problem.ModelNotOffered, not.Sentence)
	default:
		return problem.New(problem.ProviderNotOffered, not.Sentence)
	}
}

// initProblem names continue_from where the store refused it.
func initProblem(err error) error {
	p := problem.From(problem.FromStore(err))
	if p.Kind == problem.JobState {
		return problem.New(p.Kind, "The job in continue_from is not settled, or never had a file; only a settled job with a file can be continued.").Because(err)
	}
	return p
}

// unlessMovedOn is nil for the refusal that the job awaits no upload any more.
func unlessMovedOn(err error) error {
	err = problem.FromStore(err)
	if problem.From(err).Kind == problem.JobState {
		return nil
	}
	return err
}
