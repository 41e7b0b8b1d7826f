package judge

// Crashed tells that the server is dead, and the provider has seen so much. To be called
// before the server is started again.
func (h *History) Crashed(counts Counts) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.crashes++
	h.fresh = h.tick()
	if h.shaken == 0 {
		h.shaken = h.fresh
	}
	for prompt, p := range h.prompts {
		n := counts(prompt).Requests
		seen := h.seen(p)
		if n > p.before && !seen {
			p.inFlight++
		}
		h.checkRepeated(p, n)
		if seen && p.baseline == 0 {
			p.baseline = n
		}
		p.before = n
	}
}

// Broke says that so many requests more were broken by a fault in the service,
// after the provider had them. They are sent again like those that the provider
// broke, and nobody knows whose prompts they were.
func (h *History) Broke(requests int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken += requests
}

// Unsent says that so many requests were counted as sent and broken by a fault in
// the service before the provider had them.
func (h *History) Unsent(requests int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unsent += requests
}

// seen tells whether every job that may send a prompt has given out its outcome.
func (h *History) seen(p *promptLog) bool {
	jobs, _ := h.mayHaveSent(p)
	for _, j := range jobs {
		if !p.own[j] {
			return false
		}
	}
	return len(jobs) > 0
}

// checkRepeated faults a prompt that was sent after a crash at which its
// outcome had been given to a client.
func (h *History) checkRepeated(p *promptLog, requests int64) {
	if p.baseline > 0 && requests > p.baseline && !h.continued(p) {
		h.fault("the prompt %.80q was sent again after its outcome was seen", p.line.Prompt)
		p.baseline = requests
	}
}

// continued tells whether a job may try a prompt again because the one that it
// continues has no result for it.
func (h *History) continued(p *promptLog) bool {
	for _, j := range h.order {
		if j.continues != nil && j.byID[p.line.ID] == p.line && j.inherited(p.line.ID) == nil {
			return true
		}
	}
	return false
}

// checkRequests compares what the provider saw in the end with what was due.
func (h *History) checkRequests(counts Counts) {
	surplus := map[*jobLog]int64{}
	for prompt, p := range h.prompts {
		c := counts(prompt)
		h.checkRepeated(p, c.Requests)
		jobs, open := h.mayHaveSent(p)
		due := int64(len(p.own))
		if due > 0 || c.Requests > 0 && len(jobs) > 0 {
			due += int64(p.line.Retries)
		}
		due += c.RateLimited
		most := due + p.inFlight + open
		if over := c.Requests - most; over > 0 {
			forgiven := min(over, h.broken)
			h.broken -= forgiven
			c.Requests -= forgiven
		}
		if c.Requests > most {
			h.fault("the prompt %.80q was sent %d times: %d were due, and it was in flight at %d crashes", prompt, c.Requests, due, p.inFlight)
		}
		if len(p.own) > 0 && c.Requests < int64(len(p.own))+int64(p.line.Retries) {
			h.fault("the prompt %.80q has %d outcomes after %d requests, %d of which were to fail", prompt, len(p.own), c.Requests, p.line.Retries)
		}
		if len(jobs) == 1 && open == 0 {
			once := max(due, 1+int64(p.line.Retries)+c.RateLimited) // sent and given up is not paid twice
			surplus[jobs[0]] += max(0, c.Requests-once)
		}
	}
	for j, n := range surplus {
		if len(j.states) > 0 && !j.deleting && j.states[len(j.states)-1].PossiblyRepaid < n {
			h.fault("job %s says that %d requests were possibly paid for twice, and %d were", j.id, j.states[len(j.states)-1].PossiblyRepaid, n)
		}
	}
}

// canary is the prompt of a canary, which asks whether the provider is well.
const canary = "ping"

// checkSent compares the requests that a job says were sent for it with what the
// provider saw. At a crash what was in flight is not counted for certain, so it
// is only asked of jobs that were settled before the first one; and only of
// those whose prompts nobody else may have sent. Canaries are booked on any job
// of their lane, so all jobs together may have counted those.
func (h *History) checkSent(counts Counts) {
	canaries := counts(canary).Requests
	for _, j := range h.order {
		s := j.settledState()
		if s == nil || j.file == nil || h.shaken != 0 && s.at > h.shaken {
			continue
		}
		var seen int64
		alone := true
		for i := range j.file.Lines {
			p := h.prompts[j.file.Lines[i].Prompt]
			if p == nil {
				continue // an unusable line
			}
			jobs, _ := h.mayHaveSent(p)
			alone = alone && len(jobs) == 1 && jobs[0] == j
			seen += counts(p.line.Prompt).Requests
		}
		if !alone {
			continue
		}
		beyond := max(0, s.RequestsSent-seen-h.unsent)
		if canaries -= beyond; s.RequestsSent < seen || beyond > 0 && canaries < 0 {
			h.fault("job %s says that %d requests were sent, and the provider saw %d", j.id, s.RequestsSent, seen)
		}
	}
}

// settledState is the first state that was told of the settled job.
func (j *jobLog) settledState() *observation {
	for i := range j.states {
		if j.states[i].SettledAt != nil {
			return &j.states[i]
		}
	}
	return nil
}

// mayHaveSent lists the jobs that may have sent a prompt, and counts those of
// them that are deleted: they may have sent it once and nobody can ask.
func (h *History) mayHaveSent(p *promptLog) (jobs []*jobLog, open int64) {
	for _, j := range h.order {
		if j.byID[p.line.ID] != p.line || j.inherited(p.line.ID) != nil {
			continue
		}
		jobs = append(jobs, j)
		if j.deleting && !p.own[j] {
			open++
		}
	}
	return jobs, open
}

// Surplus counts the requests beyond one for each prompt and each fault and
// refusal that was ordered, and the crashes at which prompts were in flight,
// each prompt counted: the most that the surplus may be.
func (h *History) Surplus(counts Counts) (surplus, inFlight int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for prompt, p := range h.prompts {
		c := counts(prompt)
		surplus += max(0, c.Requests-c.RateLimited-int64(p.line.Retries)-int64(max(1, len(p.own))))
		inFlight += p.inFlight
	}
	return surplus, inFlight
}
