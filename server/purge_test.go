package server

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/admin"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/storage"
)

// TestPurge: a client's jobs of every state go, those of others stay, and what
// is in flight is waited for, or named.
func TestPurge(t *testing.T) {
	e := start(t)
	purge := admin.LocalClients{Store: e.store, Now: e.clock.Now, Wait: 10 * time.Second}
	acme := e.key
	e.key = e.issue("other")
	other, kept := e.key, e.completed(1)
	e.key = acme
	e.completed(2)
	running := e.claimed(3)
	e.uploaded(2) // PENDING
	must(t, e.store.SetQuota(e.ctx(), "acme", storage.Quota{OpenJobs: new(9)}))
	if r := e.rest("POST", "/v1/jobs/init", initBody, "Idempotency-Key", "of acme"); r.status != 202 {
		t.Fatal(r.body)
	}

	at := purge
	at.Wait = 0
	p, err := at.PurgeClient(e.ctx(), "acme")
	if err != nil || p.Keys != 1 || p.Jobs != 4 || !slices.Contains(p.InFlight, running) {
		t.Fatalf("the first purge: %+v, %v", p, err)
	}
	if r := e.rest("GET", "/v1/jobs", ""); r.status != 401 {
		t.Errorf("with the revoked key: %d", r.status)
	}
	again := make(chan admin.Purged, 1)
	go func() {
		p, err := purge.PurgeClient(e.ctx(), "acme")
		if err != nil {
			t.Error(err)
		}
		again <- p
	}()
	e.settle(running)
	if p := <-again; p.Keys != 0 || p.Jobs != 0 || len(p.InFlight) != 0 {
		t.Errorf("the second purge: %+v", p)
	}
	list, err := purge.ListClients(e.ctx())
	if err != nil || len(list) != 1 || list[0].Name != "other" || list[0].Jobs != 1 || list[0].Keys != 1 || list[0].Bytes == 0 {
		t.Errorf("the clients are %+v, %v", list, err)
	}
	if _, err := purge.PurgeClient(e.ctx(), "acme"); problem.From(err).Kind != problem.NotFound {
		t.Errorf("a third purge: %v", err)
	}
	if _, err := e.store.Quota(e.ctx(), "acme"); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("its quota: %v", err)
	}
	if names := filesOf(t, e, running); len(names) != 0 {
		t.Errorf("it left %v", names)
	}
	if j, err := e.store.Job(e.ctx(), "other", kept); err != nil || j.Status != job.Completed {
		t.Errorf("another client's job: %+v, %v", j, err)
	}
	stopped := make(chan struct{})
	close(stopped)
	purge.Stop = stopped
	e.key = other
	e.claimed(1)
	if p, err := purge.PurgeClient(e.ctx(), "other"); err != nil || p.Jobs != 2 || len(p.InFlight) == 0 {
		t.Errorf("a purge while the server stops: %+v, %v", p, err)
	}
}
