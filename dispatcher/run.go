package dispatcher

import (
	"sync/atomic"
	"time"

	"github.com/promptforge/promptforge/dispatcher/rate"
	"github.com/promptforge/promptforge/job"
)

// run is a job in the hands of its lane.
type run struct {
	id         job.ID
	client     string
	maxRetries int

	requests rate.Pacer // the caller's own caps
	tokens   rate.Pacer

	fresh   []*item // read and never sent, in the order of reading
	retry   retries
	reading bool // a block is being read
	eof     bool // no block is left

	inFlight        int
	unrecorded      int // outcomes that the committer has and the store not yet
	unrecordedBytes int

	draining bool // final: nothing is sent any more
	ending   bool // the last command for it was given

	// outcomes counts this run's, and refusedAlike how many of them were the
	// same refusal from the first on.
	outcomes     int
	refusedAlike int
	refusal      string

	account *account
}

// account is what the committer tells the store about a run besides its
// outcomes. The lane writes it, the committer reads it.
type account struct {
	sentThrough atomic.Int64
	requests    atomic.Int64 // sent since the claim
	givenUp     atomic.Int64 // abandoned in flight, or in doubt since a crash
	pace        atomic.Pointer[job.Pace]
}

func newRun(j *job.Job, now time.Time) *run {
	r := &run{id: j.ID, client: j.Client, maxRetries: j.MaxRetries, account: &account{}}
	r.requests.SetRate(now, float64(j.RPM))
	r.tokens.SetRate(now, float64(j.TPM))
	r.draining = j.Status.Final()
	r.account.sentThrough.Store(j.SentThrough)
	return r
}

// peek returns the item that would leave next, or when one can.
func (r *run) peek(now time.Time) (it *item, at time.Time) {
	if r.draining {
		return nil, time.Time{}
	}
	var waiting time.Time
	switch {
	case len(r.retry) > 0 && !r.retry.due().After(now):
		it = r.retry[0]
	case len(r.fresh) > 0:
		it = r.fresh[0]
	case len(r.retry) > 0:
		waiting = r.retry.due()
	}
	if it == nil {
		return nil, waiting
	}
	if at := r.requests.Ready(now); at.After(now) {
		return nil, at
	}
	if at := r.tokens.Ready(now); at.After(now) {
		return nil, at
	}
	return it, now
}

// pop removes the item that peek returned.
func (r *run) pop(it *item) {
	if len(r.retry) > 0 && r.retry[0] == it {
		r.retry.first()
		return
	}
	r.fresh[0] = nil
	r.fresh = r.fresh[1:]
}

// capped tells whether the caller's own caps hold the run back.
func (r *run) capped(now time.Time) bool {
	return r.requests.Ready(now).After(now) || r.tokens.Ready(now).After(now)
}

// open counts the prompts that are read and not yet recorded.
func (r *run) open() int { return len(r.fresh) + len(r.retry) + r.inFlight }

// drop forgets the prompts that wait.
func (r *run) drop() {
	r.fresh, r.retry = nil, nil
}

// idle tells whether nothing of the run is under way.
func (r *run) idle() bool { return r.inFlight == 0 && r.unrecorded == 0 && !r.reading }

// done tells whether every prompt of the run is recorded.
func (r *run) done() bool { return r.eof && r.open() == 0 && r.idle() }
