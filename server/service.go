package server

import (
	"context"
	"time"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/server/quota"
	"github.com/promptforge/promptforge/server/transfer"
	"github.com/promptforge/promptforge/server/webhook"
	"github.com/promptforge/promptforge/storage"
)

// service is JobService. Each method stands in a file of its own; their errors
// are problems, or what problem.From makes one of.
type service struct {
	promptforgev1.UnsafeJobServiceServer // a method that is missing does not compile

	store     storage.Store
	files     storage.Files
	offers    Offers
	now       func() time.Time
	signer    *transfer.Signer
	transfers *transfer.Handler
	quotas    *quota.Keeper
	webhooks  webhook.Allowed
	pages     pageTokens
	watched   *watchStates
	stopping  context.Context

	uploadURLTTL  time.Duration
	resultsURLTTL time.Duration
}

// job finds a job of the calling client. A text that is no id, an unknown id
// and another client's job are one and the same problem.
func (s *service) job(ctx context.Context, id string) (*job.Job, error) {
	parsed, err := job.ParseID(id)
	if err != nil {
		return nil, notFound()
	}
	j, err := s.store.Job(ctx, clientOf(ctx), parsed)
	if err != nil {
		return nil, problem.FromStore(err)
	}
	return j, nil
}

// expiry is when a URL that lives ttl from now dies, in whole seconds as URLs
// count them.
func (s *service) expiry(ttl time.Duration) time.Time {
	return s.now().UTC().Add(ttl).Truncate(time.Second)
}

// errStopping ends streams that would outlast the server.
func errStopping() error {
	p := problem.New(problem.Unavailable, "The server is stopping; connect again to go on.")
	p.RetryAfter = time.Second
	return p
}
