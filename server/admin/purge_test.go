package admin_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/admin"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
	"github.com/promptforge/promptforge/storage/bolt/bolttest"
)

// late is a store in which something comes before the first attempt to forget a
// client.
type late struct {
	storage.Store
	come func()
}

func (l *late) ForgetClient(ctx context.Context, client string) error {
	if l.come != nil {
		l.come()
		l.come = nil
	}
	return l.Store.ForgetClient(ctx, client)
}

func (l *late) key(t *testing.T, id string) {
	t.Helper()
	if err := l.CreateKey(t.Context(), storage.Key{ID: id, Client: "acme", CreatedAt: time.Unix(1, 0)}); err != nil {
		t.Fatal(err)
	}
}

// TestPurgeMeetsALateJob: of a request that was let in before its key was revoked.
func TestPurgeMeetsALateJob(t *testing.T) {
	store := &late{Store: bolttest.Open(t)}
	store.key(t, "k1")
	store.come = func() {
		_, _, err := store.CreateJob(t.Context(), &job.Job{ID: job.NewID(), Client: "acme", Provider: "p", Model: "m", CreatedAt: time.Unix(2, 0)}, nil)
		if err != nil {
			t.Error(err)
		}
	}
	purge := admin.LocalClients{Store: store}
	p, err := purge.PurgeClient(t.Context(), "acme")
	if err != nil || p.Jobs != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	if u, err := store.Usage(t.Context(), "acme"); err != nil || u.Jobs != 0 {
		t.Errorf("%+v, %v", u, err)
	}
}

// TestPurgeMeetsANewKey: somebody wants the client again, and is not robbed.
func TestPurgeMeetsANewKey(t *testing.T) {
	store := &late{Store: bolttest.Open(t)}
	store.key(t, "k1")
	store.come = func() { store.key(t, "k2") }
	_, err := admin.LocalClients{Store: store}.PurgeClient(t.Context(), "acme")
	if problem.From(err).Kind != problem.JobState {
		t.Errorf("%v", err)
	}
	if has, err := store.HasKey(t.Context(), "acme"); err != nil || !has {
		t.Errorf("the new key: %v, %v", has, err)
	}
}

// cannotForget is a store whose disk is full when a client is to be forgotten.
type cannotForget struct{ storage.Store }

func (cannotForget) ForgetClient(context.Context, string) error { return errors.New("disk full") }

func TestPurgeOnAFullDisk(t *testing.T) {
	store := &late{Store: bolttest.Open(t)}
	store.key(t, "k1")
	_, err := admin.LocalClients{Store: cannotForget{store}}.PurgeClient(t.Context(), "acme")
	if problem.From(err).Kind != problem.Unavailable {
		t.Errorf("%v", err)
	}
}
