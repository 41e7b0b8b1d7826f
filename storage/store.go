package storage

import (
	"context"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/promptforge/promptforge/job"
)

// Store is the service's memory. Every method may be called from any number of
// goroutines. Jobs that come out are copies. Time is always an argument.
//
// Whatever adds, ends or promotes a job of a client does so in one transaction
// that also keeps the client's rule: at most MaxActivePerClient of its jobs
// take a turn (job.Job.TakesTurn), and when one of them is settled the PENDING
// job with the lowest QueueSeq becomes QUEUED.
type Store interface {
	Keys
	Jobs
	Lanes
	Outcomes
	Deletion
	Quotas
	Webhooks

	// Secret returns the named secret of this deployment, 32 random bytes that
	// are made at the first call and never change.
	Secret(ctx context.Context, name string) ([]byte, error)

	// Ping tells whether the store could take a write now.
	Ping(ctx context.Context) error

	// Watch signals changes. The channel holds one pending signal at most, so
	// a slow reader sees only that something changed since it last looked.
	// With a job's id it is signalled at every change of that job, counts
	// included; with "" at every move of any job to another state, at every
	// settlement, and at every new job. stop frees it.
	Watch(id job.ID) (changed <-chan struct{}, stop func())

	// Close waits for what is under way and closes. Later calls are ErrClosed.
	Close() error
}

// Keys are the API keys.
type Keys interface {
	// CreateKey keeps a new key. ErrExists if its id is taken.
	CreateKey(ctx context.Context, k Key) error
	// Key finds a key by its id, revoked ones too. ErrNotFound.
	Key(ctx context.Context, id string) (Key, error)
	// ListKeys lists all keys, oldest first.
	ListKeys(ctx context.Context) ([]Key, error)
	// RevokeKey makes a key refused from now on. Revoking it again changes
	// nothing. ErrNotFound.
	RevokeKey(ctx context.Context, id string, at time.Time) error
	// HasKey tells whether the client has a key that is not revoked.
	HasKey(ctx context.Context, client string) (bool, error)
}

// Idempotency makes a request that comes again find the job that the first one
// made.
type Idempotency struct {
	Key      string   // the caller's, 1 to 255 characters
	Request  [32]byte // hash of the parsed request
	Lifetime time.Duration
}

// ListQuery is a page of a client's jobs, newest first.
type ListQuery struct {
	Client   string
	Statuses []job.Status // empty: all
	Before   uint64       // only jobs with a lower Seq; 0: from the newest
	Limit    int          // 1..1000
}

// Upload is what a whole upload came to.
type Upload struct {
	Prompts     job.PromptsFile
	PromptCount int64
	// Unusable are the sealed error records of the lines that cannot be used,
	// offsets from 1, without gaps.
	Unusable []NewPart
}

// Jobs is what clients ask of their jobs.
type Jobs interface {
	// CreateJob keeps a new job as AWAITING_UPLOAD with the next Seq of its
	// client and returns it. With idem, a request that came before returns the
	// job of then and created is false; ErrIdempotencyKeyReused if it was
	// another request. idem may be nil.
	//
	// A job with ContinueFrom takes over that job's prompts file, its results
	// and the error records of lines that cannot be used (not those of prompts,
	// which are tried again), and begins as QUEUED or PENDING. ErrNotFound, *StateError (the other job is not settled, or has
	// no prompts file) or ErrProviderDiffers if it can't.
	CreateJob(ctx context.Context, j *job.Job, idem *Idempotency) (kept *job.Job, created bool, err error)

	// Job returns a client's job, unless it is Deleted. client "" finds any
	// client's, deleted ones too. ErrNotFound.
	Job(ctx context.Context, client string, id job.ID) (*job.Job, error)

	// ListJobs returns a page; more tells whether older jobs match.
	ListJobs(ctx context.Context, q ListQuery) (page []*job.Job, more bool, err error)

	// ExtendUpload moves the job's UploadExpiresAt to a later time; an earlier
	// one changes nothing. ErrNotFound; *StateError unless AWAITING_UPLOAD.
	ExtendUpload(ctx context.Context, client string, id job.ID, expires time.Time) (*job.Job, error)

	// CompleteUpload gives the job its prompts and moves it on: to QUEUED or
	// PENDING, or to FAILED and settled where no line is usable. *StateError
	// unless AWAITING_UPLOAD, so the first whole upload wins. ErrNotFound.
	CompleteUpload(ctx context.Context, id job.ID, u Upload, at time.Time) (*job.Job, error)

	// Cancel moves a job to CANCELLED. A job that no dispatcher has claimed is
	// settled at once; for any other the holder stops sending, calls
	// Acknowledge, and settles it later. ErrNotFound; *StateError once final.
	Cancel(ctx context.Context, client string, id job.ID, at time.Time) (*job.Job, error)

	// ExpireUploads cancels, with a reason, the jobs that still await an
	// upload and whose UploadExpiresAt is before at, except those for which
	// busy returns true. It returns how many.
	ExpireUploads(ctx context.Context, at time.Time, busy func(job.ID) bool) (int, error)
}

// Doomed is a job to be erased.
type Doomed struct {
	ID    job.ID
	Files []string // the names that no other job refers to
}

// Deletion is how jobs go. A job is hidden at once (Delete, ExpireJobs), and
// once it is settled its files are removed and then Erase forgets it: in this
// order, so that a crash in between leaves a job that is still doomed, and no
// file that nobody names.
type Deletion interface {
	// Delete hides a client's job for good, cancelling it first as Cancel does
	// if it is not final. It returns the job after it. ErrNotFound, also for
	// one that is deleted already.
	Delete(ctx context.Context, client string, id job.ID, at time.Time) (*job.Job, error)
	// ExpireJobs deletes all jobs that were settled before the given time and
	// returns how many.
	ExpireJobs(ctx context.Context, settledBefore time.Time) (int, error)
	// Doomed lists deleted jobs that are settled, at most limit of them.
	Doomed(ctx context.Context, limit int) ([]Doomed, error)
	// Erase forgets a doomed job. ErrNotFound; *StateError if it is not doomed.
	Erase(ctx context.Context, id job.ID) error
	// Usage is what a client has.
	Usage(ctx context.Context, client string) (Usage, error)
	// ForgetClient removes what is kept of a client beside its jobs: keys,
	// Idempotency-Keys, what was set of its quota, and its counters (with its
	// last job, where deleted jobs are not erased yet). ErrExists, and nothing is
	// removed, while it has a job that is not deleted, or a key that is not
	// revoked. A client that is not known is no error.
	ForgetClient(ctx context.Context, client string) error
}

// Usage is what a client has, deleted jobs left out.
type Usage struct {
	Jobs  int   // of all states
	Open  int   // not settled
	Bytes int64 // of prompts files and parts; a file that several jobs share counts for each
}

// Lease is the right to decide for a lane.
type Lease struct {
	Lane    job.Lane
	Term    job.Term
	Learned []byte // what SaveLane kept last; nil at first
}

// Claim is a job as its holder takes it over.
type Claim struct {
	Job *job.Job
	// Done are the lines that have an outcome, sealed or not. The caller owns it.
	Done *roaring.Bitmap
	// Segments are the outcomes that no part has yet, in order.
	Segments []Segment
	// Damaged says that the lines that have an outcome cannot be told, since
	// what is kept of them is damaged. Done is nil then, and the job can only
	// be failed. A *DamagedJobError.
	Damaged error
}

// Lanes is what a dispatcher decides. Each decision carries the term of the
// lease it was made under and is ErrTerm when the job or lane has another.
type Lanes interface {
	// Work lists the jobs that a dispatcher has to do something for: QUEUED,
	// PROCESSING, and final ones that are not settled; in the order in which
	// their uploads completed. With jobs whose record cannot be read among
	// them, the error joins a *DamagedJobError for each, and the others are
	// listed all the same.
	Work(ctx context.Context) ([]*job.Job, error)

	// HoldLane takes the lease of a lane for holder under a new term. A bolt
	// store has one process, so it always succeeds there: whoever held it
	// before is dead.
	HoldLane(ctx context.Context, lane job.Lane, holder string) (Lease, error)
	// SaveLane keeps what was learned about a lane.
	SaveLane(ctx context.Context, lease Lease, learned []byte) error
	// ReleaseLane gives the lease back.
	ReleaseLane(ctx context.Context, lease Lease) error

	// Claim puts a job under the lease: QUEUED becomes PROCESSING (StartedAt
	// is set once), PROCESSING and final unsettled jobs of a dead holder are
	// taken over. The job that comes back says in Released whether the holder
	// before left nothing in flight; if it did not, lines up to SentThrough
	// that are not done are doubtful. From now on Released is false. ErrNotFound
	// if the job needs no holder any more.
	Claim(ctx context.Context, lease Lease, id job.ID, at time.Time) (*Claim, error)

	// Finish moves a PROCESSING job to COMPLETED or FAILED. COMPLETED wants
	// every prompt to have an outcome and settles the job in the same
	// transaction. If the job became final meanwhile (a cancel was faster) it
	// is *StateError with the job as it is.
	Finish(ctx context.Context, term job.Term, id job.ID, to job.Status, reason string, at time.Time) (*job.Job, error)

	// Acknowledge says that nothing more will be sent for a final job.
	Acknowledge(ctx context.Context, term job.Term, id job.ID) error

	// Settle says that the last request of a final job is recorded or given
	// up. The client's next job is promoted. Settling again changes nothing.
	Settle(ctx context.Context, term job.Term, id job.ID, at time.Time) (*job.Job, error)

	// Release gives a job back unfinished, with nothing in flight (SIGTERM):
	// Released becomes true.
	Release(ctx context.Context, term job.Term, id job.ID) error

	// Promote makes good on promotions that were missed and returns how many
	// there were; each is a bug elsewhere.
	Promote(ctx context.Context) (int, error)
}

// Record is what a holder has to say about one job in a group commit.
type Record struct {
	ID job.ID
	// Batch is drawn at random for each record. What comes again with the same
	// one, since its acknowledgement was lost, is counted once: Requests and
	// GivenUp. 0: it never comes again.
	Batch       uint64
	Outcomes    []*job.Outcome // in the order in which they are to be recorded
	SentThrough int64          // no line beyond it is sent before this is durable
	Requests    int64          // requests sent since the last Record
	GivenUp     int64          // requests abandoned in flight: adds to PossiblyRepaid
	Pace        *job.Pace      // replaces the job's; nil leaves it
}

// Recorded is what became of a Record.
type Recorded struct {
	Job      *job.Job // after it; nil with Err
	Accepted int      // outcomes taken; the others' lines were done already, or the job was settled
	Open     Segment  // the segment that takes outcomes now
	Err      error    // ErrNotFound for a job that is gone; *DamagedJobError
}

// Outcomes is how answers are kept.
type Outcomes interface {
	// Record keeps the outcomes of any number of jobs in one transaction. It
	// needs no term: an answer that was paid for is taken from whoever brings
	// it while its line has none and the job is not settled. The slice that
	// comes back matches records. An error means that nothing was kept; what
	// is wrong with one job alone is its Recorded's Err.
	Record(ctx context.Context, records []Record) ([]Recorded, error)

	// Freeze closes the job's open segment and returns it; the next outcome
	// begins another. A segment that was frozen and is not sealed is returned
	// again before a younger one. ErrNotFound when nothing is unsealed.
	Freeze(ctx context.Context, term job.Term, id job.ID) (Segment, error)

	// Seal lists a part in place of the frozen segment n and forgets the
	// segment's outcomes, in one short transaction.
	Seal(ctx context.Context, term job.Term, id job.ID, n int64, part NewPart) error

	// Parts lists a job's parts in order of offset.
	Parts(ctx context.Context, id job.ID) ([]Part, error)

	// Segments lists a job's unsealed segments in order of offset.
	Segments(ctx context.Context, id job.ID) ([]Segment, error)

	// ReadSegment returns outcomes of a segment after the given offset, at
	// most about maxBytes (but at least one). The caller owns them. Empty at
	// the end. ErrNotFound when the segment was sealed: look into Parts again.
	ReadSegment(ctx context.Context, id job.ID, n, after int64, maxBytes int) ([]job.Outcome, error)

	// FileNames lists every name that any job's upload or part refers to, so that
	// what is not listed can be removed as an orphan.
	FileNames(ctx context.Context) (map[string]bool, error)
}
