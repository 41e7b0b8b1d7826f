package judge

import (
	"bytes"
	"encoding/json"
	"slices"
)

// told is an outcome that a client was given, and when.
type told struct {
	at int64
	Outcome
}

// Streamed tells that a stream handed out an outcome, to a question asked at the given
// moment.
func (h *History) Streamed(asked int64, id string, o Outcome) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j := h.job(id)
	h.present(j, asked)
	n := int64(len(j.outcomes))
	switch {
	case o.Offset < 1 || o.Offset > n+1:
		h.fault("job %s: outcome %d came where %d was due", id, o.Offset, n+1)
	case o.Offset <= n:
		if was := j.outcomes[o.Offset-1]; !bytes.Equal(was.Raw, o.Raw) {
			h.fault("job %s: outcome %d was %.300q and is %.300q", id, o.Offset, was.Raw, o.Raw)
		}
	default:
		h.checkContent(j, &o)
		t := &told{h.tick(), o}
		j.outcomes = append(j.outcomes, t)
		j.records[recordKey{o.ID, o.Line}] = t
	}
}

// acknowledged counts the outcomes that were given out before a moment.
func (j *jobLog) acknowledged(asked int64) int64 {
	n, _ := slices.BinarySearchFunc(j.outcomes, asked, func(o *told, at int64) int { return int(o.at - at) })
	return int64(n)
}

// checkContent looks at an outcome that is new.
func (h *History) checkContent(j *jobLog, o *Outcome) {
	h.checkOnce(j, o)
	if j.file == nil { // its upload was taken and not acknowledged
		var fit []*File
		for _, f := range j.sending {
			if len(j.sending) == 1 || f.has(o) {
				fit = append(fit, f)
			}
		}
		switch len(fit) {
		case 0:
			h.fault("job %s: outcome %d of no file that was sent", j.id, o.Offset)
			return
		case 1:
			j.take(h, fit[0])
		default: // it fits more than one
			j.early = append(j.early, o)
			return
		}
	}
	h.checkOwn(j, o)
}

// checkOwn compares an outcome with the line that it is of.
func (h *History) checkOwn(j *jobLog, o *Outcome) {
	if o.Line != 0 {
		h.checkUnusable(j, o)
		return
	}
	l := j.byID[o.ID]
	if l == nil {
		h.fault("job %s: outcome %d has the id %s, which no usable line has", j.id, o.Offset, o.ID)
		return
	}
	if o.Result != l.Answer || o.Error != l.Error {
		h.fault("job %s: line %d has %.120q %s, and its own is %.120q %s", j.id, l.Number, o.Result, o.Error, l.Answer, l.Error)
	}
	p := h.prompts[l.Prompt]
	if from := j.inherited(l.ID); from != nil {
		if o.Error != "" || o.Result != from.Result {
			h.fault("job %s: line %d had a result in the job that it continues, and has another", j.id, l.Number)
		}
		return
	}
	p.own[j] = true
}

// has tells whether an outcome can be of a file.
func (f *File) has(o *Outcome) bool {
	return slices.ContainsFunc(f.Lines, func(l Line) bool {
		if o.Line != 0 {
			return l.Prompt == "" && l.Number == o.Line
		}
		return l.Prompt != "" && l.ID == o.ID && l.Answer == o.Result && l.Error == o.Error
	})
}

// inherited is the result that a job took over for a prompt.
func (j *jobLog) inherited(promptID string) *told {
	for from := j.continues; from != nil; from = from.continues {
		if o := from.records[recordKey{id: promptID}]; o != nil && o.Error == "" {
			return o
		}
	}
	return nil
}

func (h *History) checkUnusable(j *jobLog, o *Outcome) {
	at := slices.IndexFunc(j.file.Lines, func(l Line) bool { return l.Number == o.Line })
	if at < 0 || j.file.Lines[at].Prompt != "" || j.file.Lines[at].Error != o.Error {
		h.fault("job %s: outcome %d says %s of line %d", j.id, o.Offset, o.Error, o.Line)
	}
}

func (h *History) checkOnce(j *jobLog, o *Outcome) {
	key := recordKey{o.ID, o.Line}
	if first := j.records[key]; first != nil {
		h.fault("job %s: the prompt %s (line %d) has two records, at %d and %d", j.id, o.ID, o.Line, first.Offset, o.Offset)
	}
}

// recordKey tells the records of a job apart: by their id, and by their line
// where that could not be used.
type recordKey struct {
	id   string
	line int
}

// Ended tells that a stream that began with the first outcome ended as that of a settled
// job does, with so many outcomes.
func (h *History) Ended(id string, outcomes int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j := h.job(id)
	if n := int64(len(j.outcomes)); outcomes != n {
		h.fault("job %s: a stream ended after %d outcomes, and %d were given out before", id, outcomes, n)
	}
	j.ended = h.tick()
}

// fileLog is a result file as it was last downloaded.
type fileLog struct {
	at      int64
	last    Download
	settled *Download // as it was first downloaded after the settlement
}

// Files tells that the names of a job's result files were answered.
func (h *History) Files(asked int64, id string, names []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j := h.job(id)
	h.present(j, asked)
	for _, name := range j.listed {
		if !slices.Contains(names, name) {
			h.fault("job %s: the file %s was listed and is not any more", id, name)
		}
	}
	j.listed, j.listedAt = names, h.tick()
}

// Broken tells that a listed file could not be downloaded from a server that answers.
func (h *History) Broken(id, name, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if j := h.job(id); !j.deleting {
		h.fault("job %s: the listed file %s cannot be read: %s", id, name, why)
	}
}

// Downloaded tells that a result file was downloaded, to a question asked at the given
// moment. settled tells that the job was known to be settled by then.
func (h *History) Downloaded(asked int64, id string, d Download, settled bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j := h.job(id)
	h.present(j, asked)
	if int64(len(d.Body)) != d.Length {
		h.fault("job %s: %s has %d bytes, and Content-Length said %d", id, d.Name, len(d.Body), d.Length)
	}
	f := j.files[d.Name]
	if f == nil {
		f = &fileLog{}
		j.files[d.Name] = f
	}
	if f.at != 0 && f.at < asked {
		if !bytes.HasPrefix(d.Body, f.last.Body) {
			h.fault("job %s: %s does not begin with what it held before", id, d.Name)
		}
		if d.ETag == f.last.ETag && !bytes.Equal(d.Body, f.last.Body) {
			h.fault("job %s: %s changed and kept its ETag", id, d.Name)
		}
	}
	if s := f.settled; s != nil && (s.ETag != d.ETag || !bytes.Equal(s.Body, d.Body)) {
		h.fault("job %s: %s changed after the settlement", id, d.Name)
	}
	if settled && f.settled == nil {
		f.settled = &d
	}
	f.at, f.last = h.tick(), d
}

// compareFiles holds a settled job's files against its stream: the results in
// their order, and the errors in theirs.
func (h *History) compareFiles(j *jobLog) {
	var results, failures []*told
	for _, o := range j.outcomes {
		if o.Error == "" {
			results = append(results, o)
		} else {
			failures = append(failures, o)
		}
	}
	for i, name := range j.listed {
		f := j.files[name]
		if f == nil || f.at < h.fresh {
			h.fault("job %s: nobody has looked at %s since the last crash", j.id, name)
			return
		}
		if i == len(j.listed)-1 { // errors.jsonl
			h.compareLines(j, name, f.last.Body, failures)
			break
		}
		n := min(len(results), bytes.Count(f.last.Body, []byte("\n")))
		h.compareLines(j, name, f.last.Body, results[:n])
		results = results[n:]
	}
	if len(results) > 0 || len(j.listed) == 0 {
		h.fault("job %s: no file holds its last outcomes", j.id)
	}
}

func (h *History) compareLines(j *jobLog, name string, body []byte, want []*told) {
	i := 0
	for raw := range bytes.Lines(body) {
		var l fileLine
		if err := json.Unmarshal(raw, &l); err != nil || raw[len(raw)-1] != '\n' {
			h.fault("job %s: line %d of %s is %.200q", j.id, i+1, name, raw)
			return
		}
		if i >= len(want) {
			h.fault("job %s: %s has more lines than the stream had", j.id, name)
			return
		}
		if w := want[i]; string(l.PromptID) != w.ID || l.Result != w.Result || l.Error != w.Error || l.Line != w.Line {
			h.fault("job %s: line %d of %s is %.200q, and the stream had %.200q", j.id, i+1, name, raw, w.Raw)
			return
		}
		i++
	}
	if i < len(want) {
		h.fault("job %s: %s has %d lines, and the stream had %d", j.id, name, i, len(want))
	}
}
