package bolt

import (
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// record is a job with what this store alone knows about it.
type record struct {
	job         job.Job
	uploadSeq   uint64 // the n-th upload of the whole store
	lastSegment int64  // the highest segment number that was given out
	lastBatch   uint64 // of the record whose requests were counted last
	segments    []storage.Segment
	partBytes   int64       // of the parts that it lists
	counted     usageRecord // what of it stands in its client's usage
	indexed     []entry     // where it stands in the indexes as they are now
	changed     bool        // not flushed yet
}

// jobRecord is a record as it is kept.
type jobRecord struct {
	ID            string            `json:"id"`
	Client        string            `json:"client"`
	Seq           uint64            `json:"seq"`
	Status        string            `json:"status"`
	Provider      string            `json:"provider"`
	Model         string            `json:"model"`
	MaxRetries    int               `json:"max_retries,omitzero"`
	RPM           int               `json:"rpm,omitzero"`
	TPM           int               `json:"tpm,omitzero"`
	Metadata      map[string]string `json:"metadata,omitzero"`
	WebhookURL    string            `json:"webhook_url,omitzero"`
	ContinueFrom  string            `json:"continue_from,omitzero"`
	FailureReason string            `json:"failure_reason,omitzero"`

	CreatedAt   time.Time `json:"created_at,omitzero"`
	StartedAt   time.Time `json:"started_at,omitzero"`
	CompletedAt time.Time `json:"completed_at,omitzero"`
	SettledAt   time.Time `json:"settled_at,omitzero"`

	UploadExpiresAt time.Time `json:"upload_expires_at,omitzero"`
	QueueSeq        uint64    `json:"queue_seq,omitzero"`
	UploadSeq       uint64    `json:"upload_seq,omitzero"`

	Parsed         bool  `json:"parsed,omitzero"`
	PromptCount    int64 `json:"prompt_count,omitzero"`
	CompletedCount int64 `json:"completed_count,omitzero"`
	FailedCount    int64 `json:"failed_count,omitzero"`

	Prompts promptsRecord `json:"prompts,omitzero"`
	Totals  totalsRecord  `json:"totals,omitzero"`

	PromptTokens     int64  `json:"prompt_tokens,omitzero"`
	CompletionTokens int64  `json:"completion_tokens,omitzero"`
	RequestsSent     int64  `json:"requests_sent,omitzero"`
	PossiblyRepaid   int64  `json:"possibly_repaid,omitzero"`
	LastBatch        uint64 `json:"last_batch,omitzero"`

	Lane         laneName `json:"lane,omitzero"`
	Term         []byte   `json:"term,omitempty"`
	SentThrough  int64    `json:"sent_through,omitzero"`
	Released     bool     `json:"released,omitzero"`
	Acknowledged bool     `json:"acknowledged,omitzero"`

	Pace paceRecord `json:"pace,omitzero"`

	Delivery deliveryRecord `json:"delivery,omitzero"`

	Deleted bool `json:"deleted,omitzero"`

	PartBytes   int64           `json:"part_bytes,omitzero"`
	LastSegment int64           `json:"last_segment,omitzero"`
	Segments    []segmentRecord `json:"segments,omitempty"`
}

type deliveryRecord struct {
	State    job.DeliveryState `json:"state"`
	Attempts int               `json:"attempts,omitzero"`
	Due      time.Time         `json:"due,omitzero"`
	Error    string            `json:"error,omitzero"`
}

type promptsRecord struct {
	Name   string `json:"name"`
	Bytes  int64  `json:"bytes"`
	SHA256 []byte `json:"sha256"`
	Usable int64  `json:"usable"`
}

func (p promptsRecord) IsZero() bool {
	return p.Name == "" && p.Bytes == 0 && p.Usable == 0 && isZero(p.SHA256)
}

type totalsRecord struct {
	ResultBytes     int64 `json:"result,omitzero"`
	ResultFullBytes int64 `json:"result_full,omitzero"`
	ErrorBytes      int64 `json:"error,omitzero"`
	ErrorFullBytes  int64 `json:"error_full,omitzero"`
}

type paceRecord struct {
	CurrentRPM            float64   `json:"current_rpm,omitzero"`
	LearnedRPM            float64   `json:"learned_rpm,omitzero"`
	LearnedTPM            float64   `json:"learned_tpm,omitzero"`
	LearnedConcurrency    float64   `json:"learned_concurrency,omitzero"`
	BoundBy               string    `json:"bound_by,omitzero"`
	EstimatedCompletionAt time.Time `json:"estimated_completion_at,omitzero"`
	EstimatedEarliest     time.Time `json:"estimated_earliest,omitzero"`
	EstimatedLatest       time.Time `json:"estimated_latest,omitzero"`

	HoldReason string    `json:"hold_reason,omitzero"`
	HeldSince  time.Time `json:"held_since,omitzero"`
	HeldUntil  time.Time `json:"held_until,omitzero"`
}

// utcPace is a pace as it is kept. JSON knows no infinity.
func utcPace(p *job.Pace) job.Pace {
	out := *p
	for _, n := range []*float64{&out.CurrentRPM, &out.LearnedRPM, &out.LearnedTPM, &out.LearnedConcurrency} {
		if math.IsInf(*n, 0) || math.IsNaN(*n) {
			*n = 0
		}
	}
	for _, at := range []*time.Time{&out.EstimatedCompletionAt, &out.EstimatedEarliest, &out.EstimatedLatest, &out.HeldSince, &out.HeldUntil} {
		*at = utc(*at)
	}
	return out
}

type laneName struct {
	Provider string `json:"provider"`
	Group    string `json:"group"`
	Model    string `json:"model"`
}

type rangeRecord struct {
	FirstOffset   int64        `json:"first_offset"`
	Outcomes      int64        `json:"outcomes"`
	Results       int64        `json:"results"`
	ResultsBefore int64        `json:"results_before"`
	Totals        totalsRecord `json:"totals,omitzero"`
	Split         totalsRecord `json:"split,omitzero"`
}

type segmentRecord struct {
	N      int64       `json:"n"`
	Range  rangeRecord `json:"range"`
	Bytes  int64       `json:"bytes"`
	Frozen bool        `json:"frozen,omitzero"`
}

func newRangeRecord(r storage.Range) rangeRecord {
	return rangeRecord{r.FirstOffset, r.Outcomes, r.Results, r.ResultsBefore, totalsRecord(r.Totals), totalsRecord(r.Split)}
}

func (r rangeRecord) value() storage.Range {
	return storage.Range{
		FirstOffset: r.FirstOffset, Outcomes: r.Outcomes, Results: r.Results, ResultsBefore: r.ResultsBefore,
		Totals: job.Totals(r.Totals), Split: job.Totals(r.Split),
	}
}

func isZero(b []byte) bool { return !slices.ContainsFunc(b, func(c byte) bool { return c != 0 }) }

// termBytes is a term as it is kept; nobody's is none.
func termBytes(t job.Term) []byte {
	if t.IsZero() {
		return nil
	}
	return t[:]
}

func termOf(b []byte) (t job.Term) {
	copy(t[:], b)
	return t
}

func hashOf(b []byte) (sum [32]byte) {
	copy(sum[:], b)
	return sum
}

func newJobRecord(r *record) *jobRecord {
	j := &r.job
	out := &jobRecord{
		ID: string(j.ID), Client: j.Client, Seq: j.Seq, Status: string(j.Status), Provider: j.Provider, Model: j.Model,
		MaxRetries: j.MaxRetries, RPM: j.RPM, TPM: j.TPM, Metadata: j.Metadata, WebhookURL: j.WebhookURL,
		ContinueFrom: string(j.ContinueFrom), FailureReason: j.FailureReason,
		CreatedAt: j.CreatedAt.UTC(), StartedAt: j.StartedAt.UTC(), CompletedAt: j.CompletedAt.UTC(), SettledAt: j.SettledAt.UTC(),
		UploadExpiresAt: j.UploadExpiresAt.UTC(), QueueSeq: j.QueueSeq, UploadSeq: r.uploadSeq,
		Parsed: j.Parsed, PromptCount: j.PromptCount, CompletedCount: j.CompletedCount, FailedCount: j.FailedCount,
		Prompts: promptsRecord{j.Prompts.Name, j.Prompts.Bytes, j.Prompts.SHA256[:], j.Prompts.Usable},
		Totals:  totalsRecord(j.Totals), PromptTokens: j.PromptTokens, CompletionTokens: j.CompletionTokens,
		RequestsSent: j.RequestsSent, PossiblyRepaid: j.PossiblyRepaid, LastBatch: r.lastBatch,
		Lane: laneName(j.Lane), Term: termBytes(j.Term), SentThrough: j.SentThrough, Released: j.Released, Acknowledged: j.Acknowledged,
		Pace:        paceRecord(j.Pace),
		Delivery:    deliveryRecord(j.Delivery),
		Deleted:     j.Deleted,
		PartBytes:   r.partBytes,
		LastSegment: r.lastSegment,
	}
	for _, s := range r.segments {
		out.Segments = append(out.Segments, segmentRecord{s.N, newRangeRecord(s.Range), s.Bytes, s.Frozen})
	}
	return out
}

func encodeRecord(r *record) ([]byte, error) { return json.Marshal(newJobRecord(r)) }

func decodeRecord(encoded []byte) (*record, error) {
	var k jobRecord
	if err := json.Unmarshal(encoded, &k); err != nil {
		return nil, err
	}
	r := &record{uploadSeq: k.UploadSeq, lastSegment: k.LastSegment, lastBatch: k.LastBatch, partBytes: k.PartBytes}
	r.job = job.Job{
		ID: job.ID(k.ID), Client: k.Client, Seq: k.Seq, Status: job.Status(k.Status), Provider: k.Provider, Model: k.Model,
		MaxRetries: k.MaxRetries, RPM: k.RPM, TPM: k.TPM, Metadata: k.Metadata, WebhookURL: k.WebhookURL,
		ContinueFrom: job.ID(k.ContinueFrom), FailureReason: k.FailureReason,
		CreatedAt: k.CreatedAt, StartedAt: k.StartedAt, CompletedAt: k.CompletedAt, SettledAt: k.SettledAt,
		UploadExpiresAt: k.UploadExpiresAt, QueueSeq: k.QueueSeq,
		Parsed: k.Parsed, PromptCount: k.PromptCount, CompletedCount: k.CompletedCount, FailedCount: k.FailedCount,
		Prompts: job.PromptsFile{Name: k.Prompts.Name, Bytes: k.Prompts.Bytes, SHA256: hashOf(k.Prompts.SHA256), Usable: k.Prompts.Usable},
		Totals:  job.Totals(k.Totals), PromptTokens: k.PromptTokens, CompletionTokens: k.CompletionTokens,
		RequestsSent: k.RequestsSent, PossiblyRepaid: k.PossiblyRepaid,
		Lane: job.Lane(k.Lane), Term: termOf(k.Term), SentThrough: k.SentThrough, Released: k.Released, Acknowledged: k.Acknowledged,
		Pace: job.Pace(k.Pace), Delivery: job.Delivery(k.Delivery), Deleted: k.Deleted,
	}
	for _, s := range k.Segments {
		r.segments = append(r.segments, storage.Segment{N: s.N, Range: s.Range.value(), Bytes: s.Bytes, Frozen: s.Frozen})
	}
	r.indexed, r.counted = r.entries(), r.usage()
	return r, nil
}

// copy is the job for a caller.
func (r *record) copy() *job.Job {
	return cloneJob(&r.job)
}
