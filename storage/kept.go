package storage

import (
	"github.com/RoaringBitmap/roaring/v2"

	"github.com/promptforge/promptforge/job"
)

// Kept is all that a store keeps of one job, as fsck compares it with the
// files.
type Kept struct {
	Job      *job.Job
	Parts    []Part
	Segments []Segment
	Done     *roaring.Bitmap // sealed lines
	Failed   *roaring.Bitmap // of these, the lines of error records
	Unusable *roaring.Bitmap // of these, the lines that no prompt came of
}
