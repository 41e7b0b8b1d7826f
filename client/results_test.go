package client_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/promptforge/promptforge/client"
	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
)

// While more outcomes are due, the connection is cut three times.
func TestResultsAreCut(t *testing.T) {
	t.Parallel()
	s := start(t, gated)
	c := s.dial(t)
	id, err := c.Submit(t.Context(), request, strings.NewReader(prompts(100)))
	must(t, err)
	s.let(25)
	collect(t, 100, c.Results(t.Context(), id, 0), func(n int64) {
		if n%25 == 0 && n < 100 {
			s.proxy.cut()
			s.let(25)
		}
	})
	if got := s.proxy.connections(); got < 4 {
		t.Errorf("%d connections; it was not cut", got)
	}
	// All that is recorded comes again, and behind an offset the rest.
	collect(t, 100, c.Results(t.Context(), id, 0), nil)
	n := int64(90)
	for outcome, err := range c.Results(t.Context(), id, n) {
		must(t, err)
		if n++; outcome.GetOffset() != n {
			t.Errorf("the offset is %d, want %d", outcome.GetOffset(), n)
		}
		if n == 95 {
			break
		}
	}
	if n != 95 {
		t.Errorf("it ended at %d", n)
	}
}

func TestRunOverRestart(t *testing.T) {
	t.Parallel()
	s := start(t, gated)
	c := s.dial(t)
	s.let(10)
	collect(t, 20, c.Run(t.Context(), request, strings.NewReader(prompts(20))), func(n int64) {
		if n == 10 {
			must(t, s.restart())
			s.let(10)
		}
	})
}

func TestRunOfAFailedJob(t *testing.T) {
	t.Parallel()
	c := start(t).dial(t)
	all := c.Run(t.Context(), request, strings.NewReader("no prompt\n"))
	var failed *client.RunError
	if err := last(all); !errors.As(err, &failed) {
		t.Fatal(err)
	}
	if failed.JobID == "" || failed.Offset != 1 || failed.Status != promptforgev1.Job_FAILED {
		t.Errorf("%+v", failed)
	}
	if !strings.HasPrefix(failed.Error(), "job "+failed.JobID+" FAILED: ") {
		t.Errorf("it says %q", failed)
	}
	if err := last(all); !errors.As(err, &failed) || failed.JobID != "" {
		t.Errorf("a second range: %v", err)
	}
}

func TestRunOfACancelledJob(t *testing.T) {
	t.Parallel()
	s := start(t, gated)
	c := s.dial(t)
	s.let(1)
	var err error
	for _, err = range c.Run(t.Context(), request, strings.NewReader(prompts(1000))) {
		if err != nil {
			break
		}
		list, listErr := c.Jobs().ListJobs(t.Context(), &promptforgev1.ListJobsRequest{})
		must(t, listErr)
		_, cancelErr := c.Jobs().CancelJob(t.Context(), &promptforgev1.CancelJobRequest{JobId: list.GetJobs()[0].GetJobId()})
		if cancelErr != nil && client.Reason(cancelErr) != client.ReasonJobState {
			t.Fatal(cancelErr)
		}
		s.let(1000) // whatever is in flight
	}
	var ended *client.RunError
	if !errors.As(err, &ended) || ended.Status != promptforgev1.Job_CANCELLED {
		t.Errorf("it ended with %v", err)
	}
}

func TestContinuedJobNeedsNoPrompts(t *testing.T) {
	t.Parallel()
	c := start(t).dial(t)
	id, err := c.Submit(t.Context(), request, strings.NewReader(prompts(5)))
	must(t, err)
	end, err := c.Wait(t.Context(), id, nil)
	must(t, err)
	if end.GetStatus() != promptforgev1.Job_COMPLETED {
		t.Fatal(end)
	}
	again := &promptforgev1.InitJobRequest{Provider: request.Provider, Model: request.Model, ContinueFrom: &id}
	collect(t, 5, c.Run(t.Context(), again, nil), nil)
}
