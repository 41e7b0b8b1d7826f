package admin_test

import (
	"context"
	"errors"
	"testing"

	"github.com/promptforge/promptforge/server/admin"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/server/quota"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/bolt/bolttest"
)

// awayQuotas is a store that cannot keep a quota.
type awayQuotas struct {
	storage.Keys
	storage.Quotas
}

func (awayQuotas) Quota(context.Context, string) (storage.Quota, error) {
	return storage.Quota{}, errors.New("disk")
}

// The same verb works on the store itself and over the socket.
func TestChangeQuota(t *testing.T) {
	for _, over := range []string{"store", "socket"} {
		t.Run(over, func(t *testing.T) {
			store := bolttest.Open(t)
			if _, _, err := (admin.Local{Store: store}).CreateKey(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
			var quotas admin.Quotas = &admin.LocalQuotas{Store: store}
			if over == "socket" {
				dir := shortDir(t)
				serve(t, dir, store).ServeQuotas(&admin.LocalQuotas{Store: store, Keeper: quota.NewKeeper(quota.Config{Store: store, Limits: quota.Limits{Streams: 9}})})
				client, err := admin.Dial(dir)
				if err != nil {
					t.Fatal(err)
				}
				quotas = client
			}
			change := func(q storage.Quota, clear bool, uploads, openJobs *int) {
				t.Helper()
				info, err := quotas.ChangeQuota(t.Context(), "alice", q, clear)
				if err != nil {
					t.Fatal(err)
				}
				same(t, info.Set.Uploads, uploads)
				same(t, info.Set.OpenJobs, openJobs)
				if over == "store" {
					if info.Limits != nil {
						t.Errorf("it knows %+v without a server", info.Limits)
					}
					return
				}
				want := quota.Limits{Streams: 9}.With(storage.Quota{Uploads: uploads, OpenJobs: openJobs})
				if info.Limits == nil || *info.Limits != want {
					t.Errorf("what holds is %+v, want %+v", info.Limits, want)
				}
			}
			change(storage.Quota{}, false, nil, nil)
			change(storage.Quota{Uploads: new(1)}, false, new(1), nil)
			change(storage.Quota{OpenJobs: new(0)}, false, new(1), new(0))
			change(storage.Quota{}, false, new(1), new(0))
			change(storage.Quota{OpenJobs: new(2)}, true, nil, new(2))
			change(storage.Quota{}, true, nil, nil)
			if _, err := store.Quota(t.Context(), "alice"); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("after a clear the store has a quota: %v", err)
			}
			for name, row := range map[string]struct {
				client string
				change storage.Quota
				kind   problem.Kind
			}{
				"nobody":   {"bob", storage.Quota{Uploads: new(1)}, problem.NotFound},
				"no name":  {"a b", storage.Quota{Uploads: new(1)}, problem.BadRequest},
				"negative": {"alice", storage.Quota{Uploads: new(-1)}, problem.BadRequest},
			} {
				if _, err := quotas.ChangeQuota(t.Context(), row.client, row.change, false); problem.From(err).Kind != row.kind {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	store := bolttest.Open(t)
	if _, _, err := (admin.Local{Store: store}).CreateKey(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	_, err := (&admin.LocalQuotas{Store: awayQuotas{store, store}}).ChangeQuota(t.Context(), "alice", storage.Quota{Uploads: new(1)}, false)
	if problem.From(err).Kind != problem.Unavailable {
		t.Errorf("a store that is away: %v", err)
	}
}

func same(t *testing.T, got, want *int) {
	t.Helper()
	if (got == nil) != (want == nil) || (got != nil && *got != *want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
