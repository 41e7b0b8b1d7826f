package server

import (
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/problem"
)

const detailStore = "The store cannot answer now; nothing was changed for certain, and repeating the request is safe."

// fromStore makes a problem of a store's error: its refusals have their rows,
// and any other error means that the store could not answer. nil stays nil.
func fromStore(err error) error {
	if err == nil {
		return nil
	}
	p := problem.From(err)
	if p.Kind == problem.Internal {
		p = problem.New(problem.Unavailable, detailStore).Because(err)
	}
	return p
}

func badRequest(sentence string) error { return problem.New(problem.BadRequest, sentence) }

func notFound() error { return problem.New(problem.NotFound, problem.DetailNotFound) }

// wrongState refuses what the job's state does not allow; why follows "The job
// is STATE; ".
func wrongState(j *job.Job, why string) error {
	return problem.New(problem.JobState, "The job is "+j.Status.String()+"; "+why)
}
