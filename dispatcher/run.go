package dispatcher

import (
	"slices"
	"sort"
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

	fresh []*item // read and never sent, in the order of reading
	retry retries
	// passed counts the requests of the lane that the provider took. It is the
	// lane's; nil before the run is in one.
	passed *int64
	// suspects were refused for the rate so often that they are tried alone.
	suspects []*item
	// refusedLast: the last to leave had been refused before, so a fresh one is
	// next, lest prompts that are always refused keep the others from passing.
	refusedLast bool
	// freshFirst: nothing was answered well lately. Prompts that were not tried
	// yet tell sooner whether that is the weather, and spend no retry.
	freshFirst bool
	reading    bool      // a block is being read
	eof        bool      // no block is left
	readAt     time.Time // when reading is tried again after it failed

	// A line is sent for the first time only once the store knows that it may
	// be: whatever a crash leaves in doubt lies up to reserved, and is counted.
	reserved int64 // durable, with what the crashes before left in doubt
	before   int64 // what the holder before had reserved
	asked    int64 // what the next commit makes durable
	sent     int   // lines sent for the first time since it was asked for
	perAsk   int   // about how many are sent while a commit is under way

	inFlight        int
	unrecorded      int // outcomes that the committer has and the store not yet
	unrecordedBytes int

	draining bool // final: nothing is sent any more
	ending   bool // the last command for it was given

	trend trend // of outcomes

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
	reserve  atomic.Int64 // no line beyond it is sent before it is durable
	requests atomic.Int64 // sent since the last commit
	givenUp  atomic.Int64 // abandoned in flight, or in doubt since a crash
	pace     atomic.Pointer[job.Pace]
}

func newRun(j *job.Job, now time.Time) *run {
	r := &run{id: j.ID, client: j.Client, maxRetries: j.MaxRetries, perAsk: leastPerAsk, account: &account{}}
	r.requests.SetRate(now, float64(j.RPM))
	r.tokens.SetRate(now, float64(j.TPM))
	r.draining = j.Status.Final()
	if j.CompletedCount > 0 || j.SentThrough > 0 {
		r.outcomes = 1 // its first prompts were answered before
	}
	// Nothing leaves before a first commit of ours, lines in doubt neither: if
	// they went twice before their number was kept, another crash would hide it.
	r.before = j.SentThrough
	return r
}

// peek returns the item that would leave next, or when one can.
func (r *run) peek(now time.Time) (it *item, at time.Time) {
	if r.draining {
		return nil, time.Time{}
	}
	var waiting time.Time
	switch {
	case len(r.retry) > 0 && !r.retry.due().After(now) && !(r.ready() && r.passedOver(r.retry[0])):
		it = r.retry[0]
	case r.ready():
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

// passedOver tells whether a fresh prompt goes before one that is due again.
// While few passed since that one was refused, the fresh one tells more of the
// rate: it may be the prompt itself that is refused.
func (r *run) passedOver(it *item) bool {
	if it.refused > 0 && (r.refusedLast || r.passed != nil && *r.passed < it.refusedAt+passedInDoubt) {
		return true
	}
	return it.failing && r.freshFirst
}

// ready tells whether a prompt may leave for the first time.
func (r *run) ready() bool { return len(r.fresh) > 0 && r.fresh[0].line <= r.reserved }

// leastPerAsk bounds perAsk from below.
const leastPerAsk = 4

// reserve asks for more lines early enough that in a steady flow nobody waits
// for the commit: when two commits' worth are left, for four of them. So many
// may be counted as paid twice at a crash that were not.
func (r *run) reserve() (line int64, ask bool) {
	if r.draining || r.asked > r.reserved {
		return 0, false
	}
	allowed := r.allowed()
	if allowed == len(r.fresh) || allowed >= 2*r.perAsk {
		return 0, false
	}
	r.asked, r.sent = max(r.before, r.fresh[min(4*r.perAsk, len(r.fresh))-1].line), 0
	return r.asked, true
}

// reservedTo hears that the lines up to one may be sent.
func (r *run) reservedTo(line int64) {
	if line <= r.reserved {
		return
	}
	if len(r.fresh) > 0 && r.allowed() == 0 {
		r.perAsk = 2 * max(r.perAsk, r.sent) // it was waited for
	} else {
		r.perAsk = max(leastPerAsk, r.sent, r.perAsk*7/8)
	}
	r.reserved = line
}

// allowed counts the prompts that may leave for the first time.
func (r *run) allowed() int {
	return sort.Search(len(r.fresh), func(i int) bool { return r.fresh[i].line > r.reserved })
}

// pop removes the item that leaves: the one that peek returned, or a suspect.
func (r *run) pop(it *item) {
	if i := slices.Index(r.suspects, it); i >= 0 {
		r.suspects = slices.Delete(r.suspects, i, i+1)
		return
	}
	if len(r.retry) > 0 && r.retry[0] == it {
		r.retry.first()
		r.refusedLast = it.refused > 0
		return
	}
	r.refusedLast = false
	r.fresh[0] = nil
	r.fresh = r.fresh[1:]
	r.sent++
}

// capped tells whether the caller's own caps hold the run back.
func (r *run) capped(now time.Time) bool {
	return r.requests.Ready(now).After(now) || r.tokens.Ready(now).After(now)
}

// open counts the prompts that are read and not yet recorded.
func (r *run) open() int { return len(r.fresh) + len(r.retry) + len(r.suspects) + r.inFlight }

// drop forgets the prompts that wait.
func (r *run) drop() {
	r.fresh, r.retry, r.suspects = nil, nil, nil
}

// idle tells whether nothing of the run is under way.
func (r *run) idle() bool { return r.inFlight == 0 && r.unrecorded == 0 && !r.reading }

// done tells whether every prompt of the run is recorded.
func (r *run) done() bool { return r.eof && r.open() == 0 && r.idle() }
