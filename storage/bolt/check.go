package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"go.etcd.io/bbolt"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// Check looks for damage in the store and reports each as a sentence: pages,
// records, counts, the indexes, and the outcomes that lie in it. It changes
// nothing. It holds one read transaction all the while, so it is for a store
// that nobody writes to.
func (s *Store) Check(ctx context.Context, report func(sentence string)) error {
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		c := &checker{tx: tx, say: report, files: map[string]uint64{}, usage: map[string]usageRecord{}, indexed: map[entry]bool{}, segments: map[string]bool{}}
		c.pages()
		return guard(s.path, c.all)
	})
	return err
}

type checker struct {
	tx  *bbolt.Tx
	say func(string)
	// What the jobs come to together.
	files    map[string]uint64
	usage    map[string]usageRecord
	indexed  map[entry]bool
	segments map[string]bool
	unread   bool // some job cannot be read, so what the jobs come to is not known
}

func (c *checker) wrong(format string, args ...any) { c.say(fmt.Sprintf(format, args...)) }

func (c *checker) pages() {
	for err := range c.tx.Check() { // to the end, or its goroutine stays
		c.wrong("the store's pages: %v", err)
	}
}

func (c *checker) all() error {
	if err := c.tx.Bucket(bucketJobs).ForEach(func(id, _ []byte) error {
		c.job(job.ID(id))
		return nil
	}); err != nil {
		return err
	}
	for _, check := range []func() error{c.checkIndexes, c.checkFiles, c.checkClients, c.checkSegments} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) job(id job.ID) {
	k, r, err := readKept(c.tx, id)
	if err != nil {
		c.unread = true
		c.wrong("%v", err)
		return
	}
	for _, e := range r.entries() {
		c.indexed[e] = true
	}
	u, all := r.usage(), c.usage[k.Job.Client]
	c.usage[k.Job.Client] = usageRecord{Jobs: all.Jobs + u.Jobs, Open: all.Open + u.Open, Bytes: all.Bytes + u.Bytes}
	if name := k.Job.Prompts.Name; name != "" {
		c.files[name]++
	}
	lines := roaring.New()
	outcomes := storage.Range{FirstOffset: 1}
	for i := range k.Parts {
		c.files[k.Parts[i].Name]++
		c.follows(id, &outcomes, &k.Parts[i].Range)
	}
	for i := range k.Segments {
		c.follows(id, &outcomes, &k.Segments[i].Range)
		c.segment(id, &k.Segments[i], lines)
	}
	if outcomes.Results != k.Job.CompletedCount || outcomes.Outcomes-outcomes.Results != k.Job.FailedCount || outcomes.Totals != k.Job.Totals {
		c.wrong("job %s counts %d results and %d error records, and what it lists comes to %d and %d", id,
			k.Job.CompletedCount, k.Job.FailedCount, outcomes.Results, outcomes.Outcomes-outcomes.Results)
	}
	if n := lines.AndCardinality(k.Done); n != 0 {
		c.wrong("job %s has %d lines with two outcomes", id, n)
	}
	if k.Failed.AndCardinality(k.Done) != k.Failed.GetCardinality() || k.Unusable.AndCardinality(k.Failed) != k.Unusable.GetCardinality() {
		c.wrong("job %s: its lists of sealed, failed and unusable lines contradict each other", id)
	}
}

func (c *checker) follows(id job.ID, all, r *storage.Range) {
	if r.FirstOffset != all.LastOffset()+1 || r.ResultsBefore != all.Results {
		c.wrong("job %s: outcomes from %d on follow outcome %d", id, r.FirstOffset, all.LastOffset())
	}
	all.Outcomes += r.Outcomes
	all.Results += r.Results
	all.Totals = all.Totals.Plus(r.Totals)
}

// segment reads the outcomes that no part has yet.
func (c *checker) segment(id job.ID, s *storage.Segment, lines *roaring.Bitmap) {
	key := segmentKey(id, s.N)
	c.segments[string(key)] = true
	b := c.tx.Bucket(bucketOutcomes).Bucket(key)
	if b == nil {
		c.wrong("job %s: its unsealed outcomes from %d on are gone", id, s.FirstOffset)
		return
	}
	got := storage.Range{FirstOffset: s.FirstOffset, ResultsBefore: s.ResultsBefore}
	_ = b.ForEach(func(offset, encoded []byte) error { // no error but from the callback
		o, err := job.DecodeOutcome(encoded)
		if err != nil || len(offset) != 8 {
			c.wrong("job %s: the outcome %d cannot be read: %v", id, got.LastOffset()+1, err)
			return nil
		}
		if n := int64(binary.BigEndian.Uint64(offset)); n != got.LastOffset()+1 {
			c.wrong("job %s: outcome %d follows outcome %d", id, n, got.LastOffset())
		}
		if !lines.CheckedAdd(uint32(o.Line)) {
			c.wrong("job %s: line %d has two outcomes", id, o.Line)
		}
		got.Add(&o)
		return nil
	})
	if got != s.Range {
		c.wrong("job %s: segment %d has %d outcomes, and its record says %d", id, s.N, got.Outcomes, s.Outcomes)
	}
}

// checkIndexes compares the indexes with where the jobs should stand.
func (c *checker) checkIndexes() error {
	found := 0
	for _, name := range [][]byte{bucketAwaiting, bucketPending, bucketTurns, bucketWork, bucketSettled, bucketOwed, bucketDoomed} {
		if err := c.tx.Bucket(name).ForEach(func(k, id []byte) error {
			if c.indexed[entry{string(name), string(k)}] {
				found++
			} else if !c.unread {
				c.wrong("the index %s has job %s where it does not belong", name, id)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	if found != len(c.indexed) {
		c.wrong("%d places of jobs in the indexes are missing", len(c.indexed)-found)
	}
	return nil
}

func (c *checker) checkFiles() error {
	if c.unread {
		return nil
	}
	return c.tx.Bucket(bucketFiles).ForEach(func(name, _ []byte) error {
		if has, want := references(c.tx, string(name)), c.files[string(name)]; has != want {
			c.wrong("%s is counted for %d jobs, and %d have it", name, has, want)
		}
		return nil
	})
}

func (c *checker) checkClients() error {
	if c.unread {
		return nil
	}
	for client, want := range c.usage {
		var has clientRecord
		if _, err := getJSON(c.tx.Bucket(bucketClients), key{}.text(client), &has); err != nil {
			c.wrong("what client %s has cannot be read: %v", client, err)
		} else if has.Usage != want {
			c.wrong("client %s is said to have %d jobs of %d bytes, and has %d of %d", client, has.Usage.Jobs, has.Usage.Bytes, want.Jobs, want.Bytes)
		}
	}
	return nil
}

func (c *checker) checkSegments() error {
	if c.unread {
		return nil
	}
	var strays [][]byte
	err := c.tx.Bucket(bucketOutcomes).ForEach(func(k, _ []byte) error {
		if !c.segments[string(k)] {
			strays = append(strays, bytes.Clone(k))
		}
		return nil
	})
	slices.SortFunc(strays, bytes.Compare)
	for _, k := range strays {
		c.wrong("there are outcomes that no job has (%q)", k)
	}
	return err
}
