package storagetest

import (
	"bytes"
	"slices"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// owed are the ids that are due to a host, and when the next one is.
func (e *env) owed(host string, at time.Time, limit int) (ids []job.ID, next time.Time) {
	e.Helper()
	jobs, next, err := e.s().OwedDeliveries(e.ctx, host, at, limit)
	e.ok(err)
	for _, j := range jobs {
		if j.Delivery.State != job.DeliveryOwed || j.WebhookHost() != host {
			e.Fatalf("%s is due to %s: %+v", j.ID, j.WebhookURL, j.Delivery)
		}
		ids = append(ids, j.ID)
	}
	return ids, next
}

// hosts are those that are owed something.
func (e *env) hosts() []storage.OwedHost {
	e.Helper()
	hosts, err := e.s().OwedHosts(e.ctx)
	e.ok(err)
	return hosts
}

// hooked cancels a new job, so that it owes its webhook.
func (e *env) hooked(client, url string, at time.Time) job.ID {
	e.Helper()
	ask := e.ask(client)
	ask.WebhookURL = url
	j, _, err := e.s().CreateJob(e.ctx, ask, nil)
	e.ok(err)
	if ids, _ := e.owed(j.WebhookHost(), at.Add(1000*time.Hour), 1000); slices.Contains(ids, j.ID) {
		e.Fatal("a job owes a webhook that is not settled")
	}
	_, err = e.s().Cancel(e.ctx, client, j.ID, at)
	e.ok(err)
	return j.ID
}

func deliveries(e *env) {
	const url, host = "https://Example.com:8443/hook", "example.com:8443"
	e.same(e.hosts(), []storage.OwedHost(nil))
	first := e.hooked("a", url, e.now)
	second := e.hooked("b", url, e.now.Add(time.Minute))
	e.hooked("a", "", e.now)
	deleted := e.hooked("a", url, e.now)
	_, err := e.s().Delete(e.ctx, "a", deleted, e.now)
	e.ok(err)

	is := func(at time.Time, limit int, want []job.ID, wantNext time.Time) {
		e.Helper()
		ids, next := e.owed(host, at, limit)
		e.same(ids, want)
		if !next.Equal(wantNext) {
			e.Fatalf("the next is due at %s, want %s", next, wantNext)
		}
	}
	is(e.now.Add(-1), 10, nil, e.now)
	is(e.now, 10, []job.ID{first}, e.now.Add(time.Minute))
	is(e.now.Add(time.Hour), 1, []job.ID{first}, e.now.Add(time.Minute))
	is(e.now.Add(time.Hour), 10, []job.ID{first, second}, time.Time{})

	later := job.Delivery{State: job.DeliveryOwed, Attempts: 1, Due: e.now.Add(2 * time.Minute), Error: "It is away."}
	e.ok(e.s().KeepDelivery(e.ctx, first, later))
	is(e.now.Add(time.Hour), 10, []job.ID{second, first}, time.Time{})
	j, err := e.s().Job(e.ctx, "a", first)
	e.ok(err)
	e.same(j.Delivery, later)
	e.same(e.hosts(), []storage.OwedHost{{Host: host, Due: e.now.Add(time.Minute)}})

	e.ok(e.s().KeepDelivery(e.ctx, second, job.Delivery{State: job.Delivered, Attempts: 1}))
	is(e.now.Add(time.Hour), 10, []job.ID{first}, time.Time{})
	e.ok(e.s().KeepDelivery(e.ctx, first, job.Delivery{State: job.DeliveryGivenUp, Attempts: 2, Error: "It is gone."}))
	is(e.now.Add(time.Hour), 10, nil, time.Time{})
	for _, id := range []job.ID{first, second, deleted, job.NewID()} {
		e.is(e.s().KeepDelivery(e.ctx, id, later), storage.ErrNotFound)
	}
	e.same(e.hosts(), []storage.OwedHost(nil))
}

// deliveriesByHost: each host has its own, in the order of names, however long.
func deliveriesByHost(e *env) {
	ids := map[string][]job.ID{}
	var want []storage.OwedHost
	for i, host := range []string{"a.example", "aa.example:1", "b.example", "zz"} {
		at := e.now.Add(time.Duration(10-i) * time.Second)
		for n := range 3 {
			ids[host] = append(ids[host], e.hooked("client", "http://"+host+"/", at.Add(time.Duration(n)*time.Second)))
		}
		want = append(want, storage.OwedHost{Host: host, Due: at})
	}
	e.same(e.hosts(), want)
	for host, all := range ids {
		got, next := e.owed(host, e.now.Add(time.Hour), 2)
		e.same(got, all[:2])
		if next.IsZero() {
			e.Fatal("there is a third")
		}
	}
	if got, _ := e.owed("a", e.now.Add(time.Hour), 10); len(got) != 0 {
		e.Fatalf("the beginning of a name has %v", got)
	}
}

func webhookSecrets(e *env) {
	get := func(client string, at time.Time) [][]byte {
		e.Helper()
		secrets, err := e.s().WebhookSecrets(e.ctx, client, at)
		e.ok(err)
		return secrets
	}
	one := get("a", e.now)
	if len(one) != 1 || len(one[0]) != storage.WebhookSecretBytes {
		e.Fatalf("a client has %d secrets", len(one))
	}
	e.same(get("a", e.now.Add(1000*time.Hour)), one)
	if bytes.Equal(get("b", e.now)[0], one[0]) {
		e.Fatal("two clients have one secret")
	}
	until := e.now.Add(24 * time.Hour)
	two, err := e.s().RotateWebhookSecret(e.ctx, "a", e.now, until)
	e.ok(err)
	if len(two) != 2 || bytes.Equal(two[0], one[0]) || !bytes.Equal(two[1], one[0]) {
		e.Fatal("after a rotation both sign, the new one first")
	}
	e.same(get("a", until.Add(-1)), two)
	e.same(get("a", until), two[:1])
	three, err := e.s().RotateWebhookSecret(e.ctx, "a", e.now.Add(time.Hour), until.Add(time.Hour))
	e.ok(err)
	e.same(three[1:], two)
	e.same(get("a", until.Add(time.Minute)), three[:2])
	_, err = e.s().RotateWebhookSecret(e.ctx, "a", until.Add(2*time.Hour), until.Add(26*time.Hour))
	e.ok(err)
	if n := len(get("a", until.Add(2*time.Hour))); n != 2 {
		e.Fatalf("%d secrets sign, want 2", n)
	}
	// The client's other record is as it was.
	e.hooked("a", "", e.now)
	if n := len(get("a", until.Add(2*time.Hour))); n != 2 {
		e.Fatalf("a new job made it %d secrets", n)
	}
	e.ok(e.s().ForgetClient(e.ctx, "b"))
	_, err = e.s().RotateWebhookSecret(e.ctx, "b", e.now, until)
	e.ok(err)
	if n := len(get("b", e.now)); n != 1 {
		e.Fatalf("a client that was forgotten has %d secrets", n)
	}
}
