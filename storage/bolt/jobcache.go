package bolt

import (
	"maps"
	"sync"

	"github.com/promptforge/promptforge/job"
)

// maxCachedJobs bounds the jobs that are kept decoded; one has about 1 KiB, and
// its metadata.
const maxCachedJobs = 1024

// jobCache keeps the jobs that somebody reads as they were committed last, so
// that a job is decoded once however many ask for it. What is in it is never
// changed, and is never older than what a transaction that begins now reads: a
// job that is being committed is not in it.
type jobCache struct {
	mu   sync.RWMutex
	jobs map[job.ID]*job.Job
	// writing are the jobs that are being committed, with whether they were kept.
	writing map[job.ID]bool
	commits uint64 // begun and ended
}

// get finds a job. since is for add, where it is nil.
func (c *jobCache) get(id job.ID) (j *job.Job, since uint64) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.jobs[id], c.commits
}

// add keeps a job that was read after get, unless it may be an old one by now.
func (c *jobCache) add(j *job.Job, since uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, busy := c.writing[j.ID]; busy || c.commits != since {
		return
	}
	c.put(j)
}

// put is called under c.mu.
func (c *jobCache) put(j *job.Job) {
	for id := range c.jobs {
		if len(c.jobs) < maxCachedJobs {
			break
		}
		delete(c.jobs, id)
	}
	c.jobs[j.ID] = j
}

// begin takes out what a transaction is about to change.
func (c *jobCache) begin(changed map[job.ID]struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.commits++
	for id := range changed {
		_, kept := c.jobs[id]
		delete(c.jobs, id)
		c.writing[id] = kept
	}
}

// end puts back what somebody read before, as it is now: nil where the
// transaction failed.
func (c *jobCache) end(records map[job.ID]*record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.commits++
	for id, kept := range c.writing {
		if r := records[id]; kept && r != nil {
			c.put(r.copy())
		}
	}
	clear(c.writing)
}

// cloneJob is a job for a caller, who may change it.
func cloneJob(j *job.Job) *job.Job {
	out := *j
	out.Metadata = maps.Clone(j.Metadata)
	return &out
}
