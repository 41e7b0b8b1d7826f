package server

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
)

// change gives the job another count of results.
func (o *oneJob) change(completed int64) {
	now := *o.job.Load()
	now.CompletedCount = completed
	o.job.Store(&now)
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

// watching runs a watch of a job, with what its reader does at each state.
func watching(t *testing.T, read func(store *oneJob, state *watchState)) {
	stream, id := eventsOf(t, &job.Job{Status: job.Processing, Parsed: true, PromptCount: 1000})
	store := stream.jobs.store.(*oneJob)
	ctx, cancel := context.WithCancel(withClient(t.Context(), "acme"))
	ended := make(chan error, 1)
	go func() {
		ended <- stream.jobs.watch(ctx, &promptforgev1.WatchJobRequest{JobId: id}, nil, func(state *watchState) error {
			read(store, state)
			return nil
		})
	}()
	for n := int64(1); n <= 1000; n++ { // for 10 s
		time.Sleep(10 * time.Millisecond)
		store.change(n)
	}
	settled := *store.job.Load()
	settled.Status, settled.SettledAt = job.Completed, time.Unix(1, 0)
	store.job.Store(&settled)
	store.changed <- struct{}{}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	cancel()
	if n := len(stream.jobs.watched.jobs); n != 0 {
		t.Errorf("%d jobs are held after the last watch", n)
	}
}

// TestWatchPace: the state now first, then at most 4 a second of those that come
// a hundred a second, and the settled one last.
func TestWatchPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		var counts []int32
		settled := false
		begin := time.Now()
		watching(t, func(_ *oneJob, state *watchState) {
			at = append(at, time.Now())
			counts = append(counts, state.message.GetStatus().GetCompletedCount())
			settled = state.message.GetSettled()
		})
		for i := range at[1:] {
			if at[i+1].Sub(at[i]) < 250*time.Millisecond {
				t.Errorf("event %d came %s after the one before", i+2, at[i+1].Sub(at[i]))
			}
		}
		if len(at) < 40 || !at[0].Equal(begin) || !slices.IsSorted(counts) || !settled {
			t.Errorf("%d events, the first after %s, of %v, settled last: %v", len(at), at[0].Sub(begin), counts, settled)
		}
	})
}

// TestSlowReader: who reads late gets the newest state alone.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []int32
		watching(t, func(_ *oneJob, state *watchState) {
			got = append(got, state.message.GetStatus().GetCompletedCount())
			if len(got) == 1 {
				time.Sleep(5 * time.Second)
			}
		})
		if len(got) < 2 || got[0] != 0 || got[1] < 500 {
			t.Errorf("the reader was given %v", got)
		}
	})
}

// TestWatchStateIsShared: all that watch a job are given one and the same.
func TestWatchStateIsShared(t *testing.T) {
	states := newWatchStates()
	j := &job.Job{ID: job.NewID(), Status: job.Queued, Parsed: true}
	defer states.hold(j.ID)()
	first, err := states.of(j)
	must(t, err)
	again := *j
	if second, err := states.of(&again); err != nil || second != first {
		t.Errorf("a second watcher: %v, %v", second, err)
	}
	for name, change := range map[string]func(*job.Job){
		"status":    func(j *job.Job) { j.Status = job.Processing },
		"parsed":    func(j *job.Job) { j.Parsed = false },
		"prompts":   func(j *job.Job) { j.PromptCount++ },
		"completed": func(j *job.Job) { j.CompletedCount++ },
		"failed":    func(j *job.Job) { j.FailedCount++ },
		"started":   func(j *job.Job) { j.StartedAt = time.Unix(1, 0) },
		"ended":     func(j *job.Job) { j.CompletedAt = time.Unix(1, 0) },
		"settled":   func(j *job.Job) { j.SettledAt = time.Unix(1, 0) },
	} {
		before, err := states.of(j)
		must(t, err)
		other := *j
		change(&other)
		after, err := states.of(&other)
		must(t, err)
		if after == before || after.message.GetEventId() == before.message.GetEventId() {
			t.Errorf("%s: another state has the same event", name)
		}
	}
}

// Cancel and Delete find it done: the job is as the test set it.
func (o *oneJob) Cancel(context.Context, string, job.ID, time.Time) (*job.Job, error) {
	return o.job.Load(), nil
}

func (o *oneJob) Delete(context.Context, string, job.ID, time.Time) (*job.Job, error) {
	return o.job.Load(), nil
}

// TestHolderIsWaitedFor: cancel and delete answer when the holder has said that
// it sends nothing more, and not before; of one that is silent they wait no
// longer than its lease could last.
func TestHolderIsWaitedFor(t *testing.T) {
	for name, ask := range map[string]func(*service, context.Context, string) error{
		"cancel": func(s *service, ctx context.Context, id string) error {
			_, err := s.CancelJob(ctx, &promptforgev1.CancelJobRequest{JobId: id})
			return err
		},
		"delete": func(s *service, ctx context.Context, id string) error {
			_, err := s.DeleteJob(ctx, &promptforgev1.DeleteJobRequest{JobId: id})
			return err
		},
	} {
		for acknowledged, want := range map[bool]time.Duration{true: 7 * time.Second, false: 15 * time.Second} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					stream, id := eventsOf(t, &job.Job{Status: job.Cancelled})
					store := stream.jobs.store.(*oneJob)
					stream.jobs.now = time.Now
					time.AfterFunc(7*time.Second, func() {
						now := *store.job.Load()
						now.Acknowledged = acknowledged
						store.job.Store(&now)
						store.changed <- struct{}{}
					})
					begin := time.Now()
					must(t, ask(stream.jobs, withClient(t.Context(), "acme"), id))
					if took := time.Since(begin); took != want {
						t.Errorf("it waited %s, want %s", took, want)
					}
				})
			})
		}
	}
}
