package admin

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/promptforge/promptforge/server/keys"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/server/quota"
	"github.com/promptforge/promptforge/storage"
)

// Quotas is what an operator does with a client's quota. Errors are problems
// with a sentence for the operator.
type Quotas interface {
	// ChangeQuota sets what change says and leaves the rest; with clear
	// everything that was set before is forgotten first. A change that says
	// nothing only shows. NotFound if there never was a key for the client.
	ChangeQuota(ctx context.Context, client string, change storage.Quota, clear bool) (QuotaInfo, error)
}

// QuotaInfo is a client's quota.
type QuotaInfo struct {
	Set storage.Quota // by ChangeQuota
	// Limits hold now, with the configuration of the server that runs. nil where
	// none does.
	Limits *quota.Limits
}

// LocalQuotas is Quotas on an open store.
type LocalQuotas struct {
	Store interface {
		storage.Keys
		storage.Quotas
	}
	Keeper *quota.Keeper // of the server that runs; may be nil

	changing sync.Mutex
}

var _ Quotas = (*LocalQuotas)(nil)

// ChangeQuota sets, forgets and shows.
func (l *LocalQuotas) ChangeQuota(ctx context.Context, client string, change storage.Quota, clear bool) (QuotaInfo, error) {
	if err := keys.CheckClient(client); err != nil {
		return QuotaInfo{}, err
	}
	if !quota.Valid(change) {
		return QuotaInfo{}, problem.New(problem.BadRequest, "A quota is 0, which is no limit, or more; requests a second are 0, or from 0.001 to 1000000.")
	}
	if err := l.known(ctx, client); err != nil {
		return QuotaInfo{}, err
	}
	set, err := l.change(ctx, client, change, clear)
	if err != nil {
		return QuotaInfo{}, unavailable(err)
	}
	info := QuotaInfo{Set: set}
	if l.Keeper == nil {
		return info, nil
	}
	l.Keeper.Forget(client)
	limits, err := l.Keeper.Limits(ctx, client)
	if err != nil {
		return QuotaInfo{}, err
	}
	info.Limits = &limits
	return info, nil
}

func (l *LocalQuotas) change(ctx context.Context, client string, change storage.Quota, clear bool) (storage.Quota, error) {
	l.changing.Lock()
	defer l.changing.Unlock()
	set, err := l.Store.Quota(ctx, client)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return set, err
	}
	if clear {
		set = storage.Quota{}
	}
	switch set = quota.Merge(set, change); {
	case change != storage.Quota{}:
		return set, l.Store.SetQuota(ctx, client, set)
	case clear:
		return set, l.Store.ClearQuota(ctx, client)
	}
	return set, nil
}

// known keeps a misspelt name from being set a quota in silence.
func (l *LocalQuotas) known(ctx context.Context, client string) error {
	list, err := l.Store.ListKeys(ctx)
	if err != nil {
		return unavailable(err)
	}
	for i := range list {
		if list[i].Client == client {
			return nil
		}
	}
	return problem.New(problem.NotFound, "There is no client of this name; promptforge clients list shows them.")
}

// wireQuota is a storage.Quota as it travels over the socket.
type wireQuota struct {
	RequestsPerSecond *float64 `json:"requests_per_second,omitzero"`
	OpenJobs          *int     `json:"open_jobs,omitzero"`
	Uploads           *int     `json:"uploads,omitzero"`
	Streams           *int     `json:"streams,omitzero"`
	Bytes             *int64   `json:"bytes,omitzero"`
}

// wireLimits are quota.Limits as they travel over the socket.
type wireLimits struct {
	RequestsPerSecond float64 `json:"requests_per_second"`
	OpenJobs          int     `json:"open_jobs"`
	Uploads           int     `json:"uploads"`
	Streams           int     `json:"streams"`
	Bytes             int64   `json:"bytes"`
}

type quotaRequest struct {
	Client string    `json:"client"`
	Set    wireQuota `json:"set"`
	Clear  bool      `json:"clear"`
}

type quotaResponse struct {
	Set    wireQuota   `json:"set"`
	Limits *wireLimits `json:"limits"`
}

// ServeQuotas adds the verb for clients' quotas, on the socket only.
func (s *Server) ServeQuotas(quotas Quotas) {
	s.Handle("POST /clients/quota", s.verb(func(r *http.Request) (any, error) {
		var in quotaRequest
		if err := json.UnmarshalRead(r.Body, &in, json.RejectUnknownMembers(true)); err != nil {
			return nil, problem.New(problem.BadRequest, `The body must be {"client":"…","set":{…},"clear":false}.`).Because(err)
		}
		info, err := quotas.ChangeQuota(r.Context(), in.Client, storage.Quota(in.Set), in.Clear)
		if err != nil {
			return nil, err
		}
		if in.Clear || in.Set != (wireQuota{}) {
			s.log.InfoContext(r.Context(), "a client's quota was changed", "client", in.Client)
		}
		return quotaResponse{Set: wireQuota(info.Set), Limits: (*wireLimits)(info.Limits)}, nil
	}))
}

var _ Quotas = (*Client)(nil)

// ChangeQuota sets, forgets and shows.
func (c *Client) ChangeQuota(ctx context.Context, client string, change storage.Quota, clear bool) (QuotaInfo, error) {
	var out quotaResponse
	err := c.Call(ctx, http.MethodPost, "/clients/quota", quotaRequest{Client: client, Set: wireQuota(change), Clear: clear}, &out)
	return QuotaInfo{Set: storage.Quota(out.Set), Limits: (*quota.Limits)(out.Limits)}, err
}
