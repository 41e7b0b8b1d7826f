package bolt

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/promptforge/promptforge/job"
)

// key joins pieces to a key in which numbers sort as numbers.
type key []byte

func (k key) number(n uint64) key { return binary.BigEndian.AppendUint64(k, n) }

// text appends a string that others may follow. Its length comes first, so
// that no two different pairs make one key.
func (k key) text(s string) key {
	return append(binary.BigEndian.AppendUint16(k, uint16(len(s))), s...)
}

func (k key) id(id job.ID) key { return append(k, id...) }

// time appends a time that sorts as time, the zero one first.
func (k key) time(t time.Time) key {
	k = binary.BigEndian.AppendUint64(k, uint64(t.Unix())^(1<<63))
	return binary.BigEndian.AppendUint32(k, uint32(t.Nanosecond()))
}

const timeKeyLen = 12

// entry is a job's place in an index.
type entry struct {
	bucket string
	key    string
}

// entries are the places where a job stands besides the list of its client:
// what Work, Promote, ExpireUploads, ExpireJobs, Doomed, OwedHosts and OwedDeliveries
// walk,
// so that none of them passes over jobs that are not meant.
func (r *record) entries() []entry {
	j := &r.job
	switch {
	case j.Status == job.AwaitingUpload:
		return []entry{{string(bucketAwaiting), string(key{}.time(j.UploadExpiresAt).id(j.ID))}}
	case j.Status == job.Pending:
		return []entry{{string(bucketPending), string(key{}.text(j.Client).number(j.QueueSeq))}}
	case j.TakesTurn():
		return []entry{
			{string(bucketTurns), string(key{}.text(j.Client).number(r.uploadSeq))},
			{string(bucketWork), string(key{}.number(r.uploadSeq))},
		}
	case j.Settled() && j.Deleted:
		return []entry{{string(bucketDoomed), string(key{}.id(j.ID))}}
	case j.Settled():
		entries := []entry{{string(bucketSettled), string(key{}.time(j.SettledAt).id(j.ID))}}
		if j.Delivery.State == job.DeliveryOwed {
			entries = append(entries, entry{string(bucketOwed), string(key{}.text(j.WebhookHost()).time(j.Delivery.Due).id(j.ID))})
		}
		return entries
	}
	return nil
}

// reindex moves a job from the places where it stood to those where it stands.
func (t *tx) reindex(r *record) error {
	now := r.entries()
	for _, e := range r.indexed {
		if !slices.Contains(now, e) {
			if err := t.delete(t.bucket([]byte(e.bucket)), []byte(e.key)); err != nil {
				return err
			}
		}
	}
	for _, e := range now {
		if !slices.Contains(r.indexed, e) {
			if err := t.put(t.bucket([]byte(e.bucket)), []byte(e.key), []byte(r.job.ID)); err != nil {
				return err
			}
		}
	}
	r.indexed = now
	return nil
}
