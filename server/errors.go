package server

import (
	"github.com/promptforge/promptforge/job"
	"github.com/promptforge/promptforge/server/problem"
)

func badRequest(sentence string) error { return problem.New(problem.BadRequest, sentence) }

func notFound() error { return problem.New(problem.NotFound, problem.DetailNotFound) }

// wrongState refuses what the job's state does not allow; why follows "The job
// is STATE; ".
func wrongState(j *job.Job, why string) error {
	return problem.New(problem.JobState, "The job is "+j.Status.String()+"; "+why)
}
