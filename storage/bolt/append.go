package bolt

import (
	"encoding/binary"

	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// An appender adds outcomes to a job's open segment, and begins another where
// one is full. It counts them on the job; the caller marks the job changed.
type appender struct {
	tx     *tx
	record *record
	bucket *bbolt.Bucket // of segment n
	n      int64
	arena  []byte // bbolt wants values to live as long as the transaction
}

// encodedAround is more than an outcome's fixed fields take.
const encodedAround = 64

func encodedSize(o *job.Outcome) int {
	return len(o.Public) + len(o.Response) + len(o.RequestID) + encodedAround
}

// reserve makes room for outcomes to come.
func (a *appender) reserve(outcomes []*job.Outcome) {
	size := 0
	for _, o := range outcomes {
		size += encodedSize(o)
	}
	a.arena = make([]byte, 0, size)
}

func (a *appender) add(o *job.Outcome) error {
	r := a.record
	segment := r.growing()
	if err := a.open(segment.N); err != nil {
		return err
	}
	value := a.encode(o)
	offset := r.job.Outcomes() + 1
	a.tx.dirty = true
	if err := a.bucket.Put(offsetKey(offset), value); err != nil {
		return err
	}
	segment.Add(o)
	segment.Bytes += int64(len(value))
	segment.Frozen = segment.Outcomes >= storage.MaxSegmentOutcomes || segment.Bytes >= storage.MaxSegmentBytes
	r.job.Record(o)
	return nil
}

func (a *appender) open(n int64) error {
	if a.bucket != nil && a.n == n {
		return nil
	}
	b, err := a.tx.bucket(bucketOutcomes).CreateBucketIfNotExists(segmentKey(a.record.job.ID, n))
	if err != nil {
		return err
	}
	b.FillPercent = 1 // offsets only rise, so a full page is never split again
	a.bucket, a.n = b, n
	return nil
}

func (a *appender) encode(o *job.Outcome) []byte {
	if size := encodedSize(o); cap(a.arena)-len(a.arena) < size {
		a.arena = make([]byte, 0, size)
	}
	begin := len(a.arena)
	a.arena = o.AppendBinary(a.arena)
	return a.arena[begin:len(a.arena):len(a.arena)]
}

// growing is the segment that takes the next outcome.
func (r *record) growing() *storage.Segment {
	if n := len(r.segments); n == 0 || r.segments[n-1].Frozen {
		segment := r.open()
		r.lastSegment = segment.N
		r.segments = append(r.segments, segment)
	}
	return &r.segments[len(r.segments)-1]
}

// open is the segment that takes outcomes now. Where none has begun it is the
// empty one that the next outcome begins.
func (r *record) open() storage.Segment {
	if n := len(r.segments); n > 0 && !r.segments[n-1].Frozen {
		return r.segments[n-1]
	}
	return storage.Segment{
		N:     r.lastSegment + 1,
		Range: storage.Range{FirstOffset: r.job.Outcomes() + 1, ResultsBefore: r.job.CompletedCount},
	}
}

func segmentKey(id job.ID, n int64) []byte { return key{}.id(id).number(uint64(n)) }

func offsetKey(offset int64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 0, 8), uint64(offset))
}

// outcomes is the bucket of a segment; nil if it is gone.
func (t *tx) outcomes(id job.ID, n int64) *bbolt.Bucket {
	return t.bucket(bucketOutcomes).Bucket(segmentKey(id, n))
}
