package bolt

import (
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/storage"
)

// continued finds the job that a new one continues, if it may.
func (t *tx) continued(j *job.Job) (*record, error) {
	source, err := t.jobOf(j.Client, j.ContinueFrom)
	switch {
	case err != nil:
		return nil, err
	case !source.job.Settled() || source.job.Prompts.Name == "":
		return nil, &storage.StateError{Job: source.copy()}
	case source.job.Provider != j.Provider:
		return nil, storage.ErrProviderDiffers
	}
	return source, nil
}

// takeOver gives a new job the prompts and the results of a settled one, and
// puts it in the queue. Its parts are the other's, without the error records of
// prompts, which are sent again;
// results that the other never sealed are copied.
func (t *tx) takeOver(r, source *record) error {
	j := &r.job
	j.Parsed = true
	j.Prompts, j.PromptCount = source.job.Prompts, source.job.PromptCount
	if err := t.refer(j.Prompts.Name); err != nil {
		return err
	}
	parts, err := decodeParts(copyParts(t.Tx, source.job.ID))
	if err != nil {
		return err
	}
	// The outcomes of lines that cannot be used came first, and stay.
	unusableCount := j.PromptCount - j.Prompts.Usable
	for _, p := range parts {
		switch {
		case p.FirstOffset <= unusableCount:
		case p.Results == 0:
			continue
		default:
			p.ResultsOnly = true
			p.FirstOffset, p.Outcomes = j.Outcomes()+1, p.Results
			p.Totals, p.Split = resultsOnly(p.Totals), resultsOnly(p.Split)
		}
		if err := t.list(r, p); err != nil {
			return err
		}
	}
	if err := t.copyUnsealed(r, source); err != nil {
		return err
	}
	done, failed, err := sealed(t.Tx, source.job.ID)
	if err != nil {
		return err
	}
	unusable, err := readBitmap(t.bucket(bucketUnusable), source.job.ID)
	if err != nil {
		return err
	}
	failed.AndNot(unusable)
	done.AndNot(failed)
	if err := t.putSealed(j.ID, done, unusable); err != nil {
		return err
	}
	if err := t.putUnusable(j.ID, unusable); err != nil {
		return err
	}
	return t.enqueue(r)
}

func resultsOnly(t job.Totals) job.Totals {
	t.ErrorBytes, t.ErrorFullBytes = 0, 0
	return t
}

func (t *tx) copyUnsealed(r, source *record) error {
	a := appender{tx: t, record: r}
	for _, segment := range source.segments {
		err := scan(t.outcomes(source.job.ID, segment.N), nil, func(_, encoded []byte) (bool, error) {
			o, err := job.DecodeOutcome(encoded)
			if err != nil || o.Failed {
				return err == nil, err
			}
			return true, a.add(&o)
		})
		if err != nil {
			return err
		}
	}
	// They were paid for by the other job.
	r.job.PromptTokens, r.job.CompletionTokens = 0, 0
	return nil
}
