package storage

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/promptforge/promptforge/job"
)

// MaxSegmentOutcomes and MaxSegmentBytes are when a segment is full and wants
// to be sealed.
const (
	MaxSegmentOutcomes = 5_000
	MaxSegmentBytes    = 64 << 20
)

// ResultsPerFile is how many results a public results file holds (docs/api.md).
const ResultsPerFile = 5_000

// Range is a run of outcomes of one job in the order in which they were
// recorded, and what they render to.
type Range struct {
	FirstOffset int64 // of its first outcome; a job's first outcome has offset 1
	Outcomes    int64
	Results     int64
	// ResultsBefore is how many results of the job stand before the range.
	ResultsBefore int64
	Totals        job.Totals
	// Split is what of Totals belongs to results up to the one edge of
	// ResultsPerFile that a range of at most ResultsPerFile outcomes can
	// cross; where it crosses none, Split is all of them.
	Split job.Totals
}

// LastOffset is the offset of the last outcome; FirstOffset-1 in an empty range.
func (r *Range) LastOffset() int64 { return r.FirstOffset + r.Outcomes - 1 }

// Add extends the range by the outcome that was recorded next.
func (r *Range) Add(o *job.Outcome) {
	r.Outcomes++
	r.Totals.Add(o)
	if o.Failed {
		return
	}
	r.Results++
	if r.ResultsBefore/ResultsPerFile == (r.ResultsBefore+r.Results-1)/ResultsPerFile {
		r.Split.Add(o)
	}
}

// Segment is a run of outcomes that lie in the store, not yet in a part.
type Segment struct {
	N int64 // its number within the job, from 1, never reused
	Range
	Bytes  int64 // of its outcomes as they are kept
	Frozen bool  // nothing is added any more: it is being sealed
}

// Part is a run of outcomes in an immutable file.
type Part struct {
	Name   string // in Files, never reused
	Bytes  int64
	SHA256 [32]byte
	Range
	// ResultsOnly: the error records in the file are passed over and do not
	// count. Such a part was taken from the job that this one continues, which
	// sends the failed prompts again.
	ResultsOnly bool
}

// NewPart is a written part with what it settles.
type NewPart struct {
	Part
	Done   *roaring.Bitmap // the lines of all its outcomes
	Failed *roaring.Bitmap // of these, the lines of error records
}
