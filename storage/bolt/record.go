package bolt

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// Record keeps the outcomes of any number of jobs in one transaction. A record
// with an outcome that could never be read again (no line number, no public
// line) has that as its Err, and nothing of it is kept.
func (s *Store) Record(ctx context.Context, records []storage.Record) ([]storage.Recorded, error) {
	recorded := make([]storage.Recorded, len(records))
	err := s.update(ctx, func(t *tx) error {
		for i := range records {
			var err error
			if recorded[i], err = t.record(&records[i]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return recorded, nil
}

// record returns an error only where the whole transaction must fail: one job
// that is damaged keeps no other's answers from being kept.
func (t *tx) record(rec *storage.Record) (storage.Recorded, error) {
	if err := checkOutcomes(rec.Outcomes); err != nil {
		return storage.Recorded{Err: err}, nil
	}
	r, err := t.job(rec.ID)
	if errors.Is(err, storage.ErrNotFound) || storage.Damaged(err) {
		return storage.Recorded{Err: err}, nil
	}
	if err != nil {
		return storage.Recorded{}, err
	}
	accepted := 0
	if takesOutcomes(&r.job) {
		accepted, err = t.accept(r, rec.Outcomes)
		if storage.Damaged(err) { // found before anything was written
			return storage.Recorded{Err: err}, nil
		}
		if err != nil {
			return storage.Recorded{}, err
		}
		t.spend(r, rec, accepted)
	}
	return storage.Recorded{Job: r.copy(), Accepted: accepted, Open: r.open()}, nil
}

// takesOutcomes: before the file is parsed there is no line to answer, and
// once the job is settled nothing changes any more.
func takesOutcomes(j *job.Job) bool { return j.Parsed && !j.Settled() }

func checkOutcomes(outcomes []*job.Outcome) error {
	for _, o := range outcomes {
		if o.Line < 1 || o.Line > math.MaxUint32 {
			return fmt.Errorf("an outcome of line %d", o.Line)
		}
		if len(o.Public) < len("{}") {
			return fmt.Errorf("the outcome of line %d has no public line", o.Line)
		}
	}
	return nil
}

// accept keeps the outcomes whose lines have none.
func (t *tx) accept(r *record, outcomes []*job.Outcome) (accepted int, err error) {
	if len(outcomes) == 0 {
		return 0, nil
	}
	done, err := t.progress(r)
	if err != nil {
		return 0, err
	}
	// From here on the memory runs ahead of the store; update takes it back
	// unless the transaction commits.
	t.touched[r.job.ID] = struct{}{}
	a := appender{tx: t, record: r}
	a.reserve(outcomes)
	for _, o := range outcomes {
		if r.job.Open() == 0 || !done.CheckedAdd(uint32(o.Line)) {
			continue
		}
		if err := a.add(o); err != nil {
			return 0, err
		}
		accepted++
	}
	return accepted, nil
}

// spend keeps what the outcomes cost, and the pace.
func (t *tx) spend(r *record, rec *storage.Record, accepted int) {
	j := &r.job
	before := *j
	j.SentThrough = max(j.SentThrough, rec.SentThrough)
	if rec.Batch == 0 || rec.Batch != r.lastBatch {
		j.RequestsSent += rec.Requests
		j.PossiblyRepaid += rec.GivenUp
	}
	if rec.Pace != nil {
		j.Pace = utcPace(rec.Pace)
	}
	spent := j.RequestsSent != before.RequestsSent || j.PossiblyRepaid != before.PossiblyRepaid
	if spent {
		r.lastBatch = rec.Batch
	}
	if accepted > 0 || spent || j.SentThrough != before.SentThrough || j.Pace != before.Pace {
		t.changed(r)
	}
}
