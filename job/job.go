package job

import "time"

// Job is one file of prompts on its way through a provider. A Store owns the
// truth; a Job in memory is a copy that its holder may change freely.
//
// Times are UTC. The zero time means "not yet".
type Job struct {
	ID     ID
	Client string // the owner; never shown to another client
	Seq    uint64 // the client's n-th job, from 1: the order of lists, never a clock

	Status        Status
	Provider      string
	Model         string
	MaxRetries    int // 0..20, retries after the first try
	RPM           int // the caller's cap on requests a minute; 0: none
	TPM           int // the caller's cap on tokens a minute; 0: none
	Metadata      map[string]string
	WebhookURL    string
	ContinueFrom  ID
	FailureReason string // a sentence; set with FAILED, and with a CANCELLED that nobody asked for

	CreatedAt   time.Time
	StartedAt   time.Time // the first time it became PROCESSING
	CompletedAt time.Time // when it became final
	SettledAt   time.Time // when nothing could change any more

	UploadExpiresAt time.Time // the expiry of the last upload URL that was given out
	QueueSeq        uint64    // the client's n-th completed upload, from 1: the order of PENDING

	// Parsed tells whether the counts below mean anything: they are null to
	// the outside until the file is parsed.
	Parsed         bool
	PromptCount    int64 // every line that is not blank
	CompletedCount int64 // prompts with a result
	FailedCount    int64 // prompts that ended as an error record

	Prompts PromptsFile // what was uploaded
	Totals  Totals      // lengths of what its outcomes render to

	PromptTokens     int64
	CompletionTokens int64
	RequestsSent     int64 // all of them, refusals and probes too
	PossiblyRepaid   int64 // at most so many requests were in flight at a crash

	Lane Lane // chosen when the job is claimed
	Term Term // the lease under which it was claimed; decisions of another are refused
	// SentThrough is the highest line that may have been sent. Lines up to it
	// that have no outcome are doubtful after a crash.
	SentThrough int64
	// Released is true when the holder left nothing in flight, so that no line
	// is doubtful.
	Released bool
	// Acknowledged is true once the holder has stopped sending for a job that
	// became final under it.
	Acknowledged bool

	Pace Pace // as its holder last told it

	Delivery Delivery // of its webhook

	// Deleted hides the job from its client for good; it is erased once it is
	// settled.
	Deleted bool
}

// Settled tells whether nothing about the job changes any more.
func (j *Job) Settled() bool { return !j.SettledAt.IsZero() }

// Open counts the prompts without an outcome.
func (j *Job) Open() int64 { return j.PromptCount - j.CompletedCount - j.FailedCount }

// Outcomes counts the recorded outcomes; it is also the offset of the last.
func (j *Job) Outcomes() int64 { return j.CompletedCount + j.FailedCount }

// Record counts an outcome that was just recorded.
func (j *Job) Record(o *Outcome) {
	if o.Failed {
		j.FailedCount++
	} else {
		j.CompletedCount++
	}
	j.PromptTokens += o.PromptTokens
	j.CompletionTokens += o.CompletionTokens
	j.Totals.Add(o)
}

// TakesTurn tells whether the job counts against its client's active jobs:
// QUEUED, PROCESSING, or final with requests still in flight.
func (j *Job) TakesTurn() bool {
	return j.Status.Active() || (j.Status.Final() && !j.Settled())
}

// Pace is how fast a job goes and what makes it so slow. Its holder tells it
// with its records; it means nothing unless the job is PROCESSING.
type Pace struct {
	CurrentRPM         float64 // requests a minute, over the last seconds
	LearnedRPM         float64 // what the lane takes the provider's limits to be; 0: not known
	LearnedTPM         float64
	LearnedConcurrency float64
	// BoundBy is learning, rpm, tpm, concurrency, cap, share, hold or machine
	// (docs/api.md); empty: not known.
	BoundBy string
	// EstimatedCompletionAt lies between the two after it, which say how much
	// the job's rate has varied lately. Zero: nobody knows.
	EstimatedCompletionAt time.Time
	EstimatedEarliest     time.Time
	EstimatedLatest       time.Time

	HoldReason string    // a sentence; empty unless the lane is held
	HeldSince  time.Time // zero unless held
	HeldUntil  time.Time // zero unless a time is known
}

// PromptsFile is an upload as it was kept.
type PromptsFile struct {
	Name   string   // in Files; empty while there is none
	Bytes  int64    // of the kept file
	SHA256 [32]byte // of the uploaded bytes after decompression: "the same bytes again"
	Usable int64    // lines that can be sent
}

// Totals are the lengths in bytes, newlines included, of everything that a
// job's recorded outcomes render to. They only grow.
type Totals struct {
	ResultBytes     int64 // the result lines as a client downloads them
	ResultFullBytes int64 // the same with view=full
	ErrorBytes      int64
	ErrorFullBytes  int64
}

// Add adds the lengths of one outcome.
func (t *Totals) Add(o *Outcome) {
	if o.Failed {
		t.ErrorBytes += o.PublicLen()
		t.ErrorFullBytes += o.FullLen()
		return
	}
	t.ResultBytes += o.PublicLen()
	t.ResultFullBytes += o.FullLen()
}

// Plus is the sum of both.
func (t Totals) Plus(u Totals) Totals {
	return Totals{
		ResultBytes:     t.ResultBytes + u.ResultBytes,
		ResultFullBytes: t.ResultFullBytes + u.ResultFullBytes,
		ErrorBytes:      t.ErrorBytes + u.ErrorBytes,
		ErrorFullBytes:  t.ErrorFullBytes + u.ErrorFullBytes,
	}
}
