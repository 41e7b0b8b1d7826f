package dispatcher

import (
	"context"
	"errors"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// fail makes a job FAILED; what is in flight may still be recorded.
func (r *laneRunner) fail(x *run, reason string) {
	done := make(chan struct{})
	r.failed[x] = done
	r.d.log.Warn("job failed", "job", x.id, "lane", r.key.String())
	go func() {
		defer close(done)
		r.insist(func(ctx context.Context) error {
			_, err := r.d.cfg.Store.Finish(ctx, r.lease.Term, x.id, job.Failed, reason, time.Now())
			return err
		})
	}()
}

// finish completes a job whose prompts all have their outcome.
func (r *laneRunner) finish(x *run) {
	whole, ok := r.sealAll(x)
	if !ok {
		return // it is found unfinished at the next start
	}
	to, reason := job.Completed, ""
	if !whole {
		to, reason = job.Failed, reasonDamaged
	}
	unsettled := !whole
	r.insist(func(ctx context.Context) error {
		_, err := r.d.cfg.Store.Finish(ctx, r.lease.Term, x.id, to, reason, time.Now())
		var state *storage.StateError
		unsettled = !whole || errors.As(err, &state)
		return err
	})
	if unsettled {
		r.settleNow(x)
	}
	r.gone(x)
}

// settle ends a final job once nothing of it is under way.
func (r *laneRunner) settle(x *run, failed <-chan struct{}) {
	if failed != nil {
		<-failed
	}
	if _, ok := r.sealAll(x); !ok {
		return
	}
	r.settleNow(x)
	r.gone(x)
}

// sealAll seals everything of a job, once its account is told: after the end
// the store takes nothing more. It is not whole where something is damaged and
// stays as it is.
func (r *laneRunner) sealAll(x *run) (whole, ok bool) {
	r.d.commit.flush()
	ok = r.insist(func(ctx context.Context) error {
		err := r.d.seal.all(ctx, x.id, r.lease.Term)
		whole = err == nil
		return err
	})
	return whole, ok
}

func (r *laneRunner) settleNow(x *run) {
	r.insist(func(ctx context.Context) error {
		_, err := r.d.cfg.Store.Settle(ctx, r.lease.Term, x.id, time.Now())
		return err
	})
}

// gone takes a job out of the lane.
func (r *laneRunner) gone(x *run) {
	r.post(func(now time.Time) {
		r.lane.leave(now, x)
		r.close(x)
	})
}

func (r *laneRunner) close(x *run) {
	if s := r.sources[x]; s != nil {
		s.close()
	}
	delete(r.sources, x)
	delete(r.left, x)
	delete(r.failed, x)
	r.d.forget(x.id)
}

// insist repeats a decision until the store took or refused it, or the process
// ends; then it is false.
func (r *laneRunner) insist(decide func(context.Context) error) bool {
	for {
		err := decide(context.WithoutCancel(r.d.hard))
		var state *storage.StateError
		switch {
		case err == nil, errors.As(err, &state), errors.Is(err, storage.ErrNotFound):
			return true
		case storage.Damaged(err):
			r.d.log.Error("a job is damaged", "lane", r.key.String(), "error", err)
			return true
		case errors.Is(err, storage.ErrTerm), errors.Is(err, storage.ErrClosed):
			r.d.log.Warn("a decision came too late", "lane", r.key.String(), "error", err)
			return false
		}
		r.d.log.Error("the store could not take a decision; trying again", "lane", r.key.String(), "error", err)
		select {
		case <-time.After(storeRetry):
		case <-r.d.hard.Done():
			return false
		}
	}
}
