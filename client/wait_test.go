package client_test

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	promptforgev1 "github.com/promptforge/promptforge/gen/go/promptforge/v1"
)

// Wait sees a job to its end over a cut and a restart, and no state twice.
func TestWaitOverCutAndRestart(t *testing.T) {
	t.Parallel()
	s := start(t, gated)
	c := s.dial(t)
	id, err := c.Submit(t.Context(), request, strings.NewReader(prompts(20)))
	must(t, err)
	var states []*promptforgev1.GetJobStatusResponse
	steps := []func(){
		s.proxy.cut,
		func() { must(t, s.restart()); s.let(20) },
	}
	next := 0
	end, err := c.Wait(t.Context(), id, func(st *promptforgev1.GetJobStatusResponse) {
		states = append(states, st)
		if st.GetStatus() == promptforgev1.Job_PROCESSING && next < len(steps) {
			next++
			steps[next-1]()
			if next == 1 {
				s.let(1) // so that another state comes
			}
		}
	})
	must(t, err)
	if end.GetStatus() != promptforgev1.Job_COMPLETED || end.GetCompletedCount() != 20 || next != len(steps) {
		t.Errorf("it ended with %v", end)
	}
	for i := 1; i < len(states); i++ {
		if proto.Equal(states[i-1], states[i]) && i < len(states)-1 {
			t.Errorf("a state came twice: %v", states[i])
		}
	}
	if len(states) == 0 || !proto.Equal(states[len(states)-1], end) {
		t.Error("the last state was not seen")
	}
}
