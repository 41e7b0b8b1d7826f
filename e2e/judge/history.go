package judge

import (
	"errors"
	"fmt"
	"sync"
)

// maxFaults bounds what a Verdict says: after so many the rest adds nothing.
const maxFaults = 40

// History is what was acknowledged to clients. Any number of goroutines may
// tell it what they were told.
type History struct {
	mu      sync.Mutex
	clock   int64
	jobs    map[string]*jobLog
	order   []*jobLog
	prompts map[string]*promptLog
	lists   map[string]*listLog // by client
	crashes int
	broken  int64 // requests that were broken by faults of which no prompt is known
	unsent  int64 // and those that the provider never had
	shaken  int64 // the moment of the first crash, 0 for none
	fresh   int64 // the moment of the last crash: what was seen before it proves nothing of now
	faults  []error
	more    int
}

// New returns an empty history.
func New() *History {
	return &History{jobs: map[string]*jobLog{}, prompts: map[string]*promptLog{}, lists: map[string]*listLog{}}
}

// jobLog is what was told about one job.
type jobLog struct {
	id, client string
	continues  *jobLog

	// Moments are 0 for what never was.
	sending    []*File // PUTs that began, whose end nobody knows
	file       *File   // the one that was taken
	uploadedAt int64   // when its taking was acknowledged
	byID       map[string]*Line

	cancelling, deleting bool // asked for
	cancelledAt          int64
	goneAt               int64 // the first moment at which it was known to be gone
	goneStill            int64 // and the last

	states   []observation
	settled  []byte // the whole job as it was first shown settled
	outcomes []*told
	early    []*Outcome // seen before it was known which file the job has
	records  map[recordKey]*told
	ended    int64 // when a stream of it last ended as a settled one's does
	files    map[string]*fileLog
	listed   []string // names of result files
	listedAt int64
}

// promptLog is what is known of the requests for one prompt.
type promptLog struct {
	line     *Line
	before   int64            // requests up to the last crash
	inFlight int64            // crashes at which it may have been in flight
	baseline int64            // requests that there were at the first crash after its outcome was seen; 0: none was
	own      map[*jobLog]bool // the jobs that got an outcome for it themselves
}

// Now is the moment before a question. Whatever was told until then was true
// when the question was asked.
func (h *History) Now() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tick()
}

func (h *History) tick() int64 {
	h.clock++
	return h.clock
}

// fault notes a broken promise.
func (h *History) fault(format string, args ...any) {
	if len(h.faults) >= maxFaults {
		h.more++
		return
	}
	h.faults = append(h.faults, fmt.Errorf(format, args...))
}

// Faults are the broken promises so far, nil if there is none.
func (h *History) Faults() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.joined()
}

// Failed tells whether a promise was broken, so that there is no use in going on.
func (h *History) Failed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.faults) > 0
}

func (h *History) joined() error {
	if h.more > 0 {
		return errors.Join(append(h.faults[:len(h.faults):len(h.faults)], fmt.Errorf("and %d more", h.more))...)
	}
	return errors.Join(h.faults...)
}

// job finds a job that was acknowledged.
func (h *History) job(id string) *jobLog {
	j := h.jobs[id]
	if j == nil {
		panic("judge: nobody was told of a job " + id)
	}
	return j
}

// Created tells that an init was answered. continues is the job that it goes on from, or
// empty. The same job may be answered again (Idempotency-Key).
func (h *History) Created(client, id, continues string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if j := h.jobs[id]; j != nil {
		if j.client != client {
			h.fault("job %s was given to %s and to %s", id, j.client, client)
		}
		return
	}
	j := &jobLog{id: id, client: client, records: map[recordKey]*told{}, files: map[string]*fileLog{}}
	if continues != "" {
		j.continues = h.job(continues)
		j.uploadedAt = h.tick()
		j.take(h, j.continues.file)
	}
	h.jobs[id] = j
	h.order = append(h.order, j)
}

// Sending tells that an upload begins. From now on the job may have this file, whether or
// not that is acknowledged.
func (h *History) Sending(id string, f *File) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j := h.job(id)
	for _, each := range j.sending {
		if each == f {
			return
		}
	}
	j.sending = append(j.sending, f)
}

// Uploaded tells that an upload was answered with 200.
func (h *History) Uploaded(id string, f *File, promptCount int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j := h.job(id)
	if j.file != nil && j.file != f {
		h.fault("job %s: two files were acknowledged", id)
		return
	}
	if promptCount != int64(len(f.Lines)) {
		h.fault("job %s: the upload's answer counts %d prompts of %d", id, promptCount, len(f.Lines))
	}
	if j.uploadedAt == 0 {
		j.uploadedAt = h.tick()
	}
	j.take(h, f)
}

// Refused tells that an upload was answered with 409: the job has another file, or is
// final.
func (h *History) Refused(id string, f *File) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j := h.job(id)
	if len(j.sending) == 1 && !j.cancelling && !j.deleting {
		h.fault("job %s: its one file was refused as another than its own", id)
	}
	if j.file == f {
		h.fault("job %s: the file that it has was refused when it came again", id)
	}
}

// take gives the job its file.
func (j *jobLog) take(h *History, f *File) {
	if f == nil || j.file == f {
		return
	}
	j.file = f
	j.byID = make(map[string]*Line, len(f.Lines))
	for i := range f.Lines {
		l := &f.Lines[i]
		if l.Prompt == "" {
			continue
		}
		j.byID[l.ID] = l
		if h.prompts[l.Prompt] == nil {
			h.prompts[l.Prompt] = &promptLog{line: l, own: map[*jobLog]bool{}}
		}
	}
	early := j.early
	j.early = nil
	for _, o := range early {
		h.checkOwn(j, o)
	}
}

// Cancelling tells that a cancel is asked for.
func (h *History) Cancelling(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.job(id).cancelling = true
}

// Cancelled tells that a cancel was answered with 200.
func (h *History) Cancelled(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if j := h.job(id); j.cancelledAt == 0 {
		j.cancelledAt = h.tick()
	}
}

// Deleting tells that a deletion is asked for.
func (h *History) Deleting(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.job(id).deleting = true
}

// Deleted tells that a deletion was answered with 200.
func (h *History) Deleted(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone(h.job(id))
}

// Missing tells that a question about a job, asked at the given moment, was answered
// with 404.
func (h *History) Missing(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j := h.job(id)
	if !j.deleting {
		h.fault("job %s was acknowledged and is not there", id)
		return
	}
	h.gone(j)
}

func (h *History) gone(j *jobLog) {
	j.goneStill = h.tick()
	if j.goneAt == 0 {
		j.goneAt = j.goneStill
	}
}

// present faults a job that shows itself to a question asked after it was gone.
func (h *History) present(j *jobLog, asked int64) {
	if before(j.goneAt, asked) {
		h.fault("job %s was deleted and is there again", j.id)
	}
}
