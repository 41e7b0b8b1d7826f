package judge

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/promptforge/promptforge/job"
)

// shown is what the judge reads of GET /v1/jobs/{job_id}.
type shown struct {
	JobID          string  `json:"job_id"`
	Status         string  `json:"status"`
	Provider       string  `json:"provider"`
	Model          string  `json:"model"`
	PromptCount    *int64  `json:"prompt_count"`
	CompletedCount *int64  `json:"completed_count"`
	FailedCount    *int64  `json:"failed_count"`
	CreatedAt      *string `json:"created_at"`
	StartedAt      *string `json:"started_processing_at"`
	CompletedAt    *string `json:"completed_at"`
	FailureReason  *string `json:"failure_reason"`
	SettledAt      *string `json:"settled_at"`
	PossiblyRepaid int64   `json:"possibly_repaid"`
	RequestsSent   int64   `json:"requests_sent"`
	ContinueFrom   *string `json:"continue_from"`
}

// observation is a job as it was shown, and when that was told.
type observation struct {
	at int64
	shown
}

type listLog struct {
	at  int64
	ids []string
}

// Shown tells that the whole job was answered to a question asked at the given moment.
func (h *History) Shown(asked int64, whole []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.show(asked, whole)
}

func (h *History) show(asked int64, whole []byte) *jobLog {
	var s shown
	if err := json.Unmarshal(whole, &s); err != nil {
		h.fault("a job that is no JSON: %.200q", whole)
		return nil
	}
	j := h.jobs[s.JobID]
	if j == nil {
		return nil // its init has not been answered yet; Verdict asks again
	}
	h.present(j, asked)
	h.checkSelf(j, asked, &s)
	if before := j.lastState(asked); before != nil {
		h.checkMove(j, &before.shown, &s)
	}
	if n := j.acknowledged(asked); s.outcomes() < n {
		h.fault("job %s shows %d outcomes after a client was given %d", j.id, s.outcomes(), n)
	}
	if s.SettledAt != nil {
		h.checkSettled(j, asked, whole)
	}
	j.states = append(j.states, observation{h.tick(), s})
	return j
}

func (s *shown) outcomes() int64 { return deref(s.CompletedCount) + deref(s.FailedCount) }

func deref(n *int64) int64 {
	if n == nil {
		return 0
	}
	return *n
}

// lastState is the last state that was told before a question was asked.
func (j *jobLog) lastState(asked int64) *observation {
	for i := len(j.states) - 1; i >= 0; i-- {
		if j.states[i].at < asked {
			return &j.states[i]
		}
	}
	return nil
}

// checkSelf looks at one state alone.
func (h *History) checkSelf(j *jobLog, asked int64, s *shown) {
	status, err := job.ParseStatus(s.Status)
	if err != nil {
		h.fault("job %s: %v", j.id, err)
		return
	}
	switch {
	case status == job.AwaitingUpload && before(j.uploadedAt, asked):
		h.fault("job %s awaits an upload after one was acknowledged", j.id)
	case status == job.Cancelled && !j.cancelling && !j.deleting:
		h.fault("job %s is CANCELLED and nobody asked for it", j.id)
	case status == job.Failed && (j.file == nil || j.usable() > 0):
		h.fault("job %s is FAILED: %s", j.id, text(s.FailureReason))
	case before(j.cancelledAt, asked) && status != job.Cancelled:
		h.fault("job %s is %s after its cancel was acknowledged", j.id, s.Status)
	}
	if j.file != nil && s.PromptCount != nil && *s.PromptCount != int64(len(j.file.Lines)) {
		h.fault("job %s shows %d prompts of %d", j.id, *s.PromptCount, len(j.file.Lines))
	}
	if (s.CompletedAt != nil) != status.Final() {
		h.fault("job %s is %s, and completed_at is %s", j.id, s.Status, text(s.CompletedAt))
	}
	if s.SettledAt != nil && !status.Final() {
		h.fault("job %s is settled as %s", j.id, s.Status)
	}
	if s.PromptCount == nil {
		if status != job.AwaitingUpload && status != job.Cancelled {
			h.fault("job %s is %s and counts no prompts", j.id, s.Status)
		}
		return
	}
	if n := s.outcomes(); n > *s.PromptCount || status == job.Completed && n != *s.PromptCount {
		h.fault("job %s is %s with %d outcomes of %d prompts", j.id, s.Status, n, *s.PromptCount)
	}
}

// before tells whether something happened before a question was asked; 0 is
// never.
func before(moment, asked int64) bool { return moment != 0 && moment < asked }

func (j *jobLog) usable() (n int) {
	for i := range j.file.Lines {
		if j.file.Lines[i].Prompt != "" {
			n++
		}
	}
	return n
}

// checkMove compares a state with one before it.
func (h *History) checkMove(j *jobLog, was, is *shown) {
	from, to := job.Status(was.Status), job.Status(is.Status)
	if from != to && !reaches(from, to) {
		h.fault("job %s went from %s to %s", j.id, from, to)
	}
	for _, n := range []struct {
		name    string
		was, is int64
	}{
		{"completed_count", deref(was.CompletedCount), deref(is.CompletedCount)},
		{"failed_count", deref(was.FailedCount), deref(is.FailedCount)},
		{"possibly_repaid", was.PossiblyRepaid, is.PossiblyRepaid},
		{"requests_sent", was.RequestsSent, is.RequestsSent},
	} {
		if n.is < n.was {
			h.fault("job %s: %s fell from %d to %d", j.id, n.name, n.was, n.is)
		}
	}
	if was.PromptCount != nil && (is.PromptCount == nil || *is.PromptCount != *was.PromptCount) {
		h.fault("job %s: prompt_count was %d and is %d", j.id, *was.PromptCount, deref(is.PromptCount))
	}
	for _, v := range []struct {
		name    string
		was, is *string
	}{
		{"provider", &was.Provider, &is.Provider},
		{"model", &was.Model, &is.Model},
		{"created_at", was.CreatedAt, is.CreatedAt},
		{"started_processing_at", was.StartedAt, is.StartedAt},
		{"completed_at", was.CompletedAt, is.CompletedAt},
		{"settled_at", was.SettledAt, is.SettledAt},
		{"continue_from", was.ContinueFrom, is.ContinueFrom},
	} {
		if v.was != nil && text(v.was) != text(v.is) {
			h.fault("job %s: %s was %s and is %s", j.id, v.name, *v.was, text(v.is))
		}
	}
}

func text(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

// reaches tells whether moves lead from one state to another.
func reaches(from, to job.Status) bool {
	for _, next := range job.Statuses() {
		if from.CanMove(next) && (next == to || reaches(next, to)) {
			return true
		}
	}
	return false
}

func (h *History) checkSettled(j *jobLog, asked int64, whole []byte) {
	if j.settled == nil {
		j.settled = bytes.Clone(whole)
		return
	}
	if !bytes.Equal(j.settled, whole) {
		h.fault("job %s changed after its settlement: it was %s and is %s", j.id, j.settled, whole)
	}
}

// Listed tells that all jobs of a client, in one answer, to a question asked at the given
// moment.
func (h *History) Listed(asked int64, client string, wholes []json.RawMessage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ids, active []string
	for _, whole := range wholes {
		h.show(asked, whole)
		var s shown
		if json.Unmarshal(whole, &s) != nil {
			continue
		}
		ids = append(ids, s.JobID)
		if j := h.jobs[s.JobID]; j != nil && j.client != client {
			h.fault("job %s of %s is listed for %s", j.id, j.client, client)
		}
		status := job.Status(s.Status)
		if status.Active() || status.Final() && s.SettledAt == nil {
			active = append(active, s.JobID+" "+s.Status)
		}
	}
	if len(active) > 1 {
		h.fault("client %s has %d active jobs: %v", client, len(active), active)
	}
	for _, j := range h.order {
		if j.client == client && !j.deleting && j.createdBefore(asked) && !slices.Contains(ids, j.id) {
			h.fault("job %s was acknowledged and is not listed", j.id)
		}
	}
	h.lists[client] = &listLog{at: h.tick(), ids: ids}
}

// createdBefore tells whether somebody had looked at the job before: then it
// was there when the question was asked.
func (j *jobLog) createdBefore(asked int64) bool {
	return len(j.states) > 0 && j.states[0].at < asked
}
