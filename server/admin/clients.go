package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/problem"
	"github.com/promptforge/promptforge/server/quota"
	"github.com/promptforge/promptforge/storage"
)

// Clients is what an operator does with whole clients. Errors are problems
// with a sentence for the operator.
type Clients interface {
	// ListClients lists everyone who has or had a key, by name.
	ListClients(ctx context.Context) ([]ClientInfo, error)
	// PurgeClient revokes a client's keys, deletes its jobs, cancelling those
	// that run, and forgets the client: keys, quota, Idempotency-Keys. It comes
	// back when the jobs are erased, or when what is in flight for them takes too
	// long; purging again then changes nothing, and waits again. NotFound for a
	// client of whom there is nothing.
	PurgeClient(ctx context.Context, client string) (Purged, error)
	// WebhookSecrets are what a client's webhooks are signed with now, as
	// receivers' libraries want them, the newest first. With rotate a new one is
	// made, and the one before signs too for webhook.SecretOverlap. NotFound if
	// there never was a key for the client.
	WebhookSecrets(ctx context.Context, client string, rotate bool) ([]string, error)
}

// ClientInfo is what a client has.
type ClientInfo struct {
	Name  string `json:"name"`
	Keys  int    `json:"keys"` // that are good
	Jobs  int    `json:"jobs"`
	Bytes int64  `json:"bytes"` // of their prompts and outcomes, as they are kept
}

// Purged is what a purge came to.
type Purged struct {
	Keys int `json:"keys"` // revoked
	Jobs int `json:"jobs"` // deleted
	// InFlight are the deleted jobs that are not erased yet: requests are in
	// flight for them, and once these have ended the server erases the jobs by
	// itself.
	InFlight []job.ID `json:"in_flight"`
}

// LocalClients is Clients on an open store.
type LocalClients struct {
	Store  storage.Store
	Now    func() time.Time // nil: time.Now
	Keeper *quota.Keeper    // of the server that runs; may be nil

	// Erase erases the deleted jobs, on a store that no server works on. nil:
	// a server does, and is waited for.
	Erase func(context.Context) error
	Wait  time.Duration   // how long it is waited for
	Stop  <-chan struct{} // ends the wait early; may be nil
}

var _ Clients = LocalClients{}

// ListClients lists everyone who has or had a key.
func (l LocalClients) ListClients(ctx context.Context) ([]ClientInfo, error) {
	keys, err := l.Store.ListKeys(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	good := map[string]int{}
	for _, k := range keys {
		n := good[k.Client]
		if !k.Revoked() {
			n++
		}
		good[k.Client] = n
	}
	list := make([]ClientInfo, 0, len(good))
	for name, n := range good {
		u, err := l.Store.Usage(ctx, name)
		if err != nil {
			return nil, unavailable(err)
		}
		list = append(list, ClientInfo{Name: name, Keys: n, Jobs: u.Jobs, Bytes: u.Bytes})
	}
	slices.SortFunc(list, func(a, b ClientInfo) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// PurgeClient removes all of a client.
func (l LocalClients) PurgeClient(ctx context.Context, client string) (Purged, error) {
	now := Local{Now: l.Now}.now()
	p := Purged{InFlight: []job.ID{}}
	earlier, err := l.earlier(ctx, client)
	if err != nil {
		return p, unavailable(err)
	}
	if p.Keys, err = l.revokeAll(ctx, client, len(earlier) > 0, now); err != nil {
		return p, err
	}
	deleted, err := l.deleteAll(ctx, client, now)
	p.Jobs = len(deleted)
	if err != nil {
		return p, unavailable(err)
	}
	if l.Erase != nil {
		if err := l.Erase(ctx); err != nil {
			return p, problem.New(problem.Unavailable, fmt.Sprintf("The jobs are deleted, and not all of them are erased from the disk: %s. Repeating the command is safe.", err)).Because(err)
		}
	} else if p.InFlight, err = l.wait(ctx, append(earlier, deleted...)); err != nil {
		return p, unavailable(err)
	}
	return p, l.forget(ctx, client, now, &p)
}

// forget comes last, since until then the keys show that there is somebody to
// purge. A request that was let in before its key was revoked may have made
// another job meanwhile.
func (l LocalClients) forget(ctx context.Context, client string, now time.Time, p *Purged) error {
	for {
		err := l.Store.ForgetClient(ctx, client)
		switch {
		case err == nil:
			l.Keeper.Forget(client)
			return nil
		case !errors.Is(err, storage.ErrExists):
			return unavailable(err)
		}
		late, err := l.deleteAll(ctx, client, now)
		p.Jobs += len(late)
		if err != nil {
			return unavailable(err)
		}
		if len(late) == 0 {
			return problem.New(problem.JobState, "A new key was made for this client meanwhile; its jobs are deleted, and the rest stays until the command is repeated.")
		}
	}
}

// revokeAll comes first, so that no job is made meanwhile. A client without keys
// is known where jobs of it are left.
func (l LocalClients) revokeAll(ctx context.Context, client string, known bool, now time.Time) (revoked int, err error) {
	keys, err := l.Store.ListKeys(ctx)
	if err != nil {
		return 0, unavailable(err)
	}
	for _, k := range keys {
		if k.Client != client {
			continue
		}
		known = true
		if k.Revoked() {
			continue
		}
		if err := l.Store.RevokeKey(ctx, k.ID, now); err != nil {
			return revoked, unavailable(err)
		}
		revoked++
	}
	if !known {
		return 0, problem.New(problem.NotFound, "There is no client of this name; promptforge clients list shows them.")
	}
	return revoked, nil
}

// deleteAll deletes the jobs that have not begun first, since the end of one
// that runs would let the next begin.
func (l LocalClients) deleteAll(ctx context.Context, client string, now time.Time) (deleted []job.ID, err error) {
	for _, statuses := range [][]job.Status{{job.AwaitingUpload, job.Pending}, nil} {
		for more := true; more; {
			var page []*job.Job
			page, more, err = l.Store.ListJobs(ctx, storage.ListQuery{Client: client, Statuses: statuses, Limit: 1000})
			if err != nil {
				return deleted, err
			}
			for _, j := range page {
				if _, err := l.Store.Delete(ctx, client, j.ID, now); err == nil {
					deleted = append(deleted, j.ID)
				} else if !errors.Is(err, storage.ErrNotFound) { // the client itself was faster
					return deleted, err
				}
			}
		}
	}
	return deleted, nil
}

// earlier lists what was deleted before and is not erased yet.
func (l LocalClients) earlier(ctx context.Context, client string) (ids []job.ID, err error) {
	work, err := l.Store.Work(ctx)
	if err != nil && !storage.Damaged(err) {
		return nil, err
	}
	for _, j := range work {
		if j.Deleted && j.Client == client {
			ids = append(ids, j.ID)
		}
	}
	doomed, err := l.Store.Doomed(ctx, 1000)
	if err != nil {
		return nil, err
	}
	for _, d := range doomed {
		j, err := l.Store.Job(ctx, "", d.ID)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if j.Client == client {
			ids = append(ids, j.ID)
		}
	}
	return ids, nil
}

// wait waits until the jobs are erased, and returns those that are not in time.
func (l LocalClients) wait(ctx context.Context, ids []job.ID) (left []job.ID, err error) {
	enough, cancel := context.WithTimeout(ctx, l.Wait)
	defer cancel()
	left = []job.ID{}
	for _, id := range ids {
		gone, err := l.erased(ctx, enough, id)
		if err != nil {
			return nil, err
		}
		if !gone && !slices.Contains(left, id) {
			left = append(left, id)
		}
	}
	return left, nil
}

// erased waits until a job is gone, or until enough is done.
func (l LocalClients) erased(ctx, enough context.Context, id job.ID) (bool, error) {
	changed, stop := l.Store.Watch(id)
	defer stop()
	for {
		_, err := l.Store.Job(ctx, "", id)
		if errors.Is(err, storage.ErrNotFound) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		select {
		case <-changed:
		case <-enough.Done():
			return false, ctx.Err()
		case <-l.Stop:
			return false, nil
		}
	}
}
