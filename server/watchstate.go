package server

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"sync"
	"time"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/pjson"
)

// watchState is what a watch shows of a job, made once for all that watch it.
// Nobody may change it.
type watchState struct {
	message *promptforgev1.WatchJobResponse
	event   []byte // as server-sent events write it
}

// shown is what of a job can change in a watchState.
type shown struct {
	status                     job.Status
	parsed                     bool
	prompts, completed, failed int64
	started, ended, settled    time.Time
}

func shownOf(j *job.Job) shown {
	return shown{j.Status, j.Parsed, j.PromptCount, j.CompletedCount, j.FailedCount, j.StartedAt, j.CompletedAt, j.SettledAt}
}

// watchStates has the newest state of each job that is watched.
type watchStates struct {
	mu   sync.Mutex
	jobs map[job.ID]*watchedJob
}

// watchedJob is under watchStates.mu.
type watchedJob struct {
	watchers int
	shown    shown
	state    *watchState // of shown; nil at first
}

func newWatchStates() *watchStates { return &watchStates{jobs: map[job.ID]*watchedJob{}} }

// hold keeps a job's state until release is called.
func (w *watchStates) hold(id job.ID) (release func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	held := w.jobs[id]
	if held == nil {
		held = &watchedJob{}
		w.jobs[id] = held
	}
	held.watchers++
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if held.watchers--; held.watchers == 0 {
			delete(w.jobs, id)
		}
	}
}

// of is the state of a job that is held.
func (w *watchStates) of(j *job.Job) (*watchState, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	held, now := w.jobs[j.ID], shownOf(j)
	if held.state != nil && held.shown == now {
		return held.state, nil
	}
	state, err := newWatchState(j)
	if err != nil {
		return nil, err
	}
	held.shown, held.state = now, state
	return state, nil
}

func newWatchState(j *job.Job) (*watchState, error) {
	status := statusOf(j)
	body, err := pjson.Marshaler{}.Marshal(status)
	if err != nil {
		return nil, fmt.Errorf("write a status: %w", err)
	}
	id := eventID(body, j.Settled())
	return &watchState{
		message: &promptforgev1.WatchJobResponse{EventId: id, Status: status, Settled: j.Settled()},
		event:   slices.Concat([]byte("id: "+id+"\ndata: "), body, []byte("\n\n")),
	}, nil
}

// eventID names a state by what it shows, so that the same state has the same
// id after a restart and in every process.
func eventID(body []byte, settled bool) string {
	if settled {
		body = append(slices.Clip(body), " settled"...)
	}
	sum := sha256.Sum256(body)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}
