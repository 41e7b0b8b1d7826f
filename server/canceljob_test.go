package server

import (
	"testing"
	"time"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
)

// A holder that gave a job back sends nothing more, and never says so: the
// answer to a cancel does not wait for it, and neither does a stop.
func TestCancelOfAJobThatWasGivenBack(t *testing.T) {
	for _, before := range []bool{true, false} {
		e := start(t)
		id := e.claimed(3)
		giveBack := func() { must(t, e.store.Release(e.ctx(), e.leases[id].Term, id)) }
		if before {
			giveBack()
		}
		begin := time.Now()
		answered := make(chan error, 1)
		go func() {
			_, err := e.api.CancelJob(e.as(e.key), &promptforgev1.CancelJobRequest{JobId: string(id)})
			answered <- err
		}()
		if !before {
			for changed, stop := e.store.Watch(id); ; <-changed {
				j, err := e.store.Job(e.ctx(), "", id)
				must(t, err)
				if j.Status.Final() {
					stop()
					break
				}
			}
			giveBack()
		}
		must(t, <-answered)
		if took := time.Since(begin); took > cancelWait/2 {
			t.Errorf("given back before %v: the answer took %s", before, took)
		}
	}
}
