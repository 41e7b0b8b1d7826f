package storagetest

import (
	"errors"
	"sync"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// everything lets clients, a dispatcher and readers work at the same time, and
// then looks whether each job of each client came to its end.
func everything(e *env) {
	const clients, jobs, prompts = 4, 4, 30
	lease := e.hold()
	var wg, uploads sync.WaitGroup
	for _, client := range []string{"a", "b", "c", "d"}[:clients] {
		var asked []*job.Job
		var files []storage.Upload
		for range jobs {
			asked, files = append(asked, e.ask(client)), append(files, e.unusable(e.file(prompts-1), prompts))
		}
		uploads.Add(1)
		wg.Go(func() {
			defer uploads.Done()
			for i, a := range asked {
				j, _, err := e.store.CreateJob(e.ctx, a, nil)
				if err == nil {
					_, err = e.store.CompleteUpload(e.ctx, j.ID, files[i], e.now)
				}
				if err == nil && i == 1 {
					_, err = e.store.Cancel(e.ctx, client, j.ID, e.now)
				}
				if s := (*storage.StateError)(nil); err != nil && !errors.As(err, &s) { // it may be done already
					e.Error(err)
				}
			}
		})
	}
	ready := make(chan struct{})
	go func() { uploads.Wait(); close(ready) }()
	wg.Go(func() { dispatch(e, lease, prompts, ready) })
	wg.Go(func() { // a reader
		for {
			select {
			case <-ready:
				return
			default:
			}
			page, _, err := e.store.ListJobs(e.ctx, storage.ListQuery{Client: "a", Limit: 10})
			if err != nil {
				e.Error(err)
				return
			}
			for _, j := range page {
				if j.Open() < 0 {
					e.Errorf("torn: %+v", j)
				}
			}
			if _, err := e.store.FileNames(e.ctx); err != nil {
				e.Error(err)
			}
		}
	})
	wg.Wait()
	for _, client := range []string{"a", "b", "c", "d"}[:clients] {
		page, _, err := e.store.ListJobs(e.ctx, storage.ListQuery{Client: client, Limit: 10})
		e.ok(err)
		for _, j := range page {
			if !j.Settled() || (j.Status == job.Completed && j.CompletedCount != prompts-1) {
				e.Errorf("job %+v", j)
			}
		}
		if len(page) != jobs {
			e.Errorf("%s has %d jobs", client, len(page))
		}
	}
}

// dispatch works until the uploads are over and nothing is left.
func dispatch(e *env, lease storage.Lease, prompts int64, ready <-chan struct{}) {
	changed, stop := e.store.Watch("")
	defer stop()
	for {
		over := !open(ready)
		work, err := e.store.Work(e.ctx)
		if err != nil {
			e.Error(err)
			return
		}
		if len(work) == 0 {
			if over {
				return
			}
			select {
			case <-changed:
			case <-ready:
			}
			continue
		}
		for _, j := range work {
			if err := runJob(e, lease, j.ID, prompts); err != nil {
				e.Error(err)
				return
			}
		}
	}
}

func open(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return false
	default:
		return true
	}
}

// runJob brings a job to its end; a client may cancel it at any moment.
func runJob(e *env, lease storage.Lease, id job.ID, prompts int64) error {
	_, err := e.store.Claim(e.ctx, lease, id, e.now)
	if errors.Is(err, storage.ErrNotFound) {
		return nil // cancelled, and settled by that
	}
	if err != nil {
		return err
	}
	for line := int64(1); line <= prompts; line += 10 {
		if _, err := e.store.Record(e.ctx, []storage.Record{{ID: id, Outcomes: results(line, line+9)}}); err != nil {
			return err
		}
	}
	segment, err := e.store.Freeze(e.ctx, lease.Term, id)
	if err != nil {
		return err
	}
	outcomes, err := e.store.ReadSegment(e.ctx, id, segment.N, 0, 1<<20)
	if err != nil {
		return err
	}
	if err := e.store.Seal(e.ctx, lease.Term, id, segment.N, e.part(segment.Range, outcomes)); err != nil {
		return err
	}
	_, err = e.store.Finish(e.ctx, lease.Term, id, job.Completed, "", e.now)
	if s := (*storage.StateError)(nil); errors.As(err, &s) {
		_, err = e.store.Settle(e.ctx, lease.Term, id, e.now)
	}
	return err
}
