package judge

import (
	"slices"

	"github.com/promptforge/promptforge/job"
)

// Verdict is nil if every promise was kept. Before it is asked for, everything
// must have been looked at once more since the last crash: each client's list,
// each job, its stream from the first outcome to the end, and its files. What
// was not looked at counts as a broken promise, so that a run cannot pass by
// looking away.
func (h *History) Verdict(counts Counts) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, j := range h.order {
		h.checkEnd(j)
	}
	for client, l := range h.lists {
		for _, id := range l.ids {
			if h.jobs[id] == nil {
				h.fault("client %s has a job %s that no init answered", client, id)
			}
		}
	}
	h.checkRequests(counts)
	h.checkSent(counts)
	return h.joined()
}

func (h *History) checkEnd(j *jobLog) {
	if l := h.lists[j.client]; l == nil || l.at < h.fresh {
		h.fault("nobody has listed the jobs of %s since the last crash", j.client)
	} else if slices.Contains(l.ids, j.id) == (j.goneAt != 0) {
		h.fault("job %s: deleted is %v, and the list says otherwise", j.id, j.goneAt != 0)
	}
	if j.goneAt != 0 {
		if j.goneStill < h.fresh {
			h.fault("job %s: nobody has looked since the last crash whether it is still gone", j.id)
		}
		return
	}
	if len(j.states) == 0 || j.states[len(j.states)-1].at < h.fresh {
		h.fault("job %s: nobody has looked at it since the last crash", j.id)
		return
	}
	last := &j.states[len(j.states)-1]
	if job.Status(last.Status) == job.AwaitingUpload {
		return // checkSelf knows whether it may
	}
	if last.SettledAt == nil {
		h.fault("job %s was forgotten: in the end it is %s", j.id, last.Status)
		return
	}
	h.checkWhole(j, last)
}

// checkWhole looks at the records of a settled job.
func (h *History) checkWhole(j *jobLog, last *observation) {
	if j.ended < h.fresh {
		h.fault("job %s: nobody has read its outcomes to the end since the last crash", j.id)
		return
	}
	if n := int64(len(j.outcomes)); n != last.outcomes() {
		h.fault("job %s counts %d outcomes and has %d", j.id, last.outcomes(), n)
	}
	var failures int64
	for _, o := range j.outcomes {
		if o.Error != "" {
			failures++
		}
	}
	if failures != deref(last.FailedCount) {
		h.fault("job %s counts %d failures and has %d", j.id, deref(last.FailedCount), failures)
	}
	if job.Status(last.Status) == job.Completed && j.file != nil {
		for i := range j.file.Lines {
			l := &j.file.Lines[i]
			if j.records[l.key()] == nil {
				h.fault("job %s: line %d has no record", j.id, l.Number)
			}
		}
	}
	if j.listedAt < h.fresh {
		h.fault("job %s: nobody has listed its files since the last crash", j.id)
		return
	}
	h.compareFiles(j)
}

// key is that of the line's record.
func (l *Line) key() recordKey {
	if l.Prompt == "" {
		return recordKey{l.ID, l.Number}
	}
	return recordKey{id: l.ID}
}
